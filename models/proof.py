"""The whole proof of a model: licence, sums, and the numbers that it gives."""

from __future__ import annotations

from dataclasses import replace

from models.errors import ConversionError
from models.registry import Manifest, ModelStatus, status


def verify(role: str, *, entries: Manifest | None = None) -> ModelStatus:
    """Whether a role may run and gives the numbers of the manifest. Raises UnknownRoleError alone."""
    found = status(role, entries=entries)
    if not found.ok:
        return found
    from models.sessions import session_of  # noqa: PLC0415 - ONNX Runtime takes a second that a listing need not wait

    try:
        session_of(role, entries=entries)
    except ConversionError as error:
        return replace(found, state="wrong", reason=str(error), fix=error.fix, files=())
    return found
