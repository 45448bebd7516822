"""ACME climate pucks: `A5 ADDR CMD [TEMP-hi TEMP-lo] SUM`, 9600 8N1; CMD 01 asks, 81 tells tenths of a degree."""

from dataclasses import dataclass

from device_drivers.bus import Bus, Exchange, Priority
from device_drivers.family import Family
from device_drivers.faults import OnFault
from device_drivers.settings import Settings

HEAD, ASK, TELL = 0xA5, 0x01, 0x81
SIZES = {ASK: 4, TELL: 6}  # bytes of a whole frame


@dataclass(frozen=True)
class Frame:
    address: int
    command: int
    value: bytes = b""

    def __str__(self) -> str:
        return f"{int.from_bytes(self.value, 'big', signed=True) / 10:.1f} °C" if self.value else "how warm?"


class Decoder:
    def __init__(self, on_fault: OnFault) -> None:
        self._buffer, self._on_fault = bytearray(), on_fault

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        frames, at = list[Frame](), 0
        while at + 3 <= len(self._buffer):
            size = SIZES.get(self._buffer[at + 2], 1) if self._buffer[at] == HEAD else 1
            raw = bytes(self._buffer[at : at + size])
            if len(raw) < size:
                break  # the rest is still to come
            if size > 1 and sum(raw[:-1]) & 0xFF == raw[-1]:
                frames.append(Frame(raw[1], raw[2], raw[3:-1]))
                at += size
            else:
                self._on_fault("framing", "a byte of no frame")
                at += 1
        del self._buffer[:at]
        return frames


async def probe(bus: Bus, address: int, _settings: Settings) -> str:
    body, decoder = bytes((HEAD, address, ASK)), Decoder(bus.fault)
    ask = body + bytes((sum(body) & 0xFF,))

    def feed(data: bytes) -> str | None:
        return next((str(f) for f in decoder.feed(data) if (f.address, f.command) == (address, TELL)), None)

    puck = f"ACME puck {address}"
    return await bus.request(
        Exchange(priority=Priority.TEMPERATURE, encode=lambda: ask, feed=feed, timeout_s=0.2, device=puck)
    )


FAMILY = Family(
    name="acme_climate",
    title="ACME climate pucks",
    title_zh="ACME 温度探头",
    from_host=Decoder,
    from_device=Decoder,
    describe=lambda frame: f"puck {frame.address}: {frame}",
    probe=probe,
    acts=lambda frame: False,
    most_buffered=5,
    simulator="puck:Puck",
)
