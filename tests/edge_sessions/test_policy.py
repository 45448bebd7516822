"""The policy file: a wrong one is refused with file, key and fix."""

from __future__ import annotations

from importlib.resources import files

import pytest

from edge.config import ConfigError
from edge.sessions import load_policy

TEXT = files("edge.sessions").joinpath("default_policy.toml").read_text()


def test_the_default_policy_has_no_licence_and_the_defaults_of_the_design():
    rules = load_policy()
    assert rules.licence is None
    t = rules.timeouts_s
    assert (t.presence, t.release, t.age, t.latch, t.door, t.review) == (120, 60, 600, 5, 10, 86400)
    assert rules.sale.tobacco_cap_units == 10


def test_a_store_adds_its_licence(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(TEXT + '\n[licence]\nnumber = "370102100001"\nvalid_from = 2024-01-01\nvalid_until = 2028-12-31\n')
    licence = load_policy(path).licence
    assert licence is not None
    assert licence.number == "370102100001"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("presence = 120.0", "presense = 120.0", "timeouts_s.presense: unknown key"),
        ("presence = 120.0", "", "timeouts_s.presence: is missing"),
        ("presence = 120.0", "presence = -1", "timeouts_s.presence"),
        ("door = 10.0", "door = 5.0", "timeouts_s: Value error, door \\(5\\) must exceed latch"),
        ("retry_max = 60.0", "retry_max = 0.5", "retry_max"),
        ("open_warn = 60.0", "open_warn = 600.0", "open_max must exceed"),
        ('close = "22:00"', 'close = "07:00"', "close \\(07:00\\) must be later"),
        ("max_items = 6", "max_items = 7", "sale.max_items"),
        ("[staff]", "[stuff]", "stuff: unknown key"),
        ("[staff]", "[staff", "not TOML"),
        ("# [licence]", '[licence]\nnumber = "1"\nvalid_from = 2024-01-01\nvalid_until = 2023-01-01', "licence.number"),
        (
            "# [licence]",
            '[licence]\nnumber = "370102100001"\nvalid_from = 2024-01-01\nvalid_until = 2023-01-01',
            "valid_until",
        ),
    ],
)
def test_a_wrong_policy_names_file_key_and_fix(tmp_path, old, new, told):
    path = tmp_path / "policy.toml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError, match=told) as refused:
        load_policy(path)
    assert str(path) in str(refused.value)


def test_no_file_and_too_long_a_file(tmp_path):
    with pytest.raises(ConfigError, match="name a policy file"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "long.toml").write_text("#" * (1 << 20) + "\n#")
    with pytest.raises(ConfigError, match="at most"):
        load_policy(tmp_path / "long.toml")
