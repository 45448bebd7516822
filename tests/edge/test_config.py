"""A wrong store description is refused with file, key and fix, before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.config import MAX_GOODS, ConfigError, StockConfig, load_store, missing_ports, problems
from edge.desk import messages
from zhanggui.demo.store import make


@pytest.fixture
def good(tmp_path: Path) -> Path:
    demo = make(
        tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=True, pin_hashes={"amy": "hash", "bo": "hash"}
    )
    return demo.store_toml


@pytest.mark.parametrize("far", ["tcp://10.0.0.1:4001", "rfc2217://10.0.0.1:4001?baud=9600"])
@pytest.mark.parametrize(
    ("line", "may"),
    [
        ("locks", False),  # a frame that comes late would open late
        ("id-tobacco", False),  # a person's papers, readable on the way
        ("scales-snack", True),  # a weight opens nothing
        ("scan-snack", False),  # a code may be a member's
    ],
)
def test_what_may_be_behind_a_network(good: Path, line: str, may: bool, far: str):
    text, urls = good.read_text(), re.compile(rf'(id = "{line}"\nurl = )"[^"]*"')
    assert urls.search(text)
    good.write_text(urls.sub(rf'\1"{far}"', text))
    if may:
        bus = next(bus for bus in load_store(good).bus if bus.id == line)
        assert (bus.link.host, bus.link.port, bus.port) == ("10.0.0.1", 4001, "")
        assert f"bus.{line}.url" not in dict(missing_ports(load_store(good)))
        return
    with pytest.raises(ConfigError, match="may not be behind a network"):
        load_store(good)


def test_an_adapter_may_be_named_by_what_it_is(good: Path):
    good.write_text(re.sub(r'(id = "locks"\nurl = )"[^"]*"', r'\1"serial://usb/1a86:7523/A5"', good.read_text()))
    bus = next(bus for bus in load_store(good).bus if bus.id == "locks")
    assert str(bus.link.usb) == "1a86:7523/A5"


def test_the_demo_store_is_right(good: Path):
    config = load_store(good)
    assert [c.id for c in config.cabinet] == ["S1", "D1", "T1"]
    assert config.data_dir == good.parent / "edge"
    document = config.document()
    assert {p.category for p in document.products} == {"snack", "drink", "tobacco"}
    assert len(document.devices) == len(config.device)


WRONG = [
    # what is changed in the text, what the message must name
    pytest.param('store = "s001"', 'store = "s001"\nshop = "x"', ["shop", "unknown key"], id="an unknown key on top"),
    pytest.param('kind = "scale"', 'kind = "scale"\nspeed = 3', ["device", "speed", "unknown key"], id="in a device"),
    pytest.param('store = "s001"', "", ["store", "is missing"], id="a missing key"),
    pytest.param('store = "s001"', 'store = "s 1"', ["store", "pattern"], id="an id that no topic can hold"),
    pytest.param("address = 2", "address = 1", ["address", "already"], id="two devices at one address"),
    pytest.param(
        'mode = "staff_release"', 'mode = "self_service"', ["cabinet.T1.mode", "T11"], id="self-service tobacco"
    ),
    pytest.param('bus = "locks"', 'bus = "lox"', ["device.lock-1.bus", "lox", "locks"], id="a bus that is not there"),
    pytest.param(
        'bus = "scales-snack"',
        'bus = "locks"',
        ["device.scale-S1-a.bus", "speaks lock_8a"],
        id="a scale on a lock's bus",
    ),
    pytest.param('lock = "lock-1"', 'lock = "lock-9"', ["S1-door.lock", "lock-9"], id="a lock that is not there"),
    pytest.param("channel = 2", "channel = 1", ["channel", "already"], id="two doors on one channel"),
    pytest.param(
        'scale = "scale-S1-b"', 'scale = "scale-S1-a"', ["scale", "its own scale"], id="two shelves on one scale"
    ),
    pytest.param(
        'sku = "690001", units', 'sku = "699999", units', ["699999", "no such product"], id="an unknown product"
    ),
    pytest.param('id = "D1"', 'id = "S1"', ["cabinet.S1.id", "another id"], id="one id twice"),
    pytest.param('id = "S1-b"', 'id = "S1-a"', ["shelf", "already"], id="one shelf twice"),
    pytest.param('cabinet = "S1"', 'cabinet = "S9"', ["scanner-S1.cabinet", "S9"], id="a scanner of no cabinet"),
    pytest.param("fps = 5.0", "fps = 5.0\nread_codes_every = 5", ["entrance.codes_cabinet"], id="codes for no cabinet"),
    pytest.param(
        "[[staff]]",
        '[[product]]\nsku = "690101"\nname_zh = "x"\nname_en = "x"\nprice_fen = 1\nunit_weight_g = 1.0\n'
        'category = "snack"\n\n[[staff]]',
        ["product.690101", "2 times"],
        id="tobacco that is also a snack",
    ),
    pytest.param('id = "bo"', 'id = "amy"', ["staff.amy", "2 times"], id="one person with two PINs"),
    pytest.param(
        'sku = "690002", units', 'sku = "690001", units', ["690001", "twice"], id="a product twice on a shelf"
    ),
    pytest.param("serial:///", "tcp://10.0.0.1:4001/", ["bus.0.url", "HOST:PORT"], id="a path behind a network"),
    pytest.param("serial:///", "serial://", ["bus.0.url", "serial:///"], id="a port that is no path"),
    pytest.param("?baud=9600", "?baud=fast", ["bus.0.url", "baud"], id="a speed that is no number"),
    pytest.param("?baud=9600", "?baud=0", ["bus.0.url", "baud"], id="no speed at all"),
    pytest.param("/dev/scales-drink?", "/dev/scales-snack?", ["bus.scales-drink.url", "already"], id="one port twice"),
    pytest.param("[cloud]", "[cloud", ["not TOML"], id="not TOML at all"),
    pytest.param("unit_weight_g = 62.5", "unit_weight_g = inf", ["unit_weight_g", "finite"], id="no end of weight"),
    pytest.param("price_fen = 650", "price_fen = 0", ["price_fen"], id="a price of nothing"),
    pytest.param(
        'feedback_polarity = "locked_short"', "", ["feedback_polarity", "missing"], id="a polarity nobody said"
    ),
    *(
        pytest.param(
            'feedback_polarity = "locked_short"', f'feedback_polarity = "locked_short"\n{line}', names, id=f"{line}"
        )
        for line, names in (
            ('family = "lock_9z"', ["device.0.lock_board.family", "'lock_8a', 'lock_cu16'", "lock_9z"]),
            ('family = "lock_cu16"', ["device.lock-1.bus", "speaks lock_8a", "needs lock_cu16"]),
            ('dialect = "latin"', ["device.lock-1.dialect", "latin", "write one of 8a, 8a_99"]),
            ('dialect = "status_first"', ["device.lock-1.dialect", "8A/80", "write one of 8a, 8a_99"]),
            ('bit_order = "big"', ["device.0.lock_board.bit_order", "first_lsb", "big"]),
            ("hold_off_s = 0.4", ["device.0.lock_board.hold_off_s", "0.5"]),
            ("hold_off_s = 61", ["device.0.lock_board.hold_off_s", "60"]),
        )
    ),
    pytest.param("channel = 2", "channel = 25", ["channel", "'lock-1' has 24 channels"], id="a channel too many"),
    pytest.param("channel = 2", "channel = 0", ["channel", "greater than or equal to 1"], id="all channels at once"),
]


@pytest.mark.parametrize(("old", "new", "names"), WRONG)
def test_a_wrong_description_is_refused(good: Path, old: str, new: str, names: list[str]):
    text = good.read_text()
    assert old in text
    good.write_text(text.replace(old, new, 1) if "address" not in old else text.replace(old, new))
    with pytest.raises(ConfigError) as refusal:
        load_store(good)
    message = str(refusal.value)
    assert str(good) in message
    for name in names:
        assert name in message


@pytest.mark.parametrize(
    ("family", "settings", "names"),
    [
        ("lock_8a", {"dialect": "8a_99", "bit_order": "first_lsb", "hold_off_s": 0.75}, []),
        ("lock_cu16", {"address": 0}, []),
        ("lock_cu16", {"address": 9}, []),
        ("lock_cu16", {"address": 10}, ["device.lock-1.address", "KERONG CU16", "0 to 9"]),
        ("lock_cu48", {"address": 31, "dialect": "cu12"}, []),
        ("lock_cu48", {"address": 32}, ["device.lock-1.address", "0 to 31"]),
        ("lock_winnsen", {"address": 0, "dialect": "status_first"}, []),
        ("lock_winnsen", {"dialect": "cu12"}, ["device.lock-1.dialect", "write one of status_last, status_first"]),
        ("lock_8a", {"address": 0}, ["device.lock-1.address", "1 to 32"]),
    ],
)
def test_each_family_of_lock_boards_has_its_own_addresses_and_dialects(good: Path, family, settings, names):
    config = load_store(good)
    changed = [
        d.model_copy(update={"family": family} | (settings if d.id == "lock-1" else {}))
        if d.kind == "lock_board"
        else d
        for d in config.device
    ]
    buses = [b.model_copy(update={"protocol": family}) if b.id == "locks" else b for b in config.bus]
    found = problems(config.model_copy(update={"device": tuple(changed), "bus": tuple(buses)}))
    wrong = [(key, what) for key, what in found if key.startswith("device.")]
    assert len(wrong) == (1 if names else 0), wrong
    for name in names:
        assert name in " ".join(wrong[0])


@pytest.mark.parametrize("beside", [True, False], ids=["beside snacks", "alone"])
def test_tobacco_shares_no_line_whose_frames_have_no_check_sum(good: Path, beside: bool):
    """A turned bit in the frame for a snack's door would open it, and nobody had asked."""
    config = load_store(good)
    boards = [d.model_copy(update={"family": "lock_winnsen"}) if d.kind == "lock_board" else d for d in config.device]
    buses = [b.model_copy(update={"protocol": "lock_winnsen"}) if b.id == "locks" else b for b in config.bus]
    cabinets = [c for c in config.cabinet if beside or c.mode == "staff_release"]
    changed = config.model_copy(update={"device": tuple(boards), "bus": tuple(buses), "cabinet": tuple(cabinets)})
    wrong = [key for key, what in problems(changed) if "no check sum" in what]
    assert wrong == (["bus.locks.protocol"] if beside else [])


@pytest.mark.parametrize(("dialect", "channel", "most"), [("", 48, 0), ("", 49, 48), ("cu12", 12, 0), ("cu12", 13, 12)])
def test_a_door_hangs_on_a_channel_that_its_board_has(good: Path, dialect: str, channel: int, most: int):
    config = load_store(good)
    boards = [
        d.model_copy(update={"family": "lock_cu48", "dialect": dialect}) if d.kind == "lock_board" else d
        for d in config.device
    ]
    buses = [b.model_copy(update={"protocol": "lock_cu48"}) if b.id == "locks" else b for b in config.bus]
    first = config.cabinet[0]
    door = first.compartment[0].model_copy(update={"channel": channel})
    cabinets = (first.model_copy(update={"compartment": (door, *first.compartment[1:])}), *config.cabinet[1:])
    changed = config.model_copy(update={"device": tuple(boards), "bus": tuple(buses), "cabinet": cabinets})
    wrong = [what for key, what in problems(changed) if key.endswith(f"{door.id}.channel")]
    assert wrong == ([f"'lock-1' has {most} channels; name one of them"] if most else [])


def test_a_store_that_says_nothing_of_its_boards_has_the_ones_of_always(good: Path):
    board = next(d for d in load_store(good).device if d.kind == "lock_board")
    assert (board.family, board.dialect, board.bit_order, board.hold_off_s) == ("lock_8a", "", "", 0.5)


def test_a_missing_file_says_what_to_name(tmp_path: Path):
    with pytest.raises(ConfigError, match="name the store description"):
        load_store(tmp_path / "none.toml")


def test_a_huge_file_is_refused_unread(tmp_path: Path):
    path = tmp_path / "store.toml"
    path.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="at most"):
        load_store(path)


def test_missing_ports_are_named_with_the_fix(good: Path):
    found = dict(missing_ports(load_store(good)))
    assert "bus.locks.url" in found
    assert "plug the adapter in" in found["bus.locks.url"]


def test_all_problems_are_told_at_once(good: Path):
    good.write_text(
        good.read_text().replace('cabinet = "S1"', 'cabinet = "S9"').replace('bus = "locks"', 'bus = "lox"')
    )
    with pytest.raises(ConfigError) as refusal:
        load_store(good)
    assert len(str(refusal.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('pin_hash = "hash"', "pin_hash = 2468"),  # the PIN itself where its hash belongs
        ('url = "mqtt://127.0.0.1:1"', 'url = ["mqtt://shop:2468@127.0.0.1:1"]'),
        ('[cloud]\nurl = "mqtt://127.0.0.1:1"', 'cloud = "mqtt://shop:2468@127.0.0.1:1"'),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(good: Path, old: str, new: str):
    text = good.read_text()
    assert old in text
    moved = f"{new}\n{text.replace(old, '', 1)}" if new.startswith("cloud") else text.replace(old, new, 1)
    good.write_text(moved)
    with pytest.raises(ConfigError, match="Input should be") as refused:
        load_store(good)
    assert "2468" not in str(refused.value)


def test_no_door_hides_more_products_than_a_count_can_take(good: Path):
    assert MAX_GOODS == messages.MAX_GOODS
    config = load_store(good)
    cabinet = config.cabinet[0]
    shelf = cabinet.compartment[0].shelf[0]
    stock = tuple(StockConfig(sku=f"p{n}", units=1, capacity=1) for n in range(MAX_GOODS + 1))
    for n in (MAX_GOODS, MAX_GOODS + 1):
        halves = (stock[:40], stock[40:n])
        shelves = tuple(shelf.model_copy(update={"id": f"{shelf.id}{i}", "stock": h}) for i, h in enumerate(halves))
        wide = cabinet.model_copy(
            update={"compartment": (cabinet.compartment[0].model_copy(update={"shelf": shelves}),)}
        )
        told = [text for _, text in problems(config.model_copy(update={"cabinet": (wide, *config.cabinet[1:])}))]
        assert any("at most 60" in text for text in told) is (n > MAX_GOODS)
