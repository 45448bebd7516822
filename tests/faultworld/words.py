"""What the counters of a run say, in words."""

from __future__ import annotations

from simulators.faultworld.schedule import FaultKind, SlipKind

FAULTS: dict[FaultKind, str] = {
    "kill": "store: SIGKILL of its process",
    "kill_at": "store: SIGKILL armed for its n-th step",
    "power": "store: power cut",
    "power_at": "store: power cut armed for the n-th call of SQLite",
    "stop": "store: told to end, and ended in the middle of it",
    "clock": "store: its clock set wrong, or right again",
    "full": "store: no room on its disk",
    "eio": "store: its disk fails writes and syncs",
    "image": "store: a copy of its disk made",
    "restore": "store: an old copy of its disk put back",
    "clone": "store: a copy of its disk started in a second box",
    "lease": "people: the lease moved to another box",
    "broker": "broker: restarted",
    "kick": "broker: hangs up at once on who comes",
    "drop": "network: a connection broken",
    "cut": "network: a link cut",
    "worker_kill": "bridge: SIGKILL",
    "worker_kill_at": "bridge: SIGKILL armed for its n-th step",
    "worker_full": "cloud: no room on its disk",
    "worker_eio": "cloud: its disk fails writes and syncs",
    "cloud_power_at": "cloud: power cut armed for the n-th call of SQLite",
    "cloud_image": "cloud: a copy of its disk made",
    "cloud_restore": "cloud: an old copy of its disk put back",
}
SLIPS: dict[SlipKind, str] = {
    "lose": "message: lost",
    "lie": "message: lost after its PUBACK",
    "twice": "message: doubled",
    "late": "message: late",
    "puback": "message: its PUBACK lost",
}
OTHERS = {
    "died at a step": "process: killed at the step it was armed for",
    "power failed inside SQLite": "store: power failed inside SQLite",
    "power failed inside the cloud's SQLite": "cloud: power failed inside SQLite",
    "take-over": "broker: one client took another's place",
    "lease moved at rest": "people: the lease moved, so that all could come to rest",
    "uplink fork_restored": "outcome: a stream forked, as its disk had been restored or cloned",
    "uplink fork_cloud_loss": "outcome: a stream forked, as the cloud had lost events",
    "uplink no_progress": "outcome: an uplink saw nothing go forward, and asked anew",
    "uplink refused": "outcome: a batch refused",
    "uplink not_active": "outcome: an instance told to stand by",
}
_KNOWN = {**FAULTS, **{f"message {kind}": words for kind, words in SLIPS.items()}, **OTHERS}


def said(name: str) -> str:
    """A counter's name in words."""
    if name in _KNOWN:
        return _KNOWN[name]
    kind, _, how = name.partition(" ")
    return f"{kind}: {how}" if how else name
