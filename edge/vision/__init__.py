"""Cameras: one worker process each counts people at a line; no picture ever leaves it.

`service` supervises the workers and is what the agent uses; `worker` is the process; `pipeline` is the counting
itself; `sources` opens what a camera's URL names; `messages` is what passes between the two.
"""

from edge.vision.messages import Interval
from edge.vision.service import CameraHealth, CameraService

__all__ = ["CameraHealth", "CameraService", "Interval"]
