"""The store that `benchmarks.unlock` measures: its description, and its hardware in a process of its own.

As a process it says on its output when a code was shown to a scanner and when an unlock frame reached its board, in
nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. A line `scan SCANNER CODE` on its input shows
a code; its end ends the process. Whenever a lock fires, a hand opens the door, takes one piece and closes it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from contracts.clock import clock_from_env
from edge.config import StoreConfig
from simulators.hardware.rig import Rig
from simulators.truth.records import TruthRecord
from simulators.world import World

PIN = "2468"
KEY = bytes(range(32))
STOCK = 150  # pieces on each shelf; 30 kg is what a scale bears
REACH_S, HOLD_S = 0.05, 0.25  # real: until a hand pulls; how long the door stands open, above two polls
# A PIN's hash that costs nothing: what a real one costs is a row of its own.
CHEAP_HASH = "scrypt$2$1$1$" + "5a" * 16 + "$5ad7ed341f44259e491819cc29b14b78eee4d18151eda978c3dcb5c02c1f9c89"


def store(folder: Path, pairs: int) -> StoreConfig:
    """`pairs` snack cabinets (S1 …) and as many of tobacco (T1 …), each pair's two lock boards on one line."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "member.key"
    key.touch(mode=0o600)
    key.write_text(KEY.hex())
    policy = folder / "policy.toml"
    shipped = files("edge.sessions").joinpath("default_policy.toml").read_text()
    licence = '[licence]\nnumber = "000000100001"\nvalid_from = 2024-01-01\nvalid_until = 2099-12-31\n'
    policy.write_text(f"{shipped}\n{licence}")
    buses: list[dict[str, Any]] = []
    devices: list[dict[str, Any]] = []
    cabinets: list[dict[str, Any]] = []
    for n in range(1, pairs + 1):
        for line, protocol in ((f"locks-{n}", "lock_8a"), (f"scales-{n}", "modbus_rtu"), (f"scan-{n}", "scanner")):
            buses.append({"id": line, "url": f"serial://{folder}/dev/{line}?baud=9600", "protocol": protocol})
        devices.append({"kind": "scanner", "id": f"scanner-S{n}", "bus": f"scan-{n}", "cabinet": f"S{n}"})
        for address, (cabinet, sku) in enumerate(((f"S{n}", "nuts"), (f"T{n}", "smoke")), 1):
            lock, scale = f"lock-{cabinet}", f"scale-{cabinet}"
            devices.append({"kind": "lock_board", "id": lock, "bus": f"locks-{n}", "address": address})
            devices[-1]["feedback_polarity"] = "locked_short"
            devices.append({"kind": "scale", "id": scale, "bus": f"scales-{n}", "address": address})
            shelf = {"id": f"{cabinet}-shelf", "scale": scale}
            stock = [{"sku": sku, "units": STOCK, "capacity": STOCK}]
            door = {"id": f"{cabinet}-door", "lock": lock, "channel": 1, "shelf": [{**shelf, "stock": stock}]}
            names = {"name_zh": cabinet, "name_en": cabinet}
            mode = "self_service" if cabinet.startswith("S") else "staff_release"
            cabinets.append({"id": cabinet, **names, "mode": mode, "compartment": [door]})
    goods = (("nuts", 150.0, "snack"), ("smoke", 25.4, "tobacco"))
    return StoreConfig.model_validate(
        {
            "tenant": "bench",
            "store": "s001",
            "name_zh": "量",
            "name_en": "Benchmark",
            "data_dir": folder,
            "policy": policy,
            "member_key_file": key,
            "cloud": {"url": "mqtt://127.0.0.1:1"},
            "bus": buses,
            "device": devices,
            "product": [
                {"sku": s, "name_zh": s, "name_en": s, "price_fen": 990, "unit_weight_g": g, "category": kind}
                for s, g, kind in goods
            ],
            "cabinet": cabinets,
            "staff": [{"id": "amy", "name": "Amy", "pin_hash": CHEAP_HASH, "adult_verified": True}],
        }
    )


async def serve(config: StoreConfig) -> None:
    """Be the hardware until the input ends."""
    loop = asyncio.get_running_loop()
    hands: set[asyncio.Task[None]] = set()

    def record(truth: TruthRecord) -> None:
        at_ns = time.monotonic_ns()
        if truth.kind not in ("scanned", "pulsed"):
            return
        place = truth.compartment or f"{truth.cabinet}-door"
        loop.call_soon(say, {"kind": truth.kind, "place": place, "ns": at_ns})  # not within what is measured
        if truth.kind == "pulsed":
            hand = loop.create_task(reach(place), name=f"hand:{place}")
            hands.add(hand)
            hand.add_done_callback(hands.discard)

    async def reach(place: str) -> None:
        await asyncio.sleep(REACH_S)
        world.open(place)
        shelf = next(s for s in world.shelves.values() if s.compartment == place)
        world.take(shelf.name, shelf.pieces[0].sku, 1, place)
        await asyncio.sleep(HOLD_S)
        world.close(place)

    clock = clock_from_env()
    world = World(config, clock=clock, seed=7, record=record)
    rig = Rig(config, world, clock=clock, seed=7, faults={})
    rig.plug_all()
    try:
        say({"kind": "ready", "place": "", "ns": time.monotonic_ns()})
        told = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
        while line := await told.readline():
            _, scanner, code = line.decode().split()
            rig.scan(scanner, code)
    finally:
        rig.unplug_all()


def say(what: dict[str, object]) -> None:
    """One line of JSON to whoever started us."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(store(Path(sys.argv[1]), int(sys.argv[2]))))
