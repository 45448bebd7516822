"""A small published package and a manifest entry for it, so that the registry and the fetch need no network."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

from models.registry import Entry, Member, Package

GRAPH, WEIGHTS = b'{"graph": 1}' * 40, bytes(range(256)) * 30
MEMBERS = {"package/models/net.json": GRAPH, "package/models/net.bin": WEIGHTS}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tarball(files: dict[str, bytes], *, link: str = "") -> bytes:
    """A .tgz of `files`, byte for byte the same in every process; `link` is a name that is a symbolic link instead."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if name == link:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
                continue
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(archive: bytes = b"archive", files: dict[str, bytes] = MEMBERS, **changes) -> Entry:
    """A licensed npm entry whose members are `files` and whose archive is `archive`."""
    package = Package(source="npm", name="@someone/net", version="1.2.3", sha256=digest(archive), bytes=len(archive))
    fields = {
        "title": "a net",
        "upstream": "https://example.org/net",
        "format": "tfjs",
        "input": "1x3x8x8",
        "size": 8,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "threshold": 0.5,
        "package": package,
        "member": tuple(Member(path=p, sha256=digest(d), bytes=len(d)) for p, d in files.items()),
        "code_licence": "MIT",
        "weights_licence": "CC0-1.0",
    }
    return Entry(**{**fields, **changes})
