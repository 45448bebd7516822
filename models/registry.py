"""What models there are and whether each may run: role, origin, licence, sums, and the file on this machine.

Only the manifest speaks here. A weight that is missing, altered or of unstated licence is refused by name, with the
command that mends it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.errors import AlteredModelError, MissingModelError, ModelError, UnknownRoleError, UnlicensedModelError

MAX_FILE_BYTES = 256 << 20
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
State = Literal["ready", "missing", "altered", "unlicensed", "wrong"]
_STATES: dict[type[ModelError], State] = {
    MissingModelError: "missing",
    AlteredModelError: "altered",
    UnlicensedModelError: "unlicensed",
}


class Package(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The published archive that carries the weight."""

    source: Literal["npm", "pypi", "file"]
    name: Annotated[str, Meta(pattern=r"^(@[a-z0-9-]+/)?[A-Za-z0-9._-]+$", max_length=128)]
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+-]+$", max_length=32)]
    sha256: Sha256
    bytes: Annotated[int, Meta(gt=0, le=1 << 30)]


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the archive that is needed."""

    path: Annotated[str, Meta(max_length=256)]
    sha256: Sha256
    bytes: Annotated[int, Meta(gt=0, le=MAX_FILE_BYTES)]

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One role of the manifest."""

    title: str
    upstream: str
    format: Literal["tfjs", "onnx"]
    input: str
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    threshold: float
    package: Package
    member: tuple[Member, ...]
    code_licence: str = ""
    weights_licence: str = ""
    probe_tolerance: float = 0.0
    probe: tuple[tuple[str, int, float], ...] = ()


Manifest = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class OwnFile:
    """An operator's own ONNX file for a role, named by path and sum, with the licence the operator states for it."""

    path: Path
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What `zhanggui models list` shows of one role."""

    role: str
    title: str
    state: State
    reason: str
    """Empty when ready, else one sentence."""
    fix: str
    """The command that mends it, or empty."""
    package: str
    version: str
    code_licence: str
    weights_licence: str
    upstream: str
    download_bytes: int
    files: tuple[Path, ...]
    """The files of the weight on this machine, when ready."""

    @property
    def ok(self) -> bool:
        """The model may run."""
        return self.state == "ready"


@cache
def manifest() -> Manifest:
    """The manifest that ships with this package."""
    return parse(files("models").joinpath("manifest.toml").read_text("utf-8"))


def parse(text: str) -> Manifest:
    """A manifest from its TOML text. Raises msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(text), dict[str, Entry])


def entry_of(role: str, entries: Manifest | None = None) -> Entry:
    """The entry of a role. Raises UnknownRoleError."""
    entries = manifest() if entries is None else entries
    if role not in entries:
        raise UnknownRoleError(f"no model has the role {role!r}; there is: {', '.join(sorted(entries))}")
    return entries[role]


def cache_dir() -> Path:
    """Where fetched and converted weights live: `ZHANGGUI_CACHE`, else the user's cache folder."""
    own = os.environ.get("ZHANGGUI_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zhanggui"


def cached(member: Member) -> Path:
    """Where the file of a member is kept: its sum is its address."""
    return cache_dir() / "weights" / member.sha256 / member.name


def sha256_of(path: Path) -> str:
    """The sum of a file, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_licence(role: str, entry: Entry) -> None:
    """Raise UnlicensedModelError unless both licences are stated."""
    for what, licence in (("code", entry.code_licence), ("weights", entry.weights_licence)):
        if not licence.strip():
            raise UnlicensedModelError(
                f"model {role!r} is refused: the licence of its {what} is not stated",
                fix=f"state {what}_licence in models/manifest.toml, or name a file of your own",
            )


def locate(role: str, *, own: OwnFile | None = None, entries: Manifest | None = None) -> tuple[Path, ...]:
    """The checked files of a role, in the manifest's order (an own file alone). Raises ModelError's children."""
    entry = entry_of(role, entries)
    if own is not None:
        return (_own(role, own),)
    require_licence(role, entry)
    fix = f"run: zhanggui models fetch {role}"
    for member in entry.member:
        path = cached(member)
        try:
            same = path.stat().st_size == member.bytes and sha256_of(path) == member.sha256
        except FileNotFoundError:
            raise MissingModelError(f"model {role!r} is refused: {member.name} is missing", fix=fix) from None
        except OSError as error:
            raise MissingModelError(
                f"model {role!r} is refused: {member.name} cannot be read ({error.strerror})", fix=fix
            ) from error
        if not same:
            raise AlteredModelError(
                f"model {role!r} is refused: {member.name} is altered (its sha256 differs)", fix=fix
            )
    return tuple(cached(member) for member in entry.member)


def _own(role: str, own: OwnFile) -> Path:
    if not own.licence.strip():
        raise UnlicensedModelError(
            f"model {role!r} is refused: no licence is stated for {own.path.name}",
            fix="state its licence beside its path",
        )
    if not re.fullmatch("[0-9a-f]{64}", own.sha256):
        raise AlteredModelError(
            f"model {role!r} is refused: the sha256 stated for {own.path.name} is not 64 hex digits",
            fix=f"state the output of: sha256sum {own.path}",
        )
    try:
        if own.path.stat().st_size > MAX_FILE_BYTES:
            raise AlteredModelError(f"model {role!r} is refused: {own.path.name} is larger than {MAX_FILE_BYTES} bytes")
        found = sha256_of(own.path)
    except OSError as error:
        raise MissingModelError(
            f"model {role!r} is refused: {own.path} cannot be read ({error.strerror})", fix="mend its path"
        ) from error
    if found != own.sha256:
        raise AlteredModelError(
            f"model {role!r} is refused: {own.path.name} is altered (its sha256 differs)",
            fix=f"put the file back, or state the output of: sha256sum {own.path}",
        )
    return own.path


def status(role: str, *, entries: Manifest | None = None) -> ModelStatus:
    """Whether a role may run by licence and sums, and if not why and what mends it. Raises UnknownRoleError alone."""
    entry = entry_of(role, entries)
    state: State = "ready"
    reason = fix = ""
    paths: tuple[Path, ...] = ()
    try:
        paths = locate(role, entries=entries)
    except (MissingModelError, AlteredModelError, UnlicensedModelError) as error:
        state, reason, fix = _STATES[type(error)], str(error), error.fix.removeprefix("run: ")
    return ModelStatus(
        role=role,
        title=entry.title,
        state=state,
        reason=reason,
        fix=fix,
        package=f"{entry.package.source}:{entry.package.name}",
        version=entry.package.version,
        code_licence=entry.code_licence,
        weights_licence=entry.weights_licence,
        upstream=entry.upstream,
        download_bytes=entry.package.bytes,
        files=paths,
    )


def list_models(entries: Manifest | None = None) -> tuple[ModelStatus, ...]:
    """The state of every role, by name."""
    return tuple(status(role, entries=entries) for role in sorted(manifest() if entries is None else entries))
