"""`zhanggui device …`: what hangs on a line, what is said on it, and what was said."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from zhanggui.errors import UserError
from zhanggui.profile_commands import app as profile_app

if TYPE_CHECKING:
    from device_drivers.family import Family
    from device_drivers.link_url import LinkUrl
    from device_drivers.trace import Direction, Piece

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True)
app.add_typer(profile_app, name="profile", help="Modbus profiles: check one, print their schema.")
LinkName = Annotated[
    str,
    typer.Argument(
        metavar="LINK",
        help="serial:///dev/ttyUSB0?baud=9600, serial://usb/VENDOR:PRODUCT/SERIAL, tcp://HOST:PORT, "
        "rfc2217://HOST:PORT, or sim://FAMILY. The store's agent must not hold it.",
    ),
]
FamilyName = Annotated[str, typer.Option("--family", help="Read bytes as this family; see `zhanggui device list`.")]
For = Annotated[float | None, typer.Option("--for", min=0.05, max=86_400.0, help="Real seconds; else until Ctrl-C.")]
Ask = Annotated[int | None, typer.Option(min=0, max=255, help="Ask this address its harmless question meanwhile.")]
Every = Annotated[float, typer.Option(min=0.02, max=3600.0, help="Seconds between two such questions.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="How the device is set; `zhanggui device list` has the names."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MAX_ADDRESSES = 256


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors of devices as one sentence."""
    from device_drivers.errors import DeviceError

    try:
        yield
    except DeviceError as error:
        raise UserError(str(error)) from error


def _run(work: Coroutine[Any, Any, T]) -> T | None:
    """Run it; Ctrl-C ends it as it should."""
    try:
        with _sentences():
            return asyncio.run(work)
    except KeyboardInterrupt:
        return None


def _family(name: str) -> Family | None:
    from device_drivers.family import family

    with _sentences():
        return family(name) if name else None


def _link(text: str, family: Family | None) -> LinkUrl:
    from device_drivers.link_url import LinkUrl

    with _sentences():
        return LinkUrl.parse(text, baud=family.baud if family is not None else 9600)


@app.command("list", epilog="Example:  zhanggui device list")
def list_(as_json: Json = False) -> None:
    """The families that are spoken here, and the ports of this machine."""
    from serial.tools import list_ports

    from device_drivers.family import families

    with _sentences():
        known = families()
    ports = sorted(list_ports.comports(), key=lambda port: port.device)
    if as_json:
        print(
            json.dumps({
                "families": [
                    {
                        "name": one.name, "title": one.title, "title_zh": one.title_zh, "baud": one.baud,
                        "probe": one.probe is not None, "settings": dict(one.settings),
                    }
                    for one in known.values()
                ],
                "ports": [
                    {"path": port.device, "vendor": port.vid, "product": port.pid, "serial": port.serial_number}
                    for port in ports
                ],
            }, ensure_ascii=False, indent=2)
        )  # fmt: skip
        return
    console = Console(width=max(80, Console().width))
    table = Table("family", "what", "baud", "probe", "settings")
    for column in table.columns:  # names are read as they are written
        column.overflow = "fold"
    for one in known.values():
        ask = "yes" if one.probe is not None else "–"
        table.add_row(one.name, f"{one.title}\n{one.title_zh}", str(one.baud), ask, "\n".join(one.settings))
    console.print(table)
    for port in ports:
        usb = f"serial://usb/{port.vid:04x}:{port.pid:04x}/{port.serial_number or ''}" if port.vid is not None else ""
        console.print(f"{port.device}  {usb}  {port.description}".rstrip(), markup=False)
    if not ports:
        console.print("no serial port on this machine; sim://FAMILY opens a simulator")


@app.command(
    epilog="Example:  zhanggui device probe sim://lock_8a --addresses 1-3"
    "\n\nExample:  zhanggui device probe sim://lock_cu48 --family lock_cu48 --set dialect=cu12"
)
def probe(
    link: LinkName,
    family: FamilyName = "",
    addresses: Annotated[str, typer.Option(help="One, or a span such as 1-8.")] = "1-8",
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Ask the addresses of a line something harmless, in every family or in one; exit 1 if nobody answers."""
    from device_drivers.family import families
    from device_drivers.looking import probe as probed

    one, settings, span = _family(family), _settings(set_), _span(addresses)
    if settings and one is None:
        raise UserError("--set: name the family whose settings they are with --family")
    with _sentences():
        asked = [one] if one is not None else [each for each in families().values() if each.probe is not None]
    found: list[str] = []
    for each in asked:
        heard = _run(probed(_link(link, each), each, span, settings=settings, tell=_progress))
        if heard is not None and heard.impossible and one is not None:
            _progress("")
            raise UserError(heard.impossible)
        found += heard.found if heard is not None else []
    _progress("")
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print("\n".join(found) or "nobody answered; are speed, address, wiring (A/B) and family right?")
    if not found:
        raise typer.Exit(1)


@app.command(epilog="Example:  zhanggui device monitor sim://lock_8a --family lock_8a --ask 1 --for 2")
def monitor(
    link: LinkName,
    family: FamilyName = "",
    ask: Ask = None,
    every: Every = 1.0,
    seconds: For = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Show what is on the line: time, direction, bytes, and what they say; without --family how many bytes alone."""
    one = _family(family)
    printer = _Printer(one, as_json=as_json)
    _run(_watch(_link(link, one), one, ask, every, seconds, printer, _settings(set_)))


@app.command(epilog='Example:  zhanggui device send sim://lock_8a "80 01 01 33 B3" --family lock_8a')
def send(
    link: LinkName,
    data: Annotated[str, typer.Argument(metavar="HEX", help="The bytes, in hex.")],
    family: FamilyName = "",
    wait: Annotated[float, typer.Option(min=0.0, max=60.0, help="Seconds to hear the line afterwards.")] = 0.5,
) -> None:
    """Send bytes by hand. What opens, heats or pays is refused on every line but a simulator's."""
    from device_drivers.looking import checked
    from device_drivers.looking import send as sent

    one = _family(family)
    url = _link(link, one)
    try:
        raw = bytes.fromhex(data)
    except ValueError:
        raise UserError(f"HEX: {data[:40]!r} are no hex digits; write for example 80 01 01 33 B3") from None
    with _sentences():
        checked(url, one, raw)
    _run(sent(url, raw, heard=_Printer(one).heard, wait_s=wait))


@app.command(epilog="Example:  zhanggui device record sim://lock_8a var/lock.jsonl --family lock_8a --ask 1 --for 2")
def record(
    link: LinkName,
    file: Annotated[Path, typer.Argument(help="Where to; must not be there yet.")],
    family: FamilyName = "",
    ask: Ask = None,
    every: Every = 1.0,
    seconds: For = None,
    set_: Set = None,
) -> None:
    """Keep what is on the line in a file that `replay` and tests can play again."""
    from device_drivers.trace import Head, may_be_kept, written

    one = _family(family)
    if one is None:
        raise UserError("record: name the family with --family, so that a recording says how it is read")
    url, settings = _link(link, one), _settings(set_)
    with _sentences():
        may_be_kept(one)
        one.known(settings)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as out:
            printer = _Printer(one, keep=lambda piece: out.write(msgspec_line(piece)))
            out.writelines(written(Head(family=one.name, baud=url.baud), ()))
            try:
                _run(_watch(url, one, ask, every, seconds, printer, settings))
            except UserError:
                if not printer.count:
                    file.unlink()  # nothing was heard: the next try finds its place free
                raise
    except FileExistsError:
        taken = file if file.exists() else file.parent
        raise UserError(f"{taken}: is there already; name another file, or remove it first") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    print(f"{printer.count} pieces in {file}")


@app.command(epilog="Example:  zhanggui device replay var/lock.jsonl --speed 10")
def replay(
    file: Annotated[Path, typer.Argument(help="A recording.")],
    speed: Annotated[float, typer.Option(min=0.0, max=1000.0, help="Times as fast as then; 0: at once.")] = 0.0,
    serve: Annotated[
        Path | None, typer.Option(help="Play the device's side on a pseudo-terminal at this path, until Ctrl-C.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a recording again, or be the recorded device."""
    from device_drivers.trace import recording

    with _sentences():
        head, pieces = recording(file)
    if serve is not None:
        _run(_serve(pieces, serve, f"{head.family} of {file} answers at {serve} (baud {head.baud}); Ctrl-C ends"))
        return
    printer, before_s = _Printer(_family(head.family), as_json=as_json), 0.0
    for piece in pieces:
        if speed:
            time.sleep(max(0.0, piece.t_s - before_s) / speed)
            before_s = piece.t_s
        printer.show(piece)


class _Printer:
    """Prints each piece of a trace as it comes, and may keep it."""

    def __init__(self, family: Family | None, *, as_json: bool = False, keep: Any = None) -> None:
        from device_drivers.trace import Tracer

        self._tracer = Tracer(family)
        self._began_s: float | None = None  # with the first byte
        self._as_json, self._keep = as_json, keep
        self.count = 0

    def heard(self, direction: Direction, data: bytes) -> None:
        """Bytes, now."""
        now_s = time.monotonic()
        self._began_s = now_s if self._began_s is None else self._began_s
        piece = self._tracer.piece(round(now_s - self._began_s, 6), direction, data)
        if self._keep is not None:
            self._keep(piece)
        self.show(piece)

    def show(self, piece: Piece) -> None:
        """One line."""
        self.count += 1
        if self._as_json:
            print(msgspec_line(piece).decode(), end="", flush=True)
            return
        arrow = "→" if piece.direction == "tx" else "←"
        grouped = " ".join(piece.hex[at : at + 2] for at in range(0, len(piece.hex), 2)).upper()
        print(f"{piece.t_s:12.6f} {arrow} {grouped}  {piece.text}".rstrip(), flush=True)


def msgspec_line(piece: Piece) -> bytes:
    """One piece as a line of a recording."""
    import msgspec

    return msgspec.json.encode(piece) + b"\n"


async def _watch(
    url: LinkUrl,
    family: Family | None,
    ask: int | None,
    every: float,
    seconds: float | None,
    printer: _Printer,
    settings: dict[str, str],
) -> None:
    from device_drivers.errors import MisconfiguredError
    from device_drivers.looking import ask_again, listen

    if settings and ask is None:
        raise MisconfiguredError("--set: says how a device is asked; ask one with --ask")
    if ask is None:
        await listen(url, heard=printer.heard, seconds=seconds)
    elif family is None:
        raise MisconfiguredError("--ask: name the family whose question it is with --family")
    else:
        await ask_again(url, family, ask, settings=settings, heard=printer.heard, every_s=every, seconds=seconds)


async def _serve(pieces: list[Piece], path: Path, greeting: str) -> None:
    from random import Random

    from simulators.conformance.recorded import RecordedPeer
    from simulators.hardware.faults import Faults
    from simulators.hardware.pty_port import PtyPort

    port = PtyPort(path, RecordedPeer(pieces), Faults(rng=Random(0)))
    try:
        port.plug()
    except OSError as error:
        raise UserError(str(error)) from error
    print(greeting, flush=True)  # from now on it does answer
    try:
        await asyncio.Event().wait()
    finally:
        port.unplug()


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    if not (first.isascii() and first.isdecimal() and (not last or (last.isascii() and last.isdecimal()))):
        raise UserError(f"--addresses: {text!r} must be a number, or a span such as 1-8")
    span = range(int(first[:6]), int(last[:6] or first[:6]) + 1)
    if not 0 < len(span) <= MAX_ADDRESSES:
        raise UserError(f"--addresses: {text!r} must be 1 to {MAX_ADDRESSES} addresses, the smaller first")
    return span


def _settings(given: list[str] | None) -> dict[str, str]:
    settings: dict[str, str] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(f"--set: {text[:60]!r} must be NAME=VALUE, such as dialect=cu12")
        if name in settings:
            raise UserError(f"--set: {name} is said twice")
        settings[name] = value
    return settings


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{'asking ' + what if what else ''}", end="", file=sys.stderr, flush=True)
