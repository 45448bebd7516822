"""Climate, refrigeration and contacts by their profile: read, never written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from device_drivers.errors import UnavailableError
from device_drivers.modbus_rtu import Inputs, Measured, Meter
from edge.config import ClimateConfig, FridgeConfig, LimitedConfig, RelayInputsConfig, framing_of, profile_of
from edge.devices.built import Building
from edge.devices.limits import Limit, Values
from edge.devices.polled import Polled

SUFFIXES = {"°C": "_c", "%RH": "_rh"}
CONTROLLER_ALARM = Limit("alarm_bits", "controller_alarm", most=0)


def build_climate(device: ClimateConfig, around: Building) -> None:
    """Temperature and, where the profile has it, humidity."""
    meter = _meter(device, around)
    names = [name for name in ("temperature", "humidity") if name in meter.profile.values]
    _polled(device, around, meter, names)


def build_fridge(device: FridgeConfig, around: Building) -> None:
    """Every value of the profile; the controller's own alarms are alarms too."""
    meter = _meter(device, around)
    names = list(meter.profile.values)
    _polled(device, around, meter, names, extra=(CONTROLLER_ALARM,) if "alarm_bits" in names else ())


def build_relay_inputs(device: RelayInputsConfig, around: Building) -> None:
    """Contacts, 1.0 for a closed one. The relays of the board are never switched by a store."""
    bus, profile = around.devices.buses[device.bus], profile_of(device)
    framing = framing_of(device, around.lines[device.bus].protocol)
    inputs = Inputs(bus, address=device.address, profile=profile, framing=framing)
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus=device.bus,
            ask=partial(_contacts, inputs, device.names),
            health=around.watch(device.id, device.kind),
            poll_s=device.poll_s,
        )
    )


async def _contacts(inputs: Inputs, names: tuple[str, ...]) -> Values:
    states = await inputs.states()
    return {names[n] if n < len(names) else f"input_{n + 1}": float(on) for n, on in enumerate(states)}


def _meter(device: LimitedConfig, around: Building) -> Meter:
    assert isinstance(device, ClimateConfig | FridgeConfig)
    return Meter(
        around.devices.buses[device.bus],
        address=device.address,
        profile=profile_of(device),
        framing=framing_of(device, around.lines[device.bus].protocol),
    )


def _polled(
    device: ClimateConfig | FridgeConfig,
    around: Building,
    meter: Meter,
    names: list[str],
    extra: Iterable[Limit] = (),
) -> None:
    shown = {name: name + SUFFIXES.get(meter.profile.values[name].unit, "") for name in names}
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus=device.bus,
            ask=partial(_read, meter, shown),
            health=around.watch(device.id, device.kind),
            poll_s=device.poll_s,
            limits=(*_limits(device, "humidity_rh" in shown.values()), *extra),
        )
    )


async def _read(meter: Meter, shown: dict[str, str]) -> Values:
    """A value that cannot be true is left out. Raises UnavailableError if none of them can be."""
    found = await meter.read(*shown)
    values = {shown[name]: number for name, one in found.items() if (number := _number(one)) is not None}
    if not values:
        raise UnavailableError(f"{meter.station.name}: no value can be true; is its probe broken?")
    return values


def _number(one: Measured) -> float | None:
    return None if one.value is None or isinstance(one.value, tuple) else float(one.value)


def _limits(device: LimitedConfig, has_humidity: bool) -> Iterable[Limit]:
    if device.min_c is not None or device.max_c is not None:
        yield Limit("temperature_c", "probe_broken", for_s=device.for_s)
    if device.min_c is not None:
        yield Limit("temperature_c", "too_cold", device.min_c, None, device.hysteresis_c, device.for_s)
    if device.max_c is not None:
        yield Limit("temperature_c", "too_warm", None, device.max_c, device.hysteresis_c, device.for_s)
    if has_humidity and device.min_rh is not None:
        yield Limit("humidity_rh", "too_dry", device.min_rh, None, device.hysteresis_rh, device.for_s)
    if has_humidity and device.max_rh is not None:
        yield Limit("humidity_rh", "too_humid", None, device.max_rh, device.hysteresis_rh, device.for_s)
