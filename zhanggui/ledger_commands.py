"""`zhanggui edge ledger …`: look into a store's ledger, prove it, carry it away, bring back what was set aside."""

from __future__ import annotations

import getpass
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from contracts.clock import clock_from_env, rfc3339
from zhanggui.errors import UserError

if TYPE_CHECKING:
    from contracts.envelope import Stamp
    from contracts.event_types import Lane
    from edge.ledger import ShownEvent
    from edge.ledger.requeue import Aside

app = typer.Typer(no_args_is_help=True)
StoreFile = Annotated[Path, typer.Argument(help="Store description, or the ledger's file.")]
LaneName = Annotated[str, typer.Option(help="ledger or telemetry.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
POLL_S = 0.5
MB = 1_000_000


def ledger_of(place: Path) -> Path:
    """The ledger's file, whether the store description or the file itself is named. Raises UserError."""
    if place.suffix != ".toml":
        return place
    from edge.config import ConfigError, load_store

    try:
        return load_store(place).data_dir / "ledger.db"
    except ConfigError as error:
        raise UserError(str(error)) from error


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors of the ledger as one sentence."""
    from contracts.messages import BadMessageError
    from edge.ledger import LedgerOpenError

    try:
        yield
    except (LedgerOpenError, BadMessageError) as error:
        raise UserError(str(error)) from error


def _lane(name: str) -> Lane:
    from contracts.messages import check_lane

    with _sentences():
        return check_lane(name)


@app.command(epilog="Example:  zhanggui edge ledger show var/demo/store.toml --limit 20")
def show(
    store: StoreFile,
    lane: LaneName = "ledger",
    after: Annotated[int, typer.Option(help="Show what comes after this sequence.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Events from the oldest on: those that the cloud has not confirmed, and (+) confirmed ones that are still kept."""
    from edge.ledger import show as show_events

    with _sentences():
        rows = show_events(ledger_of(store), _lane(lane), after, limit)
    _print(rows, as_json)


@app.command(epilog="Example:  zhanggui edge ledger tail var/demo/store.toml --follow")
def tail(
    store: StoreFile,
    lane: LaneName = "ledger",
    count: Annotated[int, typer.Option("-n", "--lines", min=0, max=10_000, help="So many of the newest.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="And what comes, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """The newest events, and with --follow each that comes, over restarts of the agent and forks of the stream."""
    from edge.ledger import Tail

    found = Tail(ledger_of(store), _lane(lane), count=count)
    try:
        with _sentences():
            part = found.first()
        _print(part.rows, as_json)
        while follow:
            for part in found.more():
                if part.fresh:
                    typer.echo(f"the {lane} lane goes on in stream {part.stream}", err=True)
                _print(part.rows, as_json)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(rows: Iterable[ShownEvent], as_json: bool) -> None:
    if as_json:
        _print_lines(rows)
        return
    for row in rows:
        seq, cloud, when, name, source, data = _cells(row)
        typer.echo(f"{seq:>8} {cloud} {when}  {name}  {source}  {data}")
    sys.stdout.flush()


def _print_lines(rows: Iterable[ShownEvent]) -> None:
    from edge.ledger.export import line_of

    for row in rows:
        sys.stdout.buffer.write(line_of(row))
    sys.stdout.flush()


def _cells(row: ShownEvent) -> tuple[str, str, str, str, str, str]:
    from contracts.envelope import BadEventError, decode_envelope

    cloud = "+" if row.confirmed else " "
    if row.raw is None:
        return str(row.seq), cloud, "", "dropped", "", ""
    try:
        envelope = decode_envelope(row.raw)
    except BadEventError as error:
        return str(row.seq), cloud, "", "unreadable", "", str(error)
    data = bytes(envelope.data).decode(errors="replace")
    return str(row.seq), cloud, envelope.time, envelope.name, envelope.source, data


@app.command(
    epilog="Example:  zhanggui edge ledger verify var/demo/store.toml\n\n"
    "Example:  zhanggui edge ledger verify ledger.jsonl"
)
def verify(
    store: Annotated[
        Path, typer.Argument(help="Store description, the ledger's file, or an export, whatever its name.")
    ],
    whole: Annotated[bool, typer.Option("--whole", help="SQLite reads a file over 64 MiB through, too.")] = False,
) -> None:
    """Walk both chains from end to end; exit code 1 if a link does not hold."""
    problems = _verify_if_export(store)
    if problems is None:
        problems = _verify_ledger(ledger_of(store), whole=whole)
    for problem in problems:
        typer.echo(f"broken: {problem}", err=True)
    typer.echo("broken" if problems else "whole")
    if problems:
        raise typer.Exit(1)


def _verify_ledger(path: Path, *, whole: bool) -> list[str]:
    from edge.ledger import verify as verify_ledger

    with _sentences():
        report = verify_ledger(path, whole=whole)
    for row in report.lanes:
        typer.echo(
            f"{row.lane}: stream {row.stream}, confirmed to {row.freed_seq}, written to {row.tail_seq}, "
            f"{row.kept} kept, {row.dropped} dropped"
        )
    return list(report.problems)


def _verify_if_export(path: Path) -> list[str] | None:
    """What does not hold in an export; None for what is read as a ledger: the bytes decide, not the name."""
    from edge.ledger.export import is_export, lines_of, verify_export

    if path.suffix == ".toml" or path.is_dir() or not path.exists():
        return None
    try:
        # Once, for it may be a pipe; and before SQLite has it open: closing a file lets go of a process's locks on it.
        with path.open("rb") as file:
            if not is_export(file):
                return None
            head, count, problems = verify_export(lines_of(file))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    typer.echo(f"{head.lane}: stream {head.stream}, {count} events after {head.after}, of {head.tenant}/{head.store}")
    return problems


@app.command(epilog="Example:  zhanggui edge ledger export var/demo/store.toml --to ledger.jsonl")
def export(
    store: StoreFile,
    to: Annotated[Path, typer.Option(help="The file to make; - is standard output.")],
    lane: LaneName = "ledger",
    after: Annotated[int, typer.Option(min=0, help="What comes after this sequence.")] = 0,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="What was set aside as damaged instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Carry events away as lines of JSON, byte for byte, with the hashes that prove them (`verify` reads the file)."""
    from edge.ledger.export import export as export_lane
    from edge.ledger.export import export_quarantine

    path = ledger_of(store)
    lines = export_quarantine(path) if quarantine else export_lane(path, _lane(lane), after, _progress())
    with _sentences():
        if str(to) == "-":
            for line in lines:
                sys.stdout.buffer.write(line)
            sys.stdout.flush()
            return
        if to.is_dir():
            raise UserError(f"{to}: is a folder; name a file in it")
        if to.exists() and not force:
            raise UserError(f"{to}: is there already; name another file, or replace it with --force")
        count = _write(to, lines)
    typer.echo(f"{to}: {count} lines")


def _write(to: Path, lines: Iterable[bytes]) -> int:
    """The whole file or none."""
    if not to.parent.is_dir():
        raise UserError(f"{to.parent}: there is no such folder")
    count = 0
    with tempfile.NamedTemporaryFile("wb", dir=to.parent, prefix=f".{to.name}.", delete=False) as file:
        made = Path(file.name)
        try:
            for line in lines:
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            made.unlink(missing_ok=True)
            raise
    made.replace(to)
    return count


def _progress() -> Any:
    """Tells how far it is, where somebody looks."""
    shown = sys.stderr.isatty()
    told_s = time.monotonic()

    def told(seq: int, last: int) -> None:
        nonlocal told_s
        if shown and (seq == last or time.monotonic() > told_s + POLL_S):
            told_s = time.monotonic()
            sys.stderr.write(f"\r{seq:,} of {last:,}" + ("\n" if seq == last else ""))

    return told


@app.command(
    epilog="Example:  zhanggui edge ledger requeue var/demo/store.toml\n\n"
    "Example:  zhanggui edge ledger requeue var/demo/store.toml 3 4 --yes --as amy"
)
def requeue(
    store: StoreFile,
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of the list; none: only list.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the chain proves.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it only says what it would do.")] = False,
    by: Annotated[str, typer.Option("--as", help="Who decides it (default: your login).")] = "",
    as_json: Json = False,
) -> None:
    """Bring back events that were set aside as damaged: each is written again with its origin, and the cloud counts it
    once. What is known to be altered never comes back; what nothing proves only by its number, after a look at it. The
    agent must be stopped. Lists what there is; does nothing without --yes."""
    from edge.ledger.requeue import requeue as bring_back
    from edge.ledger.requeue import set_aside

    path = ledger_of(store)
    with _sentences():
        rows = set_aside(path)
    if strange := set(numbers or ()) - {row.number for row in rows}:
        what = f"nothing with number {min(strange)} is set aside; it may be back already"
        raise UserError(f"{what}. Without numbers the command lists what is")
    wanted = {row.number for row in rows if row.proved and not row.why_not} if everything else set(numbers or ())
    if as_json:
        typer.echo(json.dumps([_plain(row, row.number in wanted) for row in rows], ensure_ascii=False))
    elif not rows:
        typer.echo("nothing is set aside")
    else:
        Console().print(_aside_table(rows, wanted))
    _tell_what_stays(rows, wanted)
    if not yes or not wanted:
        if wanted:
            typer.echo(f"{len(wanted)} would come back: say --yes to do it", err=True)
        return
    with _sentences():
        done = bring_back(path, wanted, by=(by or getpass.getuser())[:64], stamp=_stamp())
    typer.echo(
        f"{len(done)} of them {'is' if len(done) == 1 else 'are'} in the ledger again; start the agent", err=as_json
    )


def _aside_table(rows: list[Aside], wanted: set[int]) -> Table:
    table = Table("number", "lane", "seq", "time", "type", "set aside because", "")
    for row in rows:
        said = "proved" if row.proved else "nothing proves it"
        fate = f"cannot: {row.why_not}" if row.why_not else f"comes back: {said}" if row.number in wanted else said
        table.add_row(str(row.number), row.lane, str(row.seq), row.time, row.name, row.reason, fate)
    return table


def _tell_what_stays(rows: list[Aside], wanted: set[int]) -> None:
    damaged = sum(bool(row.why_not) for row in rows)
    unproved = sum(not row.why_not and not row.proved and row.number not in wanted for row in rows)
    if damaged:
        typer.echo(f"{damaged} damaged: cannot come back", err=True)
    if unproved:
        typer.echo(f"{unproved} that nothing proves: look at each, then name its number", err=True)


def _plain(row: Any, chosen: bool) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__} | {"chosen": chosen}


def _stamp() -> Stamp:
    from contracts.envelope import Stamp
    from contracts.ids import new_uuid

    clock = clock_from_env()
    return Stamp(rfc3339(clock.wall()), new_uuid(), int(clock.now_s() * 1e9), "unknown")


@app.command(epilog="Example:  zhanggui edge ledger stats var/demo/store.toml")
def stats(store: StoreFile, as_json: Json = False) -> None:
    """How much there is, how much waits for the cloud, what the disk has, and what was written for it."""
    import msgspec

    from edge.ledger.stats import stats as look

    with _sentences():
        found = look(ledger_of(store))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    lanes = Table("lane", "stream", "confirmed", "written", "waiting", "bytes", "oldest", "dropped", "set aside")
    for row in found.lanes:
        lanes.add_row(
            row.lane,
            row.stream,
            str(row.confirmed_seq),
            str(row.last_seq),
            str(row.waiting),
            f"{row.waiting_bytes:,}",
            row.oldest,
            str(row.gone),
            str(row.set_aside),
        )
    console = Console()
    console.print(f"{found.tenant}/{found.store}, instance {found.machine}")
    console.print(lanes)
    sizes = Table("what", "", show_header=False)
    sizes.add_row("disk", f"{found.disk_used_share:.0%} used, {found.disk_free_bytes / MB:,.0f} MB free: {found.level}")
    free = f", {found.free_page_bytes / MB:,.1f} MB of it free" if found.free_page_bytes else ""
    sizes.add_row("file", f"{found.file_bytes / MB:,.1f} MB{free}")
    sizes.add_row("log", f"{found.log_bytes / MB:,.1f} MB")
    sizes.add_row("reserve", f"{found.reserve_bytes / MB:,.1f} MB" if found.reserve_bytes else "none")
    written = f"{found.written_bytes / MB:,.1f} MB for {found.written_events:,} events"
    sizes.add_row(
        "written", f"{written}, {found.bytes_an_event:,.0f} bytes each" if found.written_events else "not noted yet"
    )
    for name in found.damaged_files:
        sizes.add_row("kept aside", name)
    console.print(sizes)
