"""Models: which weights there are, where they come from, and what runs them.

No weight is in the repository. `registry` names every file with its licence and its sha256, `fetch` brings it out of
an installable package once, `person` finds people, `tracking` follows them, `line` counts them, `codes` reads codes.
The heavy rooms (ONNX Runtime, OpenCV) are imported by name, so that a command line starts quickly.
"""

from models.errors import (
    AlteredModelError,
    ConversionError,
    FetchError,
    MissingModelError,
    ModelError,
    UnknownRoleError,
    UnlicensedModelError,
)
from models.fetch import fetch
from models.proof import verify
from models.registry import ModelStatus, OwnFile, list_models

__all__ = [
    "AlteredModelError",
    "ConversionError",
    "FetchError",
    "MissingModelError",
    "ModelError",
    "ModelStatus",
    "OwnFile",
    "UnknownRoleError",
    "UnlicensedModelError",
    "fetch",
    "list_models",
    "verify",
]
