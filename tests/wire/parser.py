"""AsyncAPI's own parser, brought here once from npm: one package without dependencies (its bundle), pinned by its sum.

It is kept outside the tree, in `$XDG_CACHE_HOME/zhanggui/npm`. npm runs no script of it and installs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from models.errors import FetchError
from models.fetch import npm_command

PACKAGE, VERSION = "@asyncapi/parser", "3.6.3"
INTEGRITY = "sha512-MUC8xIUMcS2qNvqrqyx/ie0txu3d/OdIsrXs7UCzawdyR6P07gh35DpOqPz/z57s1UA3vERVpcheZYl3h8cVtw=="
MEMBER = "package/browser/index.js"
WITHIN_S = 120
SCRIPT = """
globalThis.self = globalThis;  // the bundle was made for a browser
const Parser = require(process.argv[1]);
const read = [];
process.stdin.on('data', part => read.push(part)).on('end', async () => {
  const { document, diagnostics } = await new Parser().parse(Buffer.concat(read).toString('utf8'));
  const found = diagnostics.map(d => ({ severity: d.severity, message: d.message, path: d.path.join('/') }));
  console.log(JSON.stringify({ understood: document !== undefined, found }));
});
"""


class ParserAwayError(Exception):
    """The parser cannot be had here (no npm, no network); the message says which."""


@dataclass(frozen=True)
class Verdict:
    """What the parser says; a severity of 0 is an error, 1 a warning, more is advice."""

    understood: bool
    errors: list[str]
    warnings: list[str]


def fetched() -> Path:
    """The parser's file. Raises ParserAwayError; a package of another sum is an AssertionError."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zhanggui" / "npm"
    kept = root / f"asyncapi-parser-{VERSION}.js"
    if kept.is_file():
        return kept
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as name:
        archive = _pack(Path(name))
        digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert digest == INTEGRITY, f"{PACKAGE}@{VERSION} is not the package that was pinned"
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            assert member is not None
            fresh = Path(name) / "index.js"
            fresh.write_bytes(member.read())
        fresh.replace(kept)
    return kept


def _pack(folder: Path) -> Path:
    try:
        npm = npm_command()
    except FetchError as error:
        raise ParserAwayError(str(error)) from error
    command = [*npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--loglevel=error"]
    command += ["--pack-destination", str(folder), "--cache", str(folder / "cache"), "--fetch-retries=1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ParserAwayError(f"npm brought nothing within {WITHIN_S} s") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise ParserAwayError(f"npm could not fetch {PACKAGE}@{VERSION}: {done.stderr.strip()[:300]}")
    return archives[0]


def parse(document: str) -> Verdict:
    """What the official parser says of `document`. Raises ParserAwayError."""
    parser = fetched()
    npm = npm_command()
    node = npm[0] if len(npm) > 1 else shutil.which("node")
    if node is None:
        raise ParserAwayError("npm is here, but no node")
    done = subprocess.run(
        [node, "-e", SCRIPT, str(parser)], input=document, capture_output=True, text=True, timeout=WITHIN_S, check=True
    )
    said = json.loads(done.stdout)
    lines = [(d["severity"], f"{d['path']}: {d['message']}") for d in said["found"]]
    return Verdict(said["understood"], [t for s, t in lines if s == 0], [t for s, t in lines if s > 0])
