"""What receipt printers say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus
from device_drivers.escpos import codec, status
from device_drivers.escpos.driver import ReceiptPrinter
from device_drivers.family import Family
from device_drivers.settings import Settings

_DONE = {
    status.Done.PAPER: "paper is there",
    status.Done.NEAR_END: "paper near its end",
    status.Done.END: "no paper",
    status.Done.NEAR_AND_END: "no paper",
}


def describe(frame: codec.HostFrame | status.DeviceFrame) -> str:
    """One frame in words; text is counted, not shown."""
    match frame:
        case codec.Print(data=data):
            return f"text, {len(data)} bytes"
        case codec.Command(prefix=prefix, head=head, body_bytes=body_bytes):
            parameters = "" if frame.kind.is_open else head[len(prefix) :].hex(" ").upper()
            more = f", {body_bytes} bytes of data" if body_bytes else ""
            return f"{frame.kind.says} {parameters}".rstrip() + more
        case status.StatusByte(value=value):
            return f"status {value:02X}"
        case status.Told(data=data):
            return f"status told by itself {data.hex(' ').upper()}"
        case status.Flow():
            return "go on" if frame is status.Flow.GO else "stop, the buffer is full"
        case status.Done():
            return f"all before it is done, {_DONE[frame]}"


def acts(frame: codec.HostFrame | status.DeviceFrame) -> bool:
    """True of text and of all commands but questions."""
    return isinstance(frame, codec.Print) or (isinstance(frame, codec.Command) and frame.kind.acts)


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask how it is; there is one printer on a line, and neither address nor settings change the question."""
    del address, settings
    said = await ReceiptPrinter(bus).status()
    paper = ", paper near its end" if said.paper_near_end else ""
    level = "high" if said.drawer_pin_high else "low"
    return f"receipt printer: {said.trouble.replace('_', ' ') or 'ready'}{paper}; drawer switch {level}"


FAMILY = Family(
    name="escpos",
    title="Receipt printers and cash drawers, ESC/POS",
    title_zh="小票打印机与钱箱（ESC/POS）",
    from_host=codec.HostDecoder,
    from_device=status.DeviceDecoder,
    describe=describe,
    acts=acts,
    most_buffered=codec.MOST_BUFFERED,
    simulator="simulators.hardware.escpos:Printer",
    probe=probe,
    settings={
        "columns": "characters across the paper: 32 (58 mm) or 48 (80 mm) mostly",
        "charset": "gbk (usual) or gb18030: what the printer knows in Chinese mode",
        "status": "ordered (answers when all is done), realtime (answers status alone) or none (one-way line)",
        "pace_bytes_s": "with status = none: how fast it is fed",
    },
)
