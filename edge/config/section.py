"""What all sections of a store description share: names, strictness, and the way to refuse one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from contracts.ids import ID_PATTERN

Id = Annotated[str, Field(pattern=ID_PATTERN)]
MAX_FILE_BYTES = 1 << 20


class ConfigError(Exception):
    """A store description that cannot run; the message holds file, key and fix, a line each problem.

    `keys` are the keys alone, without any value: they may leave the store."""

    def __init__(self, message: str, keys: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.keys = tuple(keys)


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def refusal(path: Path, wrong: Sequence[tuple[str, str]]) -> ConfigError:
    """One error that holds all of (key, what is wrong)."""
    return ConfigError("\n".join(f"{path}: {key}: {what}" for key, what in wrong), [key for key, _ in wrong])
