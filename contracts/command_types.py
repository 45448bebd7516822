"""What the cloud may order: one row a type, known to both sides. No row can open a compartment.

Bridge and API check a command's arguments before they store it; the store checks them again before it believes it.
A later type adds a class of arguments, a row here, and a handler in `edge/commands`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contracts.ids import ID_PATTERN

MAX_TTL_MS = 7 * 24 * 3600 * 1000
"""The longest life of a command. It bounds the store's table of ids, see `edge.commands.machine`."""

Name = Annotated[str, Meta(pattern=ID_PATTERN + r"(?!\n)", max_length=64)]


class BadArgsError(ValueError):
    """Arguments that a type does not take. `field` names what is wrong, "" for all together; `fix` what to do."""

    def __init__(self, field: str, fix: str) -> None:
        super().__init__(f"{field}: {fix}" if field else fix)
        self.field, self.fix = field, fix


class CommandArgs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all arguments. What is not named here is refused."""


class RevokeArgs(CommandArgs, frozen=True, kw_only=True):
    """Exactly one of the three: the whole store by its own id, one cabinet, or one running session."""

    store: Name | None = None
    cabinet: Name | None = None
    session: Name | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.store, self.cabinet, self.session)) != 1:
            raise ValueError("say exactly one of store, cabinet, session")

    @property
    def target(self) -> str:
        """As the sessions name it: `store`, `cabinet:<id>` or `session:<id>`."""
        if self.store is not None:
            return "store"
        return f"cabinet:{self.cabinet}" if self.cabinet is not None else f"session:{self.session}"


class DeviceArgs(CommandArgs, frozen=True, kw_only=True):
    """One device, by its id in `store.toml`."""

    device: Name


class NoArgs(CommandArgs, frozen=True, kw_only=True):
    """Nothing to say."""


@dataclass(frozen=True, slots=True)
class CommandType:
    """One type of command.

    `moves_hardware`: it takes effect only after the cloud holds its intent, and never with an unknown clock.
    `only_closes`: it acts in memory before anything is written, even on a full disk.
    """

    name: str
    args: type[CommandArgs]
    says: str
    moves_hardware: bool = False
    only_closes: bool = False
    ttl_s: int = 60  # unless whoever issues it says otherwise


COMMAND_TYPES: dict[str, CommandType] = {
    row.name: row
    for row in (
        CommandType(
            "session.revoke",
            RevokeArgs,
            "Close: no door of the store, cabinet or session opens until a manager at the counter lifts it.",
            only_closes=True,
            ttl_s=24 * 3600,
        ),
        CommandType(
            "device.restart",
            DeviceArgs,
            "Close the port of a device and open it again; not while one of its cabinets is in a session.",
            moves_hardware=True,
        ),
        CommandType("device.self_test", DeviceArgs, "Ask a device how it is; moves nothing.", ttl_s=60),
        CommandType("config.reload", NoArgs, "Read store.toml again; a wrong one changes nothing.", ttl_s=300),
        CommandType("telemetry.flush", NoArgs, "Make and send telemetry now.", ttl_s=60),
    )
}

_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")


def parse_args(kind: CommandType, args: Mapping[str, Any]) -> CommandArgs:
    """`args` as the type takes them. Raises BadArgsError with the field and the fix; never repeats a value."""
    try:
        return msgspec.convert(dict(args), type=kind.args)
    except msgspec.ValidationError as error:
        raise _bad_args(kind, str(error)) from error


def _bad_args(kind: CommandType, said: str) -> BadArgsError:
    takes = ", ".join(kind.args.__struct_fields__) or "none"
    if unknown := _UNKNOWN.search(said):
        return BadArgsError(unknown[1][:64], f"{kind.name} takes no such argument; it takes: {takes}")
    if missing := _MISSING.search(said):
        return BadArgsError(missing[1], f"is missing; {kind.name} takes: {takes}")
    at = _AT.search(said)
    if at and at[1]:
        return BadArgsError(at[1], "write letters, digits, '_' and '-', 1 to 64 of them")
    return BadArgsError("", _AT.sub("", said))
