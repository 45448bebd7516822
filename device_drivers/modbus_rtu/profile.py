"""Device profiles: which value of a Modbus device stands where, as a TOML file. A new meter needs no code.

Shipped ones are in `device_drivers/profiles`; `read_profile` takes any file. A wrong file is refused with file, key
and fix. `json_schema()` says the same to an editor.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from device_drivers import profiles as shipped
from device_drivers.errors import MisconfiguredError
from device_drivers.modbus_rtu import pdu

MAX_FILE_BYTES = 64 << 10
MAX_VALUES = 256
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,47}$")

Text = Annotated[str, Meta(max_length=200)]
Place = Annotated[int, Meta(ge=0, le=0xFFFF)]
Register = Annotated[int, Meta(ge=0, le=0xFFFF)]
WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Type = Literal["u16", "i16", "u32", "i32", "f32", "bit"]
REGISTERS_OF: Mapping[Type, int] = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "bit": 1}


class DeviceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[device]`: the device as a whole."""

    title: Text
    title_zh: Text
    source: Annotated[str, Meta(max_length=200, description="where the map is from")]
    sure: Annotated[
        Literal["V", "S", "C", "K", "P", "?"],
        Meta(description="V proven and public, S stated, C computed, K common knowledge, P our proposal, ? open"),
    ]
    template: Annotated[bool, Meta(description="the addresses are an example: copy the file and fill it in")] = False
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    word_order: Annotated[WordOrder, Meta(description="of 32-bit values; A is the highest byte")] = "ABCD"
    timeout_s: Annotated[float, Meta(gt=0, le=10, description="patience beside the time of the bytes")] = 0.2
    max_read: Annotated[int, Meta(ge=1, le=pdu.MAX_READ_REGISTERS, description="registers in one read")] = 125
    max_gap: Annotated[int, Meta(ge=0, le=64, description="unused registers that one read may run over")] = 0


class ValueTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[value.NAME]`: one value that can be read."""

    function: Literal[1, 2, 3, 4]
    address: Place
    type: Type
    count: Annotated[int, Meta(ge=1, le=pdu.MAX_READ_BITS, description="so many bits side by side (1, 2)")] = 1
    bit: Annotated[int, Meta(ge=0, le=15, description="this bit of the register (3, 4)")] | None = None
    mask: Annotated[int, Meta(ge=1, le=0xFFFF, description="only these bits of a u16, moved down")] | None = None
    word_order: WordOrder | None = None
    scale: Annotated[float, Meta(description="what one step is worth")] = 1.0
    decimals: Annotated[str, Meta(description="another value that says how many decimals this one has")] | None = None
    unit: Annotated[str, Meta(max_length=16)] = ""
    valid: Annotated[tuple[float, float], Meta(description="lowest and highest that can be true")] | None = None
    poll_s: Annotated[float, Meta(gt=0, le=86400)] = 5.0
    note: Text = ""

    @property
    def places(self) -> int:
        """Registers, or bits of functions 1 and 2."""
        return self.count if self.function in pdu.BIT_READS else REGISTERS_OF[self.type]


class CommandTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[command.NAME]`: one fixed thing that can be written."""

    function: Literal[5, 6, 15, 16]
    address: Place
    values: Annotated[tuple[Register, ...], Meta(min_length=1, max_length=64, description="0 and 1 for coils")]
    note: Text = ""

    def request(self) -> pdu.WriteCoil | pdu.WriteRegister | pdu.WriteCoils | pdu.WriteRegisters:
        """What to send."""
        match self.function:
            case pdu.WRITE_COIL:
                return pdu.WriteCoil(self.address, bool(self.values[0]))
            case pdu.WRITE_REGISTER:
                return pdu.WriteRegister(self.address, self.values[0])
            case pdu.WRITE_COILS:
                return pdu.WriteCoils(self.address, tuple(map(bool, self.values)))
            case _:
                return pdu.WriteRegisters(self.address, self.values)


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole profile."""

    device: DeviceTable
    value: Annotated[dict[str, ValueTable], Meta(min_length=1, max_length=MAX_VALUES)]
    command: dict[str, CommandTable] = {}


@dataclass(frozen=True, slots=True)
class Profile:
    """A checked profile. `name` is the file's name without `.toml`."""

    name: str
    device: DeviceTable
    values: Mapping[str, ValueTable]
    commands: Mapping[str, CommandTable]

    def need(self, *names: str) -> None:
        """Raises MisconfiguredError unless the profile has all these values: a driver needs them."""
        lacks = [name for name in names if name not in self.values]
        if lacks:
            raise MisconfiguredError(f"profile {self.name}: value.{lacks[0]}: is missing; add it, this driver needs it")

    def word_order(self, value: ValueTable) -> WordOrder:
        """The order of the bytes of a 32-bit value."""
        return value.word_order or self.device.word_order


@cache
def load_profile(name: str) -> Profile:
    """A shipped profile. Raises MisconfiguredError with the names that there are."""
    known = shipped_names()
    if name not in known:
        raise MisconfiguredError(f"there is no profile {name!r}; there are: {', '.join(known)}")
    return parse_profile(f"{name}.toml", (files(shipped) / f"{name}.toml").read_bytes())


def shipped_names() -> list[str]:
    """The profiles of this package."""
    names = (entry.name for entry in files(shipped).iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_profile(path: Path) -> Profile:
    """The profile in a file. Raises MisconfiguredError, a line each problem."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MisconfiguredError(
            f"{path}: {error.strerror}; name a profile, or one of: {', '.join(shipped_names())}"
        ) from error
    return parse_profile(str(path), raw)


def parse_profile(where: str, raw: bytes) -> Profile:
    """The profile in `raw`; `where` is its file's name. Raises MisconfiguredError, a line each problem."""
    if len(raw) > MAX_FILE_BYTES:
        raise MisconfiguredError(f"{where}: more than {MAX_FILE_BYTES} bytes; a profile is a short table")
    try:
        tables = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MisconfiguredError(f"{where}: not TOML: {error}") from error
    problems: list[str] = []
    device = _table(tables.pop("device", None), DeviceTable, "device", problems)
    values = _tables(tables.pop("value", {}), ValueTable, "value", problems)
    commands = _tables(tables.pop("command", {}), CommandTable, "command", problems)
    problems += [f"{key}: {_unknown(key, ('device', 'value', 'command'))}" for key in tables]
    if not 1 <= len(values) <= MAX_VALUES and not problems:
        problems.append(f"value: {len(values)} values; a profile has 1 to {MAX_VALUES}")
    for name, value in values.items():
        problems += [f"value.{name}.{key}: {what}" for key, what in _wrong_value(value, values)]
    for name, command in commands.items():
        problems += [f"command.{name}.{key}: {what}" for key, what in _wrong_command(command)]
    if problems or device is None:
        raise MisconfiguredError("\n".join(f"{where}: {problem}" for problem in problems))
    return Profile(Path(where).stem, device, values, commands)


def json_schema() -> dict[str, Any]:
    """What a profile may hold, as a JSON schema (TOML editors take it)."""
    return msgspec.json.schema(_File)


# ---------------------------------------------------------------- what can be wrong

T = TypeVar("T", bound=msgspec.Struct)


def _tables(raw: object, kind: type[T], key: str, problems: list[str]) -> dict[str, T]:
    if not isinstance(raw, dict):
        problems.append(f"{key}: is no table; write [{key}.NAME]")
        return {}
    found: dict[str, T] = {}
    for name, table in raw.items():
        if not _NAME.match(name):
            problems.append(f"{key}.{name}: is no name; write small letters, digits and _, a letter first")
        elif (good := _table(table, kind, f"{key}.{name}", problems)) is not None:
            found[name] = good
    return found


def _table(raw: object, kind: type[T], key: str, problems: list[str]) -> T | None:
    if raw is None:
        problems.append(f"{key}: is missing; add [{key}]")
        return None
    known = [field.name for field in msgspec.structs.fields(kind)]
    strange = [name for name in raw if name not in known] if isinstance(raw, dict) else []
    if strange:
        problems.extend(f"{key}.{name}: {_unknown(name, known)}" for name in strange)
        return None
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        problems.append(_said(kind, key, str(error)))
        return None


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown key; {f'did you mean {near[0]}?' if near else 'remove it, there are: ' + ', '.join(known)}"


def _said(kind: type[msgspec.Struct], key: str, message: str) -> str:
    """The library's sentence as key and fix."""
    what, _, path = message.partition(" - at `$")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        return f"{key}.{missing[1]}: is missing; add it"
    path = path.rstrip("`")
    if what.startswith("Invalid enum value") and (choices := _choices(get_type_hints(kind)[path.lstrip(".")])):
        return f"{key}{path}: must be one of {', '.join(choices)}"
    return f"{key}{path}: {what[:1].lower()}{what[1:]}; mend it"


def _choices(hint: Any) -> list[str]:
    """What a Literal allows, also inside of an Optional."""
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    return [choice for part in get_args(hint) for choice in _choices(part)]


def _wrong_value(value: ValueTable, values: Mapping[str, ValueTable]) -> Iterator[tuple[str, str]]:
    bits = value.function in pdu.BIT_READS
    if bits and value.type != "bit":
        yield "type", f"functions 1 and 2 read bits, not {value.type}; write bit, or function 3 or 4"
    if not bits and value.type == "bit" and value.bit is None:
        yield "bit", "is missing; say which bit of the register, 0 to 15"
    if value.bit is not None and (bits or value.type != "bit"):
        yield "bit", "belongs to a bit of a register (type bit, function 3 or 4); remove it"
    if value.count > 1 and not bits:
        yield "count", "belongs to functions 1 and 2; write one value for each register"
    if value.mask is not None and value.type != "u16":
        yield "mask", "belongs to a u16; remove it or change the type"
    if value.word_order is not None and REGISTERS_OF[value.type] == 1:
        yield "word_order", "belongs to 32-bit values; remove it"
    if value.address + value.places > pdu.PLACES:
        yield "address", f"runs beyond 65535 with its {value.places} places; lower it"
    yield from _wrong_number(value, values)


def _wrong_number(value: ValueTable, values: Mapping[str, ValueTable]) -> Iterator[tuple[str, str]]:
    numeric = {"scale": value.scale != 1.0, "decimals": value.decimals is not None, "valid": value.valid is not None}
    if value.type == "bit":
        yield from ((key, "belongs to numbers, not to bits; remove it") for key, said in numeric.items() if said)
        return
    if not math.isfinite(value.scale) or value.scale == 0:
        yield "scale", "must be a number other than 0"
    if value.valid is not None and not value.valid[0] < value.valid[1]:
        yield "valid", "the first is not below the second; write [lowest, highest]"
    if value.decimals is None:
        return
    other = values.get(value.decimals)
    if other is None:
        yield "decimals", f"no value is called {value.decimals!r}; there is: {', '.join(values)}"
    elif other.type != "u16" or other.decimals is not None or other.scale != 1.0:
        yield "decimals", f"{value.decimals!r} must be a plain u16 to say how many decimals there are"


def _wrong_command(command: CommandTable) -> Iterator[tuple[str, str]]:
    if command.function in (5, 6) and len(command.values) != 1:
        yield "values", "functions 5 and 6 write one value; use 15 or 16 for more"
    if command.function in (5, 15) and any(value > 1 for value in command.values):
        yield "values", "a coil takes 0 or 1"
    if command.address + len(command.values) > pdu.PLACES:
        yield "address", "runs beyond 65535; lower it"
