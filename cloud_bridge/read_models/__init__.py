"""What operators see, made from stored events alone: it follows them row by row and can be rebuilt at any time."""

from cloud_bridge.read_models.models import ReadModels

__all__ = ["ReadModels"]
