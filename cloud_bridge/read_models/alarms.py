"""Alarms as people read them, and what the cloud itself knows it has lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cloud_bridge.storage import Db
from cloud_bridge.views import AlarmView

_WORDS = {
    # the first words of an alarm, and how it is said; the rest of it follows
    "forced": ("柜门被强行打开", "Door forced open"),
    "held open": ("柜门长时间未关", "Door held open"),
    "unexplained": ("库存变化原因不明", "Stock changed without an explanation"),
    "fault": ("设备故障", "Device fault"),
    "licence": ("许可证已到期", "Licence expired"),
    "disk full": ("磁盘已满，柜门停用", "The disk is full; no door opens"),
    "damaged": ("账本损坏", "Ledger damaged"),
    "cloud loss": ("云端丢失了已确认的记录", "The cloud lost events it had confirmed"),
}


class Loss(NamedTuple):
    """Events that this cloud had confirmed and holds no more: `first` to `last` of a stream."""

    tenant: str
    store: str
    lane: str
    first: int
    last: int
    noticed_ms: int


def losses(db: Db) -> list[Loss]:
    """Every range that was lost, as the forks it led to have told it."""
    rows = db.rows(
        """
        SELECT child.tenant, child.store, child.lane, lost.first, lost.last, lost.noticed_ms
        FROM lost JOIN streams AS child ON child.stream = lost.child ORDER BY lost.noticed_ms, lost.first
        """
    )
    return [Loss(*row) for row in rows]


def loss_alarm(lane: str, first: int, last: int) -> str:
    """The name of the alarm: the same whether the store tells it or the cloud finds it."""
    return f"cloud loss {lane} {first}–{last}" if first else f"cloud loss {lane}"


def draw_alarms(alarms: Mapping[str, int]) -> tuple[AlarmView, ...]:
    """What is wrong, oldest first, `alarms` being since when by name."""
    return tuple(
        AlarmView(what, since_ms, *_say(what)) for what, since_ms in sorted(alarms.items(), key=lambda a: (a[1], a[0]))
    )


def _say(what: str) -> tuple[str, str]:
    for start, (zh, en) in _WORDS.items():
        if what == start or what.startswith(f"{start} "):
            rest = what[len(start) + 1 :]
            return (f"{zh}：{rest}", f"{en}: {rest}") if rest else (zh, en)
    return what, what
