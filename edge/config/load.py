"""Reading `store.toml`: bounded, checked, and refused with file, key and fix before any start."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from edge.config.adult_devices import TrialUnitConfig
from edge.config.devices import DeviceConfig
from edge.config.goods_problems import goods_problems
from edge.config.line_problems import adapter_problems, device_problems, line_problems, unsealed
from edge.config.profiles import ProfiledConfig, is_file, profile_problems
from edge.config.section import MAX_FILE_BYTES, ConfigError, refusal
from edge.config.store import StoreConfig
from edge.keys import read_key

_HOLD_SECRETS = frozenset({"cloud", "staff"})  # sections whose values are never repeated: a password, a PIN


def problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """Everything that is wrong although each value alone is right, as (key, what is wrong and how to mend it)."""
    yield from _names(config)
    yield from line_problems(config)
    yield from device_problems(config)
    yield from adapter_problems(config)
    yield from unsealed(config)
    yield from goods_problems(config)


def _names(config: StoreConfig) -> Iterator[tuple[str, str]]:
    named: list[tuple[str, str]] = [
        *((f"bus.{b.id}", b.id) for b in config.bus),
        *((f"device.{d.id}", d.id) for d in config.device),
        *((f"cabinet.{c.id}", c.id) for c in config.cabinet),
    ]
    seen: dict[str, str] = {}
    for key, name in named:
        if name in seen:
            yield f"{key}.id", f"{name!r} names {seen[name]} already; give one of them another id"
        seen[name] = key
    # One product described twice could be tobacco here and a snack there (T11); one person twice, two PINs.
    for kind, ids in (("product", [p.sku for p in config.product]), ("staff", [p.id for p in config.staff])):
        for name in sorted({name for name in ids if ids.count(name) > 1}):
            yield f"{kind}.{name}", f"is described {ids.count(name)} times; keep one"


def load_store(path: Path) -> StoreConfig:
    """The checked store description at `path`; relative paths in it count from its folder. Raises ConfigError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; name the store description, e.g. zhanggui edge run store.toml"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: {len(raw)} bytes, at most {MAX_FILE_BYTES}")
    try:
        config = StoreConfig.model_validate(tomllib.loads(raw.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        wrong = [(_key(e["loc"]), _fix(e)) for e in error.errors()]
        raise refusal(path, wrong) from error
    if found := list(problems(config)):
        raise refusal(path, found)
    base = path.resolve().parent
    resolved = config.model_copy(
        update={
            "data_dir": base / config.data_dir,
            "member_key_file": base / config.member_key_file,
            "policy": base / config.policy if config.policy else None,
            "device": tuple(_resolved(device, base) for device in config.device),
        }
    )
    if found := list(file_problems(resolved)):
        raise refusal(path, found)
    return resolved


def _resolved(device: DeviceConfig, base: Path) -> DeviceConfig:
    """A device whose files are named from the root on."""
    if isinstance(device, ProfiledConfig) and is_file(device.profile):
        return device.model_copy(update={"profile": str(base / device.profile)})
    if isinstance(device, TrialUnitConfig):
        return device.model_copy(update={"key_file": base / device.key_file})
    return device


def file_problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """What is wrong with the files that devices name; their paths are absolute by now."""
    for device in config.device:
        if isinstance(device, ProfiledConfig):
            yield from profile_problems(device)
        elif isinstance(device, TrialUnitConfig):
            key = f"device.{device.id}.key_file"
            try:
                read_key(device.key_file, "the unit's key")
            except ConfigError as error:
                yield key, str(error)


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _fix(error: object) -> str:
    assert isinstance(error, dict)
    if error["type"] == "extra_forbidden":
        return "unknown key; remove it or mend its spelling"
    if error["type"] == "missing":
        return "is missing; add it"
    said = str(error["msg"]).removeprefix("Value error, ")
    value = error.get("input")
    # a whole section may hold a camera's login, and so may whatever looks like an address
    shown = error["loc"][0] not in _HOLD_SECRETS and not isinstance(value, dict | list)
    if not shown or (isinstance(value, str) and ("@" in value or "://" in value)):
        return said
    return f"{said} (is {value!r})"
