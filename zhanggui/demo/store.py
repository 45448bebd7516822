"""The files of the demo store: its description, its policy's place, its keys, its members."""

from __future__ import annotations

import csv
import secrets
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from contracts.member_code import mint_member_code
from zhanggui.errors import UserError

TENANT, STORE = "demo", "s001"
MEMBERS = 24
MIN_FREE_BYTES = 200 * 1024 * 1024
MAX_SOCKET_PATH = 100  # Linux holds 107 characters in a socket's address
DEMO_PINS = {"amy": "2468", "bo": "1357"}

_BUSES = (
    ("locks", "lock_8a"),
    ("scales-snack", "modbus_rtu"),
    ("scales-drink", "modbus_rtu"),
    ("scales-tobacco", "modbus_rtu"),
    ("scan-snack", "scanner"),
    ("scan-drink", "scanner"),
    ("id-tobacco", "id_card"),
    ("climate", "modbus_rtu"),
)

# sku, 中文, English, fen, grams, category. Weights on one shelf tell every basket of six apart.
_PRODUCTS = (
    ("690001", "海苔脆", "Seaweed crisps", 650, 62.5, "snack"),
    ("690002", "坚果仁", "Mixed nuts", 1280, 150.0, "snack"),
    ("690003", "芒果干", "Dried mango", 990, 98.0, "snack"),
    ("690004", "牛肉干", "Beef jerky", 1890, 71.0, "snack"),
    ("690005", "苏打饼干", "Soda crackers", 550, 131.0, "snack"),
    ("690006", "夹心糖", "Filled candy", 480, 50.0, "snack"),
    ("690011", "乌龙茶", "Oolong tea", 600, 527.0, "drink"),
    ("690012", "苏打水", "Soda water", 500, 331.0, "drink"),
    ("690013", "椰子水", "Coconut water", 800, 345.0, "drink"),
    ("690014", "冷萃咖啡", "Cold brew coffee", 1500, 297.0, "drink"),
    ("690101", "示例卷烟 甲", "Sample cigarettes A", 2500, 25.4, "tobacco"),
    ("690102", "示例卷烟 乙", "Sample cigarettes B", 4500, 26.1, "tobacco"),
    ("690103", "示例卷烟 丙", "Sample cigarettes C", 6500, 24.8, "tobacco"),
    ("690104", "示例卷烟 丁", "Sample cigarettes D", 10000, 27.3, "tobacco"),
)

# cabinet, 中文, English, mode, scale bus, [(compartment, board, channel, [(shelf, [(sku, units, capacity)])])]
_CABINETS = (
    (
        "S1", "零食柜", "Snack cabinet", "self_service", "scales-snack",
        (("S1-door", 1, 1, (
            ("S1-a", (("690001", 24, 30), ("690002", 24, 30))),
            ("S1-b", (("690003", 24, 30), ("690004", 24, 30))),
            ("S1-c", (("690005", 24, 30), ("690006", 24, 30))),
        )),),
    ),
    (
        "D1", "饮料柜", "Drinks cabinet", "self_service", "scales-drink",
        (("D1-door", 1, 2, (
            ("D1-a", (("690011", 24, 30), ("690012", 24, 30))),
            ("D1-b", (("690013", 24, 30), ("690014", 24, 30))),
        )),),
    ),
    (
        "T1", "烟柜", "Tobacco cabinet", "staff_release", "scales-tobacco",
        tuple(
            (f"T1-{n}", 2, n, ((f"T1-{n}s", ((f"69010{n}", 20, 30),)),)) for n in range(1, 5)
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoStore:
    """Where everything of a demo lies."""

    folder: Path
    store_toml: Path
    members_csv: Path
    codes_csv: Path
    clock_file: Path
    truth_log: Path
    cloud_db: Path
    desk_socket: Path
    control_socket: Path
    pins_csv: Path
    story_done: Path

    @property
    def ledger(self) -> Path:
        return self.folder / "edge" / "ledger.db"


def places(folder: Path) -> DemoStore:
    """The layout below `folder`, whether or not it exists."""
    return DemoStore(
        folder=folder,
        store_toml=folder / "store.toml",
        members_csv=folder / "members.csv",
        codes_csv=folder / "codes.csv",
        clock_file=folder / "clock",
        truth_log=folder / "truth.jsonl",
        cloud_db=folder / "cloud.db",
        desk_socket=folder / "edge" / "desk.sock",
        control_socket=folder / "sim.sock",
        pins_csv=folder / "pins.csv",
        story_done=folder / "story.done",
    )


def make(folder: Path, *, broker_url: str, camera: bool, pin_hashes: dict[str, str]) -> DemoStore:
    """Write a fresh demo store into `folder` (emptied first). Raises UserError when there is no room."""
    longest = max(len(str(place.resolve())) for place in (places(folder).desk_socket, places(folder).control_socket))
    if longest > MAX_SOCKET_PATH:
        raise UserError(
            f"--data {folder}: {longest - MAX_SOCKET_PATH} characters too long for a socket; choose another"
        )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < MIN_FREE_BYTES:
        raise UserError(
            f"the disk is nearly full: {free_bytes // 2**20} MiB free in {folder}, {MIN_FREE_BYTES // 2**20} MiB needed"
        )
    demo = places(folder)
    (folder / "edge").mkdir()
    (folder / "dev").mkdir()
    key = secrets.token_bytes(32)
    key_file = folder / "member.key"
    key_file.touch(mode=0o600)
    key_file.write_text(key.hex() + "\n")
    members = [f"m{n:04d}" for n in range(1, MEMBERS + 1)]
    with demo.members_csv.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("member_ref", "name", "points"))
        out.writerows((ref, f"会员 {ref[-2:]}", 37 * n % 900) for n, ref in enumerate(members, 1))
    demo.codes_csv.touch(mode=0o600)
    with demo.codes_csv.open("w", newline="") as file:
        csv.writer(file).writerows((ref, mint_member_code(ref, key)) for ref in members)
    demo.pins_csv.touch(mode=0o600)
    with demo.pins_csv.open("w", newline="") as file:
        csv.writer(file).writerows(DEMO_PINS.items())
    (folder / "policy.toml").write_text(_policy())
    demo.store_toml.write_text(_toml(folder, broker_url, camera=camera, pin_hashes=pin_hashes))
    return demo


def _policy() -> str:
    """The policy that ships, with an invented licence and open all day, so that a demo sells at any hour."""
    shipped = files("edge.sessions").joinpath("default_policy.toml").read_text()
    ours = {
        "version": '"demo-1"',
        "open": '"00:00"',
        "close": '"23:59"',
        "restock_open": '"00:00"',
        "restock_close": '"23:59"',
    }
    keys = [line.split("=")[0].strip() for line in shipped.splitlines()]
    lines = [f"{k} = {ours[k]}" if k in ours else line for k, line in zip(keys, shipped.splitlines(), strict=True)]
    licence = ["[licence]", 'number = "000000100001"', "valid_from = 2024-01-01", "valid_until = 2099-12-31"]
    return "\n".join([*lines, "", *licence]) + "\n"


def _toml(folder: Path, broker_url: str, *, camera: bool, pin_hashes: dict[str, str]) -> str:
    out: list[str] = [
        "# The demo store. Every key is explained in docs/store-toml.md.",
        f'tenant = "{TENANT}"',
        f'store = "{STORE}"',
        'name_zh = "一号演示店"',
        'name_en = "Demo store No. 1"',
        'region = "cn-hangzhou"',
        'data_dir = "edge"',
        'policy = "policy.toml"',
        'member_key_file = "member.key"',
        "",
        "[cloud]",
        f'url = "{broker_url}"',
    ]
    for bus, protocol in _BUSES:
        port = folder.resolve() / "dev" / bus
        out += ["", "[[bus]]", f'id = "{bus}"', f'url = "serial://{port}?baud=9600"', f'protocol = "{protocol}"']
    for board in (1, 2):
        out += ["", "[[device]]", 'kind = "lock_board"', f'id = "lock-{board}"', 'bus = "locks"', f"address = {board}"]
        out += ['feedback_polarity = "locked_short"']
    for _, _, _, _, bus, compartments in _CABINETS:
        placed = [s for c in compartments for s in c[3]]
        for address, (shelf, _) in enumerate(placed, 1):
            out += ["", "[[device]]", 'kind = "scale"', f'id = "scale-{shelf}"', f'bus = "{bus}"']
            out += [f"address = {address}"]
    for scanner, bus, cabinet in (("scanner-S1", "scan-snack", "S1"), ("scanner-D1", "scan-drink", "D1")):
        out += ["", "[[device]]", 'kind = "scanner"', f'id = "{scanner}"', f'bus = "{bus}"', f'cabinet = "{cabinet}"']
    out += ["", "[[device]]", 'kind = "id_card"', 'id = "id-T1"', 'bus = "id-tobacco"', 'cabinet = "T1"']
    out += ["", "[[device]]", 'kind = "climate"', 'id = "climate-shop"', 'bus = "climate"', "address = 1"]
    out += ["min_c = 10.0", "max_c = 30.0"]
    out += ["", "[[device]]", 'kind = "fridge"', 'id = "fridge-D1"', 'bus = "climate"', "address = 2", "max_c = 10.0"]
    out += ["for_s = 900.0"]
    if camera:
        out += ["", "[[device]]", 'kind = "camera"', 'id = "entrance"', 'source = "sim://entrance"', "fps = 5.0"]
        out += ['sign_confirmed_at = "2026-01-01"']
    for sku, zh, en, fen, grams, category in _PRODUCTS:
        out += ["", "[[product]]", f'sku = "{sku}"', f'name_zh = "{zh}"', f'name_en = "{en}"', f"price_fen = {fen}"]
        out += [f"unit_weight_g = {grams}", f'category = "{category}"']
    for cabinet, zh, en, mode, _, compartments in _CABINETS:
        out += ["", "[[cabinet]]", f'id = "{cabinet}"', f'name_zh = "{zh}"', f'name_en = "{en}"', f'mode = "{mode}"']
        for compartment, board, channel, shelves in compartments:
            out += ["", "[[cabinet.compartment]]", f'id = "{compartment}"', f'lock = "lock-{board}"']
            out += [f"channel = {channel}"]
            for shelf, stock in shelves:
                rows = ", ".join(f'{{ sku = "{s}", units = {u}, capacity = {c} }}' for s, u, c in stock)
                out += ["", "[[cabinet.compartment.shelf]]", f'id = "{shelf}"', f'scale = "scale-{shelf}"']
                out += [f"stock = [{rows}]"]
    for staff, name, manager in (("amy", "店长 Amy", True), ("bo", "店员 Bo", False)):
        out += ["", "[[staff]]", f'id = "{staff}"', f'name = "{name}"', f'pin_hash = "{pin_hashes[staff]}"']
        out += [f"manager = {str(manager).lower()}", "adult_verified = true"]
    return "\n".join(out) + "\n"
