"""The commands that this house writes to a receipt printer, byte for byte. Pure.

Source: the command set that receipt printers share (ESC/POS). All lengths are little-endian.
"""

from __future__ import annotations

from device_drivers.errors import ProtocolError
from device_drivers.escpos.document import ALIGNS, MAX_QR_CHARS, MODULES, Align, Times

INIT = b"\x1b\x40"
CHINESE_ON = b"\x1c\x26"
CHINESE_OFF = b"\x1c\x2e"
CUT = b"\x1d\x56\x42\x00"  # on to the knife, and cut but for one point
LINE_END = b"\x0a"
ASK_WHEN_DONE = b"\x1d\x72\x01"  # answered in its turn, when all before it is done
STATUS_NUMBERS = range(1, 5)

PINS = (0, 1)  # of the plug behind the printer: drawer 1 (pin 2), drawer 2 (pin 5)
TICK_MS = 2
ON_MS = range(20, 121)  # longer burns a coil, shorter opens nothing
OFF_MS = range(100, 511)
LEAST_REST = 4  # times as long off as on: a coil stands a fifth of the time at most


def align(where: Align) -> bytes:
    """Where the next lines stand."""
    return b"\x1b\x61" + bytes((ALIGNS.index(where),))


def bold(on: bool) -> bytes:
    """Emphasis on or off."""
    return b"\x1b\x45" + bytes((int(on),))


def size(wide: Times, tall: Times) -> bytes:
    """Times the usual size, ASCII and Chinese alike."""
    return b"\x1d\x21" + bytes(((wide - 1) << 4 | (tall - 1),))


def feed(lines: int) -> bytes:
    """Empty lines. Raises ProtocolError(local) beyond 255."""
    if not 0 <= lines <= 0xFF:
        raise ProtocolError(f"{lines} lines cannot be fed at once", side="local")
    return b"\x1b\x64" + bytes((lines,))


def ask_status(number: int) -> bytes:
    """Real-time status 1 to 4: answered at once, with one byte. Raises ProtocolError(local) for another."""
    if number not in STATUS_NUMBERS:
        raise ProtocolError(f"there is no status {number}", side="local")
    return b"\x10\x04" + bytes((number,))


def pulse(pin: int, on_ms: int, off_ms: int) -> bytes:
    """Push a drawer open, once; milliseconds, even. Raises ProtocolError(local) for what would burn its coil."""
    if pin not in PINS:
        raise ProtocolError(f"there is no drawer at {pin}", side="local")
    if on_ms not in ON_MS or off_ms not in OFF_MS or on_ms % TICK_MS or off_ms % TICK_MS:
        raise ProtocolError(f"a pulse of {on_ms} ms and {off_ms} ms rest cannot be", side="local")
    if off_ms < LEAST_REST * on_ms:
        raise ProtocolError(f"{on_ms} ms want a rest of {LEAST_REST * on_ms} ms at least", side="local")
    return b"\x1b\x70" + bytes((pin, on_ms // TICK_MS, off_ms // TICK_MS))


def qr(text: str, module_dots: int) -> tuple[bytes, ...]:
    """Model 2, size, level M, the text, print: each a command. Raises ProtocolError(local)."""
    if not 1 <= len(text) <= MAX_QR_CHARS or not text.isascii() or module_dots not in MODULES:
        raise ProtocolError("a QR code that cannot be", side="local")
    return (
        _symbol(b"\x41\x32\x00"),
        _symbol(b"\x43" + bytes((module_dots,))),
        _symbol(b"\x45\x31"),
        _symbol(b"\x50\x30" + text.encode("ascii")),
        _symbol(b"\x51\x30"),
    )


def _symbol(body: bytes) -> bytes:
    """A command about a QR code: its length, then code type 49."""
    return b"\x1d\x28\x6b" + (len(body) + 1).to_bytes(2, "little") + b"\x31" + body
