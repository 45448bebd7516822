"""Errors of models, each with one clear sentence and, where there is one, the command that mends it."""

from __future__ import annotations


class ModelError(Exception):
    """Base of all errors of models; never raised itself. `fix` is a command or an instruction for a person."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message}; {fix}" if fix else message)
        self.fix = fix


class UnknownRoleError(ModelError):
    """No model has this role."""


class MissingModelError(ModelError):
    """The weight is not on this machine: fetch it."""


class AlteredModelError(ModelError):
    """The weight is there and is not what the manifest says: fetch it anew, or mend the stated sha256."""


class UnlicensedModelError(ModelError):
    """Nobody has stated the licence of the code or of the weights: a person must, before it runs."""


class ConversionError(ModelError):
    """The file does not convert, or the converted model gives other numbers than the manifest: do not use it."""


class FetchError(ModelError):
    """The weight could not be brought here (no npm, no network, a wrong or broken package). Nothing was changed."""
