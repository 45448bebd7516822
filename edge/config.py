"""`store.toml`: what stands in a store. A wrong description is refused with file, key and fix before any start."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contracts.ids import ID_PATTERN
from contracts.planogram import (
    CabinetPlace,
    CompartmentPlace,
    DevicePlace,
    Product,
    ShelfPlace,
    StoreDocument,
)
from device_drivers.errors import MisconfiguredError
from device_drivers.link_url import EXAMPLE, LinkUrl, schemes
from device_drivers.lock_boards import LOCK_BOARDS
from device_drivers.lock_profile import MAX_HOLD_OFF_S, MIN_HOLD_OFF_S, BitOrder

Id = Annotated[str, Field(pattern=ID_PATTERN)]
MAX_FILE_BYTES = 1 << 20
MAX_GOODS = 60  # different products behind one door: as many as one count by staff takes
MIN_QUOTA_BYTES = 16 << 20
_HOLD_SECRETS = frozenset({"cloud", "staff"})  # sections whose values are never repeated: a password, a PIN


class ConfigError(Exception):
    """A store description that cannot run; the message holds file, key and fix, a line each problem.

    `keys` are the keys alone, without any value: they may leave the store."""

    def __init__(self, message: str, keys: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.keys = tuple(keys)


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CloudConfig(Section):
    url: str = Field(repr=False, description="mqtt://host:port or mqtts://host:port of the broker")


class LedgerConfig(Section):
    """What the ledger may take of the disk."""

    retain_days: float = Field(default=7.0, ge=0, le=366, description="confirmed events stay so long for a look inside")
    retain_bytes: int = Field(default=32 << 20, ge=0, le=1 << 36, description="… and take so much; 0: none stay")
    telemetry_rows: int = Field(default=50_000, ge=100, le=10_000_000, description="oldest dropped beyond it")
    reserve_bytes: int = Field(default=8 << 20, ge=1 << 20, le=1 << 30, description="held for the last words")
    quota_bytes: int = Field(default=0, ge=0, le=1 << 40, description="most the file may take; 0: what the disk has")

    @field_validator("quota_bytes")
    @classmethod
    def _is_room(cls, quota_bytes: int) -> int:
        if 0 < quota_bytes < MIN_QUOTA_BYTES:
            raise ValueError(f"at least {MIN_QUOTA_BYTES}, or 0 for what the disk has")
        return quota_bytes


NETWORK = frozenset({"tcp", "rfc2217"})
MAY_BE_FAR = frozenset({"modbus_rtu"})  # a weight that comes late opens nothing, and names nobody


class BusConfig(Section):
    """One line and what is spoken on it."""

    id: Id
    url: str = Field(
        description="serial:///dev/ttyUSB0?baud=9600, serial://usb/VENDOR:PRODUCT/SERIAL, tcp:// or rfc2217://HOST:PORT"
    )
    protocol: Literal["lock_8a", "lock_cu16", "lock_cu48", "lock_winnsen", "modbus_rtu", "scanner", "id_card"]

    @field_validator("url")
    @classmethod
    def _names_a_link(cls, url: str) -> str:
        try:
            scheme = LinkUrl.parse(url).scheme
        except MisconfiguredError as error:
            raise ValueError(f"{error}; write for example {EXAMPLE}") from error
        if scheme not in schemes():
            raise ValueError(f"no link is called {scheme!r}; write for example {EXAMPLE}")
        return url

    @model_validator(mode="after")
    def _no_lock_behind_a_network(self) -> Self:
        if self.link.scheme in NETWORK and self.protocol not in MAY_BE_FAR:
            raise ValueError(
                f"url: {self.protocol} may not be behind a network, where a frame can act late and bytes can be read "
                f"on the way; name a port of this machine, such as {EXAMPLE}"
            )
        return self

    @property
    def link(self) -> LinkUrl:
        """Where the line is, to be opened."""
        return LinkUrl.parse(self.url)

    @property
    def port(self) -> str:
        """Path of the serial port; "" for a line that is found by what it is, or over the network."""
        return self.link.path if self.link.scheme == "serial" else ""


class LockBoardConfig(Section):
    kind: Literal["lock_board"]
    id: Id
    bus: Id
    family: Literal["lock_8a", "lock_cu16", "lock_cu48", "lock_winnsen"] = Field(
        default="lock_8a", description="what the board speaks; its bus must speak the same"
    )
    address: int = Field(ge=0, le=32)
    feedback_polarity: Literal["locked_short", "open_short"] = Field(
        description="how the feedback switch is wired; it inverts every status bit, so it must be said"
    )
    dialect: str = Field(default="", max_length=32, description="a form of the family's frames; empty: the usual one")
    bit_order: BitOrder | Literal[""] = Field(
        default="", description="where lock 1 stands in the status of a whole board; empty: as usual in its family"
    )
    hold_off_s: float = Field(
        default=MIN_HOLD_OFF_S, ge=MIN_HOLD_OFF_S, le=MAX_HOLD_OFF_S, description="seconds between two pulses"
    )
    echo: bool = Field(default=False, description="true if the RS-485 adapter repeats what we send")


class ScaleConfig(Section):
    kind: Literal["scale"]
    id: Id
    bus: Id
    address: int = Field(ge=1, le=247)
    sigma_g: float = Field(default=0.5, gt=0, description="standard deviation of a stable sample, grams")


class ScannerConfig(Section):
    kind: Literal["scanner"]
    id: Id
    bus: Id
    cabinet: Id


class IdCardConfig(Section):
    kind: Literal["id_card"]
    id: Id
    bus: Id
    cabinet: Id


class DetectorConfig(Section):
    path: Path = Field(description="an ONNX file of your own in place of the default person detector; absolute")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str = Field(min_length=1, max_length=128, description="what allows you to use it")


class CameraConfig(Section):
    kind: Literal["camera"]
    id: Id
    source: str = Field(description="sim://entrance, or the path of a video file")
    fps: float = Field(default=5.0, gt=0, le=30)
    line: tuple[float, float, float, float] = Field(
        default=(0.0, 0.55, 1.0, 0.55), description="x1, y1, x2, y2 in 0..1; crossing it downwards is `in`"
    )
    sign_confirmed_at: str = Field(default="", description="day on which the camera notice was seen in place")
    fit: Literal["letterbox", "stretch"] = Field(
        default="letterbox", description="how a frame is put into the detector's square; stretch for tall, near scenes"
    )
    read_codes_every: int = Field(default=0, ge=0, le=1000, description="look for codes in every n-th frame; 0: never")
    codes_cabinet: Id | None = Field(default=None, description="the cabinet that a member code before it asks for")
    detector: DetectorConfig | None = None


DeviceConfig = Annotated[
    LockBoardConfig | ScaleConfig | ScannerConfig | IdCardConfig | CameraConfig, Field(discriminator="kind")
]


class ProductConfig(Section):
    sku: Id
    name_zh: str = Field(max_length=32)
    name_en: str = Field(max_length=48)
    price_fen: int = Field(gt=0)
    unit_weight_g: float = Field(gt=0)
    sigma_g: float = Field(default=0.3, ge=0, description="standard deviation between two pieces, grams")
    category: Literal["snack", "drink", "tobacco"]


class StockConfig(Section):
    sku: Id
    units: int = Field(ge=0, le=500)
    capacity: int = Field(ge=1, le=500)


class ShelfConfig(Section):
    id: Id
    scale: Id
    stock: tuple[StockConfig, ...] = Field(min_length=1, max_length=60)


class CompartmentConfig(Section):
    id: Id
    lock: Id
    channel: int = Field(ge=1, le=48)
    shelf: tuple[ShelfConfig, ...] = Field(min_length=1)


class CabinetConfig(Section):
    id: Id
    name_zh: str = Field(max_length=32)
    name_en: str = Field(max_length=48)
    mode: Literal["self_service", "staff_release", "counter_only"]
    compartment: tuple[CompartmentConfig, ...] = Field(min_length=1)


class StaffConfig(Section):
    id: Id
    name: str = Field(max_length=32)
    pin_hash: str = Field(repr=False, description="from `zhanggui edge hash-pin`")
    manager: bool = False
    adult_verified: bool = Field(default=False, description="a document that proves 18 years was seen")


class StoreConfig(Section):
    """A whole store."""

    tenant: Id
    store: Id
    name_zh: str = Field(max_length=32)
    name_en: str = Field(max_length=48)
    region: str = Field(default="", max_length=48)
    data_dir: Path
    policy: Path | None = None
    member_key_file: Path
    cloud: CloudConfig
    ledger: LedgerConfig = LedgerConfig()
    bus: tuple[BusConfig, ...] = ()
    device: tuple[DeviceConfig, ...] = ()
    product: tuple[ProductConfig, ...] = ()
    cabinet: tuple[CabinetConfig, ...] = ()
    staff: tuple[StaffConfig, ...] = ()

    def compartments(self) -> Iterator[tuple[CabinetConfig, CompartmentConfig]]:
        """Every compartment with its cabinet."""
        for cabinet in self.cabinet:
            for compartment in cabinet.compartment:
                yield cabinet, compartment

    def product_of(self, sku: str) -> ProductConfig:
        """The product of a checked configuration. Raises KeyError."""
        return next(p for p in self.product if p.sku == sku)

    def document(self) -> StoreDocument:
        """The store as the operators' pages draw it."""
        return StoreDocument(
            name_zh=self.name_zh,
            name_en=self.name_en,
            region=self.region,
            cabinets=tuple(
                CabinetPlace(
                    cabinet=c.id,
                    name_zh=c.name_zh,
                    name_en=c.name_en,
                    mode=c.mode,
                    compartments=tuple(
                        CompartmentPlace(
                            compartment=k.id,
                            shelves=tuple(
                                ShelfPlace(shelf=s.id, capacity={x.sku: x.capacity for x in s.stock}) for s in k.shelf
                            ),
                        )
                        for k in c.compartment
                    ),
                )
                for c in self.cabinet
            ),
            products=tuple(
                Product(
                    sku=p.sku,
                    name_zh=p.name_zh,
                    name_en=p.name_en,
                    price_fen=p.price_fen,
                    unit_weight_g=p.unit_weight_g,
                    category=p.category,
                )
                for p in self.product
            ),
            devices=tuple(DevicePlace(device=d.id, kind=d.kind, model=_model(d)) for d in self.device),
            lines=tuple(d.id for d in self.device if d.kind == "camera"),
        )


def _model(device: DeviceConfig) -> str:
    if isinstance(device, LockBoardConfig):
        return LOCK_BOARDS[device.family].title
    return {"scale": "Modbus RTU", "scanner": "serial", "id_card": "SAM", "camera": "camera"}[device.kind]


def problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """Everything that is wrong although each value alone is right, as (key, what is wrong and how to mend it)."""
    buses = {b.id: b for b in config.bus}
    devices = {d.id: d for d in config.device}
    products = {p.sku: p for p in config.product}
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
    ports: dict[str, str] = {}
    for line in config.bus:
        if line.port in ports:
            yield (
                f"bus.{line.id}.url",
                f"bus {ports[line.port]!r} has {line.port} already; put their devices on one bus",
            )
        ports[line.port] = line.id
    addresses: dict[tuple[str, int], str] = {}
    protocol_of = {"scale": "modbus_rtu", "scanner": "scanner", "id_card": "id_card"}
    for device in config.device:
        if isinstance(device, CameraConfig):
            if device.read_codes_every and device.codes_cabinet not in {c.id for c in config.cabinet}:
                yield (
                    f"device.{device.id}.codes_cabinet",
                    "a camera that reads codes must name the cabinet that a member code asks for",
                )
            continue
        bus = buses.get(device.bus)
        speaks = device.family if isinstance(device, LockBoardConfig) else protocol_of[device.kind]
        if bus is None:
            yield f"device.{device.id}.bus", f"no bus is called {device.bus!r}; there is: {', '.join(buses) or 'none'}"
        elif bus.protocol != speaks:
            yield f"device.{device.id}.bus", f"bus {bus.id!r} speaks {bus.protocol}, this {device.kind} needs {speaks}"
        if isinstance(device, LockBoardConfig):
            wrong = LOCK_BOARDS[device.family].wrong(device.address, device.dialect)
            yield from ((f"device.{device.id}.{key}", fix) for key, fix in wrong)
        if isinstance(device, LockBoardConfig | ScaleConfig):
            place = (device.bus, device.address)
            if place in addresses:
                yield (
                    f"device.{device.id}.address",
                    f"{addresses[place]!r} has address {device.address} on bus {device.bus!r} already; set another one",
                )
            addresses[place] = device.id
        if isinstance(device, ScannerConfig | IdCardConfig) and device.cabinet not in {c.id for c in config.cabinet}:
            yield f"device.{device.id}.cabinet", f"no cabinet is called {device.cabinet!r}"
    yield from _unsealed(config)
    channels: dict[tuple[str, int], str] = {}
    shelves: dict[str, str] = {}
    scales: dict[str, str] = {}
    compartments: dict[str, str] = {}
    for cabinet, compartment in config.compartments():
        where = f"cabinet.{cabinet.id}.compartment.{compartment.id}"
        if compartment.id in compartments:
            yield f"{where}.id", f"cabinet {compartments[compartment.id]!r} has a compartment of that id already"
        compartments[compartment.id] = cabinet.id
        goods = {stock.sku for shelf in compartment.shelf for stock in shelf.stock}
        if len(goods) > MAX_GOODS:
            yield f"{where}.shelf", f"{len(goods)} different products; staff count at most {MAX_GOODS} behind one door"
        lock = devices.get(compartment.lock)
        if not isinstance(lock, LockBoardConfig):
            yield f"{where}.lock", f"no lock_board is called {compartment.lock!r}"
        elif compartment.channel > (most := LOCK_BOARDS[lock.family].channels_of(lock.dialect)):
            yield f"{where}.channel", f"{compartment.lock!r} has {most} channels; name one of them"
        channel = (compartment.lock, compartment.channel)
        if channel in channels:
            yield (
                f"{where}.channel",
                f"{channels[channel]!r} uses channel {compartment.channel} of {compartment.lock!r} already",
            )
        channels[channel] = compartment.id
        for shelf in compartment.shelf:
            if shelf.id in shelves:
                yield f"{where}.shelf.{shelf.id}.id", f"compartment {shelves[shelf.id]!r} has that shelf already"
            shelves[shelf.id] = compartment.id
            if not isinstance(devices.get(shelf.scale), ScaleConfig):
                yield f"{where}.shelf.{shelf.id}.scale", f"no scale is called {shelf.scale!r}"
            if shelf.scale in scales:
                yield (
                    f"{where}.shelf.{shelf.id}.scale",
                    f"{scales[shelf.scale]!r} stands on {shelf.scale!r} already; a shelf needs its own scale",
                )
            scales[shelf.scale] = shelf.id
            on_shelf = [stock.sku for stock in shelf.stock]
            for sku in sorted({sku for sku in on_shelf if on_shelf.count(sku) > 1}):
                yield f"{where}.shelf.{shelf.id}.stock.{sku}", "stands there twice; add up its units in one entry"
            for stock in shelf.stock:
                product = products.get(stock.sku)
                if product is None:
                    yield f"{where}.shelf.{shelf.id}.stock.{stock.sku}", "no such product; add it as [[product]]"
                elif product.category == "tobacco" and cabinet.mode == "self_service":
                    yield (
                        f"cabinet.{cabinet.id}.mode",
                        f"tobacco ({stock.sku}) in a self_service cabinet (T11); set mode to staff_release or move it",
                    )
                elif product.category != "tobacco" and cabinet.mode == "staff_release":
                    yield (
                        f"{where}.shelf.{shelf.id}.stock.{stock.sku}",
                        f"a {product.category} stands in a tobacco cabinet; move it to a self_service cabinet",
                    )


def _unsealed(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """Where a frame has no check sum, a turned bit opens another door of its line: no tobacco beside other goods."""
    products = {p.sku: p for p in config.product}
    boards = (d for d in config.device if isinstance(d, LockBoardConfig))
    line_of = {board.id: board.bus for board in boards if not LOCK_BOARDS[board.family].sealed}
    behind: dict[str, set[bool]] = {line: set() for line in line_of.values()}
    for _, compartment in config.compartments():
        goods = [products.get(stock.sku) for shelf in compartment.shelf for stock in shelf.stock]
        if compartment.lock in line_of:
            tobacco = any(product is not None and product.category == "tobacco" for product in goods)
            behind[line_of[compartment.lock]].add(tobacco)
    for line, kinds in behind.items():
        if len(kinds) > 1:
            yield (
                f"bus.{line}.protocol",
                "its frames have no check sum, so a turned bit opens another door; put tobacco on a bus of its own",
            )


def missing_ports(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """Serial ports that are named by their path and are not there."""
    for bus in config.bus:
        if bus.port and not Path(bus.port).exists():
            yield (
                f"bus.{bus.id}.url",
                f"{bus.port} is not there; plug the adapter in, or name the right port (ls /dev/serial/by-id)",
            )


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
    return config.model_copy(
        update={
            "data_dir": base / config.data_dir,
            "member_key_file": base / config.member_key_file,
            "policy": base / config.policy if config.policy else None,
        }
    )


def refusal(path: Path, wrong: Sequence[tuple[str, str]]) -> ConfigError:
    """One error that holds all of (key, what is wrong)."""
    return ConfigError("\n".join(f"{path}: {key}: {what}" for key, what in wrong), [key for key, _ in wrong])


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _fix(error: object) -> str:
    assert isinstance(error, dict)
    if error["type"] == "extra_forbidden":
        return "unknown key; remove it or mend its spelling"
    if error["type"] == "missing":
        return "is missing; add it"
    said = str(error["msg"]).removeprefix("Value error, ")
    return said if error["loc"][0] in _HOLD_SECRETS else f"{said} (is {error.get('input')!r})"
