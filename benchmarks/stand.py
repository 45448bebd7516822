"""What a benchmark stands on: its options, processes that end with it, ports, and what /proc says of a process."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from simulators.lifeline import ends_with_us
from simulators.postgres_server import PostgresServer, PostgresServerError

LOOPBACK = "127.0.0.1"
STOP_WITHIN_S = 20.0
SERVER_SETTINGS = {"shared_buffers": "128MB", "max_wal_size": "4GB"}
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_KIB = {"Rss:": "rss", "Pss:": "pss"}


class BenchmarkError(Exception):
    """A measurement could not be made; the message says why."""


def options(name: str, what: str | None, example: str) -> argparse.ArgumentParser:
    """A parser with `--json` and `--quick`, and an example of a whole command in its help."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=what,
        epilog=f"Example:  python -m benchmarks.{name} {example}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    return parser


def run(main: Callable[[], int]) -> NoReturn:
    """A whole benchmark as a program: SIGTERM ends it as Ctrl-C does, with everything that it has started."""

    def leave(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # what ends everything is not ended itself
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    sys.exit(main())


# ------------------------------------------------------------------ processes


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process group of our own, its output in `log`; asked to end, then killed, when the block is left. It is asked
    to end as well when we are killed."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=ends_with_us(signal.SIGTERM),  # noqa: PLW1509 - one call of libc
            cwd=folder,
            env={**os.environ, **(env or {})},
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end; kill it if it does not listen."""
    for number, patience_s in ((signal.SIGTERM, STOP_WITHIN_S), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)


def wait_for(
    what: str, ready: Callable[[], bool], *, process: subprocess.Popen[bytes], log: Path, within_s: float
) -> None:
    """Return when `ready`. Raises BenchmarkError with the log's end when the process ends or the time is over."""
    deadline_s = time.monotonic() + within_s
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            why = "ended" if process.poll() is not None else f"was not ready within {within_s:.0f} s"
            raise BenchmarkError(f"{what} {why}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def answers(url: str) -> bool:
    """Whether a page answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def listens(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[tuple[str, int]]:
    """The embedded broker in its process, as the product runs it: its URL and process id."""
    port, log = free_port(), folder / "broker.log"
    with running([sys.executable, "-m", "zhanggui.broker", "--port", str(port)], log=log) as process:
        wait_for("the broker", lambda: listens(port), process=process, log=log, within_s=30)
        yield f"mqtt://{LOOPBACK}:{port}", process.pid


def mosquitto_command(folder: Path, port: int) -> list[str]:
    """What starts Mosquitto as it comes, on a port of loopback. Raises BenchmarkError where it is not installed."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BenchmarkError("mosquitto is not installed (Debian: apt-get install mosquitto)")
    config = folder / "mosquitto.conf"
    lines = (
        f"listener {port} {LOOPBACK}",
        "allow_anonymous true",
        "persistence false",
        "max_queued_messages 100000",
        "set_tcp_nodelay true",
        *(("user root",) if os.getuid() == 0 else ()),  # a change of its user would take it from whoever it ends with
    )
    config.write_text("\n".join(lines) + "\n")
    return [found, "-c", str(config)]


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[tuple[str, int]]:
    """Mosquitto as it comes, on loopback: its URL and process id. Raises BenchmarkError where it is not installed."""
    port, log = free_port(), folder / "mosquitto.log"
    with running(mosquitto_command(folder, port), log=log) as process:
        wait_for("mosquitto", lambda: listens(port), process=process, log=log, within_s=30)
        yield f"mqtt://{LOOPBACK}:{port}", process.pid


@contextlib.contextmanager
def postgres(within: Path | None = None) -> Iterator[tuple[str, int]]:
    """An empty PostgreSQL of its own, as durable as it comes, its files in `within`: its URL and process id. Raises
    BenchmarkError where none is installed or it does not start."""
    try:
        server = PostgresServer(sync=True, settings=SERVER_SETTINGS, within=within)
        try:
            server.start()
        except BaseException:
            server.remove()
            raise
    except (PostgresServerError, OSError, subprocess.SubprocessError) as error:
        raise BenchmarkError(str(error)) from error
    try:
        yield server.url(tcp=True), server.pid
    finally:
        server.remove()


@contextlib.contextmanager
def bridge(
    folder: Path, broker_url: str, *, database: Path | str | None = None, more: Sequence[str] = ()
) -> Iterator[tuple[Path | str, int]]:
    """The real bridge in its process: its database (a new file unless named) and process id."""
    port, log = free_port(), folder / "bridge.log"
    database = folder / "cloud.db" if database is None else database
    command = [sys.executable, "-m", "zhanggui", "cloud", "run", "--database", str(database)]
    with running([*command, "--port", str(port), "--mqtt", broker_url, *more], log=log) as process:
        health = f"http://{LOOPBACK}:{port}/healthz"
        wait_for("the bridge", lambda: answers(health), process=process, log=log, within_s=60)
        yield database, process.pid


# ------------------------------------------------------------------ /proc


def cpu_s(pid: int) -> float:
    """Processor seconds of a process so far, all its threads, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def memory_mib(pid: int) -> dict[str, float]:
    """`rss` and, where the kernel tells, `pss` of a process: memory shared with others counts whole or in parts."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    try:
        lines = rollup.read_text().splitlines()
    except FileNotFoundError:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return {"rss": pages * os.sysconf("SC_PAGE_SIZE") / 2**20}
    words = (line.split() for line in lines)
    return {_KIB[w[0]]: int(w[1]) / 1024 for w in words if w[0] in _KIB}


def descendants(pid: int) -> dict[int, str]:
    """Every process below `pid`, with its command line."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found: dict[int, str] = {}
    for child in parents:
        above = child
        while above in parents and above != pid:
            above = parents[above]
        if above == pid and child != pid:
            with contextlib.suppress(OSError):
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found
