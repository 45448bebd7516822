"""Alarms of devices in the ledger: each once when it begins, once when it is over, also across a restart.

What was told survives, for an alarm that nobody takes back would stand in the cloud for ever; one whose limit is no
longer described is taken back at the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from contracts.event_types import DeviceFault, DeviceRecovered, EventData
from edge.devices.limits import Change
from edge.ports import LedgerFullError, LedgerPort, Record, Transaction

STATE = "device_alarm"  # of the durable state; key: device|code, value: the device's kind
MAX_WAITING = 256  # changes that the ledger has not taken; one change a limit at most is ever worth telling
log = logging.getLogger("zhanggui.edge")


class AlarmBook:
    """Owns what was told. `counters` tell of what the ledger did not take yet."""

    def __init__(self, ledger: LedgerPort) -> None:
        self._ledger = ledger
        self._waiting: dict[tuple[str, str], tuple[str, Change]] = {}
        self._turn = asyncio.Lock()  # devices tell at the same time, and none tells another's word again
        self.counters: Counter[str] = Counter()

    def active(self, device: str) -> frozenset[str]:
        """The codes that stand in the ledger for a device."""
        told = (key.split("|", 1) for key in self._ledger.state(STATE))
        return frozenset(code for name, code in told if name == device)

    async def forget_all_but(self, limits: Mapping[str, Iterable[str]]) -> None:
        """Take back what is not watched any more; `limits` holds the codes of each device that is."""
        for key, raw in list(self._ledger.state(STATE).items()):
            device, code = key.split("|", 1)
            if code not in limits.get(device, ()):
                await self.tell(device, raw.decode().strip('"'), [Change(code, begins=False)])

    async def tell(self, device: str, kind: str, changes: Iterable[Change]) -> None:
        """Make these durable; what the ledger has no room for is tried again with the next call, the newest word of
        each alarm alone."""
        for change in changes:
            if (device, change.code) in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[device, change.code] = (kind, change)
            else:
                self.counters["alarm_dropped"] += 1
        async with self._turn:
            await self._commit()

    async def _commit(self) -> None:
        told = self._ledger.state(STATE)
        due = {
            place: said for place, said in self._waiting.items() if said[1].begins != (f"{place[0]}|{place[1]}" in told)
        }
        self._waiting = dict(due)  # what came and went before anybody heard of it is no news
        if not due:
            return
        try:
            await self._ledger.commit(_transaction(due))
        except LedgerFullError:
            self.counters["alarm_not_written"] += 1
            return
        for place, said in due.items():
            change = said[1]
            log.warning("%s: %s %s", place[0], place[1], change.detail if change.begins else "is over")
            if self._waiting.get(place) is said:
                del self._waiting[place]


def _transaction(due: Mapping[tuple[str, str], tuple[str, Change]]) -> Transaction:
    records, puts, deletes = [], {}, []
    for (device, code), (kind, change) in due.items():
        event: EventData
        if change.begins:
            event = DeviceFault(device=device, kind=kind, code=code, detail=change.detail[:256])
            puts[STATE, f"{device}|{code}"] = f'"{kind}"'.encode()
        else:
            event = DeviceRecovered(device=device, kind=kind, code=code, down_s=round(change.lasted_s, 1))
            deletes.append((STATE, f"{device}|{code}"))
        records.append(Record(event, device))
    return Transaction(records=records, puts=puts, deletes=deletes)
