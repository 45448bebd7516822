"""The cameras of a store, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edge.config.section import Id, Section


class DetectorConfig(Section):
    path: Path = Field(description="an ONNX file of your own in place of the default person detector; absolute")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str = Field(min_length=1, max_length=128, description="what allows you to use it")


class CameraConfig(Section):
    kind: Literal["camera"]
    id: Id
    source: str = Field(description="sim://entrance, or the path of a video file")
    fps: float = Field(default=5.0, gt=0, le=30)
    line: tuple[float, float, float, float] = Field(
        default=(0.0, 0.55, 1.0, 0.55), description="x1, y1, x2, y2 in 0..1; crossing it downwards is `in`"
    )
    sign_confirmed_at: str = Field(default="", description="day on which the camera notice was seen in place")
    fit: Literal["letterbox", "stretch"] = Field(
        default="letterbox", description="how a frame is put into the detector's square; stretch for tall, near scenes"
    )
    read_codes_every: int = Field(default=0, ge=0, le=1000, description="look for codes in every n-th frame; 0: never")
    codes_cabinet: Id | None = Field(default=None, description="the cabinet that a member code before it asks for")
    detector: DetectorConfig | None = None
