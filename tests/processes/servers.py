"""What a run stands on: Mosquitto, PostgreSQL, and a small file system of its own for one store."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from simulators.postgres_server import START_WITHIN_S, PostgresServer
from tests.processes.crew import Crew

LOOPBACK = "127.0.0.1"
_LIBC = ctypes.CDLL(None)
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
T = TypeVar("T")


def find_mosquitto() -> Path | None:
    """Debian puts it where a user's PATH does not lead."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    return Path(found) if found else None


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
        return True
    return False


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """One broker; `persistence` keeps retained messages over a kill, or not: nothing may depend on it."""

    name: str
    port: int

    @classmethod
    def start(cls, crew: Crew, *, port: int, persistence: bool) -> Mosquitto:
        binary = find_mosquitto()
        assert binary is not None
        folder = crew.folder / "mosquitto"
        folder.mkdir(exist_ok=True)
        lines = [
            f"listener {port} {LOOPBACK}",
            "allow_anonymous true",
            "max_inflight_messages 100",
            "max_queued_messages 10000",
            f"persistence {'true' if persistence else 'false'}",
            f"persistence_location {folder}/",
            "autosave_interval 2",
            *(["user root"] if os.getuid() == 0 else []),  # else it gives up its rights and cannot write there
        ]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        crew.enlist("broker", [str(binary), "-c", str(folder / "mosquitto.conf")])
        return cls("broker", port)


def start_postgres(crew: Crew) -> str:
    """A server of the run, kept by the crew like everybody else: the URL of its database. Takes a few seconds."""
    server = PostgresServer(sync=True, settings={"max_connections": "60", "shared_buffers": "32MB"})
    crew.afterwards.append(server.remove)
    crew.enlist("postgres", server.command(), user=server.user, death=signal.SIGQUIT)
    end_s = time.monotonic() + START_WITHIN_S
    while not server.ready():
        assert time.monotonic() < end_s, crew.last_words("postgres")
        time.sleep(0.05)
    return server.url()


def can_mount() -> bool:
    """Whether this process may make a file system of its own, in a mount namespace."""
    return (
        subprocess.run(
            ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m small /mnt"],  # gone with the namespace
            capture_output=True,
        ).returncode
        == 0
    )


class SmallDisk:
    """A tmpfs in a mount namespace that a sleeping process keeps: it cannot outlive the run, and it can be full."""

    def __init__(self, crew: Crew, name: str, size_mib: int) -> None:
        self._mount = crew.folder / name
        self._mount.mkdir()
        script = f'mount -t tmpfs -o size={size_mib}m,mode=755 small "$0" && exec "$1" -c "import time; print(1, flush=True); time.sleep(1e6)"'
        keeper = crew.enlist(f"keeper-{name}", ["unshare", "-m", "sh", "-c", script, str(self._mount), sys.executable])
        self._pid = keeper.pid
        end_s = time.monotonic() + 10
        while "1" not in crew.last_words(f"keeper-{name}"):
            assert time.monotonic() < end_s, crew.last_words(f"keeper-{name}")
            time.sleep(0.02)
        self.path = self._mount
        """As the store sees it, and whoever calls `inside`."""
        self.outside = Path(f"/proc/{self._pid}/root{self._mount.resolve()}")
        """As everybody else does; SQLite does not find its way there."""
        self._inside = ThreadPoolExecutor(1, thread_name_prefix="small-disk", initializer=self._enter)

    def inside(self, work: Callable[[], T]) -> T:
        """Run `work` where the file system is mounted."""
        return self._inside.submit(work).result()

    def _enter(self) -> None:
        """Take this one thread into the mount namespace; it must share no folder with the others before."""
        space = os.open(f"/proc/{self._pid}/ns/mnt", os.O_RDONLY)
        try:
            assert _LIBC.unshare(_CLONE_FS) == 0
            assert _LIBC.setns(space, _CLONE_NEWNS) == 0
        finally:
            os.close(space)

    def entered(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` where the file system is mounted."""
        return ["nsenter", "-t", str(self._pid), "-m", "--wd=" + str(Path.cwd()), *argv]

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.outside / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(b"\0" * size):
                        pass

    def free(self) -> None:
        """Give the room back."""
        (self.outside / "ballast").unlink(missing_ok=True)

    @property
    def is_full(self) -> bool:
        try:
            with (self.outside / "ballast").open("ab", buffering=0) as ballast:
                return not ballast.write(b"\0")
        except OSError as error:
            return error.errno == errno.ENOSPC
