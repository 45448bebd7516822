"""The member key is guarded; `check` tells everything that is missing, with its fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.check import check_store
from edge.config import ConfigError
from edge.keys import read_member_key
from zhanggui.demo.store import make


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        ("00" * 32, 0o644, "chmod 600"),  # others may read it
        ("xyz", 0o600, "not hex"),  # not a key
        ("00" * 8, 0o600, "at least 16"),  # too short to mean anything
        (None, 0o600, "copy the tenant's key"),  # not there
    ],
)
def test_a_bad_key_is_refused_without_repeating_it(tmp_path: Path, content: str | None, mode: int, says: str):
    path = tmp_path / "member.key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=says) as refusal:
        read_member_key(path)
    assert content is None or content not in str(refusal.value)


def test_a_good_key_is_read(tmp_path: Path):
    path = tmp_path / "member.key"
    path.write_text("0a" * 32 + "\n")
    path.chmod(0o600)
    assert read_member_key(path) == b"\x0a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Path:
    hashes = {"amy": "hash", "bo": "hash"}
    made = make(tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=False, pin_hashes=hashes).store_toml
    for bus in (
        "locks",
        "scales-snack",
        "scales-drink",
        "scales-tobacco",
        "scan-snack",
        "scan-drink",
        "id-tobacco",
        "climate",
    ):
        (made.parent / "dev" / bus).touch()
    return made


def missing(store: Path) -> dict[str, str]:
    return {f.what: f.found for f in check_store(store) if not f.ok}


def test_a_whole_store_misses_nothing(store: Path):
    assert missing(store) == {}


def test_everything_missing_is_told(store: Path):
    (store.parent / "dev" / "locks").unlink()
    (store.parent / "member.key").unlink()
    policy = store.parent / "policy.toml"
    policy.write_text(policy.read_text().split("\n[licence]\nnumber")[0])
    text = store.read_text()
    store.write_text(text[: text.index("[[staff]]")].replace('kind = "id_card"', 'kind = "scanner"', 0))
    assert set(missing(store)) == {"port of bus locks", "member key", "tobacco licence", "staff"}


def test_goods_that_no_weight_tells_apart_are_named(store: Path):
    text = store.read_text()
    store.write_text(text.replace("unit_weight_g = 331.0", "unit_weight_g = 352.0"))  # 2 × 527 g ≈ 3 × 352 g
    assert missing(store) == {
        "weights of shelf D1-a": "2 × 690011 weighs like another basket; move one of the products to another shelf"
    }


def test_an_ended_licence_is_told(store: Path):
    policy = store.parent / "policy.toml"
    policy.write_text(policy.read_text().replace("2099-12-31", "2025-12-31"))
    assert "renew it (T04)" in missing(store)["tobacco licence"]


def test_a_wrong_description_is_the_only_finding(store: Path):
    store.write_text("tenant = 1")
    findings = check_store(store)
    assert findings
    assert not any(f.ok for f in findings)


def test_a_camera_wants_its_notice_and_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZHANGGUI_CACHE", str(tmp_path / "empty"))
    hashes = {"amy": "hash", "bo": "hash"}
    made = make(tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=True, pin_hashes=hashes).store_toml
    made.write_text(made.read_text().replace('sign_confirmed_at = "2026-01-01"', ""))
    found = missing(made)
    assert "P09" in found["notice of camera entrance"]
    assert "zhanggui models fetch person" in found["person model"]


@pytest.mark.parametrize(("mode", "says"), [(0o600, ""), (0o644, "chmod 600"), (None, "No such file")])
def test_a_camera_wants_its_login_to_itself(tmp_path: Path, mode: int | None, says: str):
    hashes = {"amy": "hash", "bo": "hash"}
    made = make(tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=True, pin_hashes=hashes).store_toml
    login = tmp_path / "entrance.login"
    if mode is not None:
        login.write_text("amy:zk9pass\n")
        login.chmod(mode)
    described = re.sub('source = "sim:[^"]*"', f'source = "rtsp://cam/1"\nlogin_file = "{login}"', made.read_text())
    made.write_text(described)
    found = {finding.what: finding for finding in check_store(made)}["login of camera entrance"]
    assert found.ok == (not says)
    assert says in found.found
    assert "zk9pass" not in found.found
