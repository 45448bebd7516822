"""From a seed to a schedule: how many stores, what they do, and what breaks how often."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from simulators.faultworld.schedule import Deed, DeedKind, Fault, FaultKind, Schedule, SlipAt, SlipKind

HOUR_S = 3600.0
CLOCK_JUMPS_S = (-1.77e9, 7 * 24 * HOUR_S, -HOUR_S, 0.0)  # 1970, a week ahead, an hour behind, right again
STORES = (1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 5)
SLIPS: tuple[SlipKind, ...] = ("lose", "lie", "twice", "late", "puback")

# Families of faults, and how many of each a run that has the family may see.
FAMILIES: dict[str, tuple[tuple[FaultKind, int], ...]] = {
    "crash": (("kill", 3), ("kill_at", 5), ("stop", 1)),
    "power": (("power", 2), ("power_at", 4), ("cloud_power_at", 2)),
    "bridge": (("worker_kill", 3), ("worker_kill_at", 6)),
    "broker": (("broker", 3), ("drop", 4), ("kick", 1)),
    "net": (("cut", 4), ("drop", 3)),
    "clock": (("clock", 4),),
    "disk": (("full", 2), ("eio", 2), ("worker_full", 2), ("worker_eio", 1)),
    "restore": (("image", 2), ("restore", 2)),
    "clone": (("image", 1), ("clone", 1), ("lease", 2)),
    "cloud": (("cloud_image", 1), ("cloud_restore", 1)),
}
HOW_OFTEN = {
    "crash": 0.55, "power": 0.35, "bridge": 0.5, "broker": 0.4, "net": 0.35, "clock": 0.25, "disk": 0.25,
    "restore": 0.3, "clone": 0.2, "cloud": 0.2,
}  # fmt: skip


def generate(seed: int) -> Schedule:
    """The schedule of a seed."""
    rng = Random(seed)
    stores, workers = rng.choice(STORES), rng.choice((1, 1, 2, 2, 3))
    end_s = rng.choice((30.0, 50.0, 70.0, 120.0))
    return Schedule(
        seed=seed,
        stores=stores,
        workers=workers,
        end_s=end_s,
        latency_s=rng.choice((0.005, 0.02, 0.02, 0.1, 0.6)),
        progress_timeout_s=rng.choice((5.0, 10.0, 20.0)),
        telemetry_rows=rng.choice((4, 8, 20)),
        window=rng.choice((1, 4, 16, 2048)),
        shared=rng.random() < 0.7,
        deeds=tuple(_deeds(rng, stores, end_s)),
        faults=tuple(_faults(rng, stores, workers, end_s)),
        slips=tuple(_slips(rng, stores, workers)),
    )


def _deeds(rng: Random, stores: int, end_s: float) -> list[Deed]:
    deeds: list[Deed] = []
    kinds: Sequence[DeedKind] = rng.choice((("ledger",), ("ledger", "telemetry"), ("telemetry", "telemetry", "ledger")))
    commands = rng.random() < 0.4
    for store in range(stores):
        for _ in range(rng.randint(4, 20)):
            at_s = round(rng.uniform(0.0, end_s), 3)
            count = rng.choice((1, 1, 1, 2, 3, 8))
            deeds.append(
                Deed(at_s=at_s, store=store, what=rng.choice(kinds), count=count, size=rng.choice((0, 0, 200)))
            )
        if commands:
            for _ in range(rng.randint(1, 4)):
                at_s, ttl_s = round(rng.uniform(0.0, end_s), 3), rng.choice((2.0, 8.0, 30.0))
                deeds.append(Deed(at_s=at_s, store=store, what="command", ttl_s=ttl_s))
    return sorted(deeds, key=lambda deed: (deed.at_s, deed.store))


def _faults(rng: Random, stores: int, workers: int, end_s: float) -> list[Fault]:
    faults: list[Fault] = []
    for family, often in HOW_OFTEN.items():
        if rng.random() >= often:
            continue
        for kind, most in FAMILIES[family]:
            faults += [_fault(rng, kind, stores, workers, end_s) for _ in range(rng.randint(1, most))]
    for image in [fault for fault in faults if fault.kind == "image"]:
        if rng.random() < 0.5:  # a copy that holds what was never sent; the sender comes back later
            at_s = max(0.0, round(image.at_s - rng.choice((2.0, 8.0)), 3))
            faults.append(Fault(at_s=at_s, kind="cut", who=image.who, seconds=rng.choice((12.0, 60.0))))
    return sorted(faults, key=lambda fault: fault.at_s)


def _fault(rng: Random, kind: FaultKind, stores: int, workers: int, end_s: float) -> Fault:
    at_s = round(rng.uniform(0.0, end_s * (0.5 if "image" in kind else 1.0)), 3)
    who, seconds, n = rng.randrange(stores), 0.0, 0
    if kind in ("kill", "power", "restore", "kill_at", "power_at", "cloud_power_at"):
        seconds = rng.choice((0.05, 1.0, 20.0))
    if kind in ("worker_kill", "worker_kill_at", "drop", "cut", "worker_full"):
        who = rng.randrange(workers if "worker" in kind else stores + workers)
        seconds = rng.choice((0.2, 3.0, 30.0))
    if kind in ("cut", "full", "eio", "worker_full", "worker_eio"):
        seconds = rng.choice((1.0, 12.0, 60.0))
    if kind in ("kill_at", "power_at", "cloud_power_at", "worker_kill_at"):
        n = rng.randint(1, 60)
    if kind in ("power", "power_at", "broker", "lease", "eio", "worker_eio"):
        n = n or rng.randrange(4)
    if kind in ("broker", "kick"):
        seconds = rng.choice((0.5, 5.0, 40.0))
    if kind == "clock":
        seconds = rng.choice(CLOCK_JUMPS_S)
    return Fault(at_s=at_s, kind=kind, who=who, seconds=seconds, n=n)


def _slips(rng: Random, stores: int, workers: int) -> list[SlipAt]:
    often = rng.choice((0.0, 0.0, 0.02, 0.05, 0.15, 0.3))
    kinds = rng.sample(SLIPS, rng.randint(1, len(SLIPS)))
    names = [f"s{n}" for n in range(stores)] + [f"w{n}" for n in range(workers)]
    slips: list[SlipAt] = []
    for name in names if often else ():
        for way in ("up", "down"):
            n = 0
            while (n := n + 1 + int(rng.expovariate(often))) <= 150:
                kind = rng.choice(kinds)
                extra_s = rng.choice((0.1, 1.0, 15.0)) if kind in ("late", "twice") else 0.0
                slips.append(SlipAt(link=f"{way}:{name}", n=n, kind=kind, extra_s=extra_s))
    return slips
