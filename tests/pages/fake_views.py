"""Read models made up for the tests: a fleet of any size, one store in full, and every way they can fail."""

from __future__ import annotations

import random
from dataclasses import replace

from cloud_bridge.views import (
    CabinetView,
    CompartmentView,
    DeviceView,
    EventView,
    FleetRow,
    ShelfView,
    SlotView,
    StoreView,
    VisitorBar,
)

REGIONS = (
    ("云南 · 昆明", "Kunming"),
    ("浙江 · 杭州", "Hangzhou"),
    ("广东 · 深圳", "Shenzhen"),
    ("四川 · 成都", "Chengdu"),
)
STREETS = (
    ("翠湖", "Green Lake"),
    ("人民路", "People's Road"),
    ("火车站", "Station"),
    ("大学城", "Campus"),
    ("滨江", "Riverside"),
)
GOODS = {
    "cola": ("可乐 330ml", "Cola 330 ml", 350, "drink"),
    "tea": ("冰红茶", "Iced Tea", 400, "drink"),
    "water": ("山泉水", "Spring Water", 200, "drink"),
    "juice": ("橙汁", "Orange Juice", 650, "drink"),
    "crisps": ("薯片", "Crisps", 700, "snack"),
    "nuts": ("坚果", "Mixed Nuts", 1280, "snack"),
    "choc": ("巧克力", "Chocolate Bar", 550, "snack"),
    "gum": ("口香糖", "Chewing Gum", 300, "snack"),
    "leaf-a": ("甲牌 软", "Leaf A Soft", 2300, "tobacco"),
    "leaf-b": ("乙牌 硬", "Leaf B Hard", 2600, "tobacco"),
    "leaf-c": ("丙牌 新", "Leaf C New", 1800, "tobacco"),
}


def fleet_row(**changes: object) -> FleetRow:
    """A healthy store; `changes` make it another."""
    healthy = FleetRow(
        tenant="yn",
        store="s1",
        name_zh="翠湖店",
        name_en="Green Lake",
        region="云南 · 昆明",
        online=True,
        last_seen_ms=0,
        devices_online=6,
        devices_total=6,
        sales_today=42,
        revenue_today_fen=23_150,
        open_reviews=0,
        alarms=0,
        units=130,
        capacity=160,
        visitors_today=188,
    )
    return replace(healthy, **changes)  # type: ignore[arg-type]  # field names are checked at run time


def make_fleet(stores: int, *, now_ms: int, seed: int = 7) -> tuple[FleetRow, ...]:
    """`stores` stores, most of them healthy."""
    rng = random.Random(seed)
    rows = []
    for n in range(1, stores + 1):
        (region_zh, region_en), (street_zh, street_en) = rng.choice(REGIONS), rng.choice(STREETS)
        silent = rng.random() < 0.03
        devices = rng.choice((4, 6, 8))
        capacity = devices * 28
        row = fleet_row(
            store=f"s{n:05d}",
            name_zh=f"{region_zh.split(' · ')[1]}{street_zh}{n}号店",
            name_en=f"{region_en} {street_en} {n}",
            region=region_zh,
            online=not silent,
            last_seen_ms=now_ms - (rng.randrange(90_000, 9_000_000) if silent else rng.randrange(200, 25_000)),
            devices_total=devices,
            devices_online=devices - (rng.random() < 0.06),
            alarms=int(rng.random() < 0.02),
            open_reviews=rng.choice((0,) * 12 + (1, 3)),
            capacity=capacity,
            units=int(capacity * rng.betavariate(5, 2)),
            visitors_today=rng.randrange(20, 600),
            sales_today=rng.randrange(5, 200),
            revenue_today_fen=rng.randrange(2_000, 300_000),
        )
        rows.append(row)
    return tuple(rows)


def slot(sku: str, units: int, capacity: int) -> SlotView:
    zh, en, price_fen, category = GOODS[sku]
    return SlotView(sku, zh, en, price_fen, category, units, capacity)


def make_cabinets() -> tuple[CabinetView, ...]:
    """A drinks and snacks cabinet with two doors, a tobacco cabinet with one."""
    drinks = CompartmentView(
        "A",
        "open",
        blocked=False,
        session="0198f2c7-73",
        shelves=(
            ShelfView("A1", (slot("cola", 9, 12), slot("tea", 3, 12), slot("water", 12, 12), slot("juice", 0, 8))),
            ShelfView("A2", (slot("water", 10, 16), slot("cola", 14, 16), slot("tea", 7, 16))),
        ),
    )
    snacks = CompartmentView(
        "B",
        "closed",
        blocked=False,
        session="",
        shelves=(
            ShelfView("B1", (slot("crisps", 5, 8), slot("nuts", 6, 8), slot("choc", 2, 10))),
            ShelfView("B2", (slot("gum", 18, 20), slot("choc", 7, 10))),
        ),
    )
    tobacco = CompartmentView(
        "C",
        "closed",
        blocked=True,
        session="",
        shelves=(ShelfView("C1", (slot("leaf-a", 8, 20), slot("leaf-b", 15, 20), slot("leaf-c", 4, 20))),),
    )
    return (
        CabinetView("snack", "零食饮料柜", "Snack cabinet", "self_service", (drinks, snacks)),
        CabinetView("tobacco", "烟柜", "Tobacco cabinet", "staff_release", (tobacco,)),
    )


def make_events(now_ms: int) -> tuple[EventView, ...]:
    said = (
        (
            "ok",
            "零食饮料柜 A1 · 可乐 ×1 售予会员 …73 · ¥3.50",
            "Snack cabinet A1 · cola ×1 sold to member …73 · ¥3.50",
        ),
        ("info", "零食饮料柜 A 的门打开", "Door A of the snack cabinet opened"),
        ("attention", "秤 B1 读数不稳，已重读 3 次", "Scale B1 unsteady, read again 3 times"),
        ("fault", "烟柜 C 停用：身份证阅读器不在线", "Tobacco cabinet C blocked: identity card reader offline"),
        ("info", "店员小林签到", "Lin from staff signed in"),
        ("ok", "零食饮料柜 B2 补货：巧克力 +7", "Snack cabinet B2 restocked: chocolate +7"),
    )
    return tuple(
        EventView(900 - n, now_ms - 47_000 * n, "x", said[n % 6][1], said[n % 6][2], said[n % 6][0])  # type: ignore[arg-type]
        for n in range(24)
    )


def make_store(row: FleetRow, *, now_ms: int) -> StoreView:
    """One store in full, at 16:40 of a usual day."""
    minute = now_ms - now_ms % 900_000
    rng = random.Random(3)
    hours = range(24)
    entered = [max(0, round(11 * (1 - abs(n - 16) / 16) + rng.uniform(-3, 3))) for n in hours]
    visitors = tuple(
        VisitorBar(minute - (23 - n) * 900_000, entered[n], max(0, entered[n - 1] - (n % 5 == 0))) for n in hours
    )
    devices = (
        DeviceView("lock-1", "lock_board", "8A-8", "online", now_ms - 8_100_000, ""),
        DeviceView("scale-a1", "scale", "WT-1", "online", now_ms - 8_100_000, ""),
        DeviceView("scale-b1", "scale", "WT-1", "degraded", now_ms - 240_000, "3 retries in the last minute"),
        DeviceView("scan-1", "scanner", "GM-65", "online", now_ms - 8_100_000, ""),
        DeviceView("idc-1", "id_card", "SAM-V", "offline", now_ms - 660_000, "no answer"),
        DeviceView("cam-1", "camera", "RTSP", "online", now_ms - 3_600_000, "8.0 pictures a second"),
    )
    return StoreView(
        fleet=row,
        cabinets=make_cabinets(),
        devices=devices,
        events=make_events(now_ms),
        visitors=visitors,
        counters={"uplink.late_ack": 2, "bus.crc": 14, "scanner.too_long": 0},
        watermarks={"ledger": 18_422, "telemetry": 96_310},
        dead_letters=0,
    )


class FakeViews:
    """Read models that tests change by hand."""

    def __init__(self, rows: tuple[FleetRow, ...] = (), *, now_ms: int = 0) -> None:
        self.rows = rows
        self.stores = {(row.tenant, row.store): make_store(row, now_ms=now_ms) for row in rows[:1]}
        self.now_ms = now_ms
        self.broken = False
        self.reads = 0

    def _read(self) -> None:
        self.reads += 1
        if self.broken:
            raise RuntimeError("the disk is gone")

    def fleet(self) -> tuple[FleetRow, ...]:
        self._read()
        return self.rows

    def store(self, tenant: str, store: str) -> StoreView | None:
        self._read()
        found = self.stores.get((tenant, store))
        if found is None:
            row = next((row for row in self.rows if (row.tenant, row.store) == (tenant, store)), None)
            return row and make_store(row, now_ms=self.now_ms)
        return found

    def counters(self) -> dict[str, int]:
        self._read()
        return {"ingest.duplicate": 3, "ingest.bad_hash": 0}
