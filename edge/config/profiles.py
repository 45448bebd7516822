"""Modbus profiles as a store names them: a shipped one by its name, or a file of the store's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device_drivers.bus import Bus
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link
from device_drivers.modbus_rtu import RTU, Climate, Inputs, Profile, WeightTransmitter, load_profile, read_profile
from device_drivers.modbus_rtu.framing import Framing, Rtu
from device_drivers.modbus_tcp import TCP
from edge.config.device import ScaleConfig
from edge.config.metered import ClimateConfig, FridgeConfig, RelayInputsConfig

ProfiledConfig = ScaleConfig | ClimateConfig | FridgeConfig | RelayInputsConfig
USUAL_PROFILE = {
    "scale": "weight_transmitter",
    "climate": "xy_md02",
    "fridge": "refrigeration",
    "relay_inputs": "relay_8",
}


def is_file(name: str) -> bool:
    """Whether this names a file and no shipped profile."""
    return name.endswith(".toml") or "/" in name


def profile_of(device: ProfiledConfig) -> Profile:
    """The profile of a device. Raises MisconfiguredError."""
    name = device.profile or USUAL_PROFILE[device.kind]
    return read_profile(Path(name)) if is_file(name) else load_profile(name)


def framing_of(device: ProfiledConfig, protocol: str) -> Framing:
    """How its questions become bytes."""
    if protocol == "modbus_tcp":
        return TCP
    return Rtu(echo=True) if device.echo else RTU


def profile_problems(device: ProfiledConfig) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of a profile that is not there, is wrong, or lacks what its kind needs."""
    key = f"device.{device.id}.profile"
    try:
        profile = profile_of(device)
        _fits(device.kind, profile)
    except MisconfiguredError as error:
        yield from ((key, line) for line in str(error).splitlines())
        return
    if isinstance(device, RelayInputsConfig) and len(device.names) > (most := profile.values["inputs"].count):
        yield f"device.{device.id}.names", f"{len(device.names)} names, but the board has {most} inputs; leave some out"


def kinds_of(profile: Profile) -> list[str]:
    """The kinds of devices that this profile can serve."""
    found = []
    for kind in USUAL_PROFILE:
        try:
            _fits(kind, profile)
        except MisconfiguredError:
            continue
        found.append(kind)
    return found


def _fits(kind: str, profile: Profile) -> None:
    """The drivers themselves say what they need. Raises MisconfiguredError."""
    line = Bus(name="check", open_link=_never, on_fault=lambda _kind, _detail: None)
    match kind:
        case "scale":
            WeightTransmitter(line, address=1, profile=profile)
        case "relay_inputs":
            Inputs(line, address=1, profile=profile)
        case _:
            Climate(line, address=1, profile=profile)


async def _never() -> Link:
    raise UnavailableError("a line that is only looked at on paper")
