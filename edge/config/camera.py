"""The cameras of a store, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from device_drivers.camera.schemes import schemes
from device_drivers.camera.url import EXAMPLE, NETWORK, CameraUrl
from device_drivers.errors import MisconfiguredError
from edge.config.section import Id, Section


class DetectorConfig(Section):
    path: Path = Field(description="an ONNX file of your own in place of the default person detector; absolute")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str = Field(min_length=1, max_length=128, description="what allows you to use it")


class CameraConfig(Section):
    """A camera at an entrance. Neither it nor an error about it shows who logs in there."""

    kind: Literal["camera"]
    id: Id
    source: str = Field(
        repr=False,  # it may hold a password
        description="rtsp://, rtsps://, http(s):// (MJPEG), onvif://HOST/PROFILE, the path of a video file, sim://entrance",
    )
    login_file: Path | None = Field(
        default=None, description="a file of mode 600 with user:password, for a network camera; absolute"
    )
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

    @model_validator(mode="after")
    def _names_a_source(self) -> Self:
        try:
            url = CameraUrl.parse(self.source)
        except MisconfiguredError as error:
            raise ValueError(f"source: {error}") from None
        if url.scheme not in schemes():
            raise ValueError(f"source: no camera source has this scheme; write for example {EXAMPLE}")
        if self.login_file is None:
            return self
        if not self.login_file.is_absolute():
            raise ValueError("login_file: must be an absolute path")
        if url.login is not None or url.scheme not in NETWORK:
            raise ValueError("login_file: is for a network camera whose address names nobody; keep one of the two")
        return self
