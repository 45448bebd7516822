"""Carries out a schedule of the model on the real code, step by step, and compares the two after each.

    .venv/bin/python -m tests.wire_model.replay walk ledger 17          one seeded walk
    .venv/bin/python -m tests.wire_model.replay recorded ack_hash       one of recorded.json
    .venv/bin/python -m tests.wire_model.replay steps ledger '["…", …]' steps by their labels

Real are the box's ledger (a SQLite file), `LaneMachine`, `CommandMachine` and `ClockEstimator`, the messages as bytes, and
the bridge's `Router`, `Ingest`, `CommandDesk` and database. The network is the model's bag of messages. What is a number in
the model (a stream, nonce, hash, event) has a counterpart in the real world; each pair is noted when it is born, and from
then on must hold everywhere: on both disks, in every message, in every answer.

| step | on the real code |
|---|---|
| append | a commit of the ledger |
| connect, T | `connected`, or ticks until the machine says hello again |
| send | `grew`, the slice read from the ledger, its batch encoded |
| deliver, deliver+keep, drop | the bytes decoded by whoever gets them; nobody gets them |
| worker dies after commit | the bridge's transaction, no answer |
| run | `look` (the effect), `ended` (its outcome) |
| crash, image, restore, clone | copies of the ledger's files under a new process |
| cloud image taken, restored | copies of the cloud's file, and `mark_restored` |
| cloud loses last k | rows taken out of the cloud's file, and the same word of the operator |
| drops telemetry | `Store.drop_telemetry` |
| lease, tick, command | `move_lease`, the clock, `book.issue` and the desk's turn |

Compared after each step: every stream of the cloud (watermark, hash, stored events in order, gaps, parked batches, parent,
lost range), that each event counts once over all streams; the lease, the stream that commands name, the commands that a
restore made doubtful, and the verdict on each; of every box the stream, parent, freed, tail, retained events, state,
nonce, watermark and what is sent, whether a batch would be sent now, the table of ids and the command under way; all
effects; and that exactly the messages of the model went out, with its contents.

Where the product decides what the contract leaves open, the model is told so (flags `product`, `says_fork`) or the replay
makes both equal, and only here:

- windows: the bridge's is set to the model's (`AHEAD`) and never moves; batches hold `BATCH` events on every line;
- a batch that the machine wants before the schedule sends it is answered with "nothing was there to read";
- T and back-off pass at once when the schedule says that T passes, or after a word that cannot be believed (`wait`);
- after a fork the line breaks: its hello is the schedule's next one;
- a command that arrives before the hello is answered, or while another is under way, is lost by the network: the machine
  would hold it, the model drops it;
- the clock keeps every sample of a boot, not the last eight; its drift is far below the model's tick;
- hello answers that nobody can use any more are forgotten as in the model (not with `untidy`);
- after rows were taken out of the cloud's file an event may count no time at all, since its first copy may be gone.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from cloud_bridge.commands import book
from contracts.clock import ManualClock, unix_ms
from contracts.envelope import BadEventError, decode_data, decode_envelope, root_hash
from contracts.event_types import (
    CommandAccepted,
    CommandCompleted,
    CommandRefused,
    DeviceFault,
    DeviceOffline,
    Lane,
    StreamForked,
)
from contracts.messages import Ack, Batch, Command, Hello, HelloAnswer
from edge.commands.records import KIND, decode_row
from simulators.faultworld.disks import Folder
from tests.wire_model.explore import AS_BUILT, CONFIGS, WALKS, quiesce, walk
from tests.wire_model.model import (
    Bud,
    Db,
    Edge,
    Flags,
    Msg,
    Step,
    World,
    first_of,
    last_of,
    last_word,
    own,
    send,
    start,
    successors,
    tail,
    tidy,
)
from tests.wire_model.real import STORE, TENANT, TICK_S, Box, Cloud, Said

RECORDED = Path(__file__).with_name("recorded.json")
FAR_MS = 10**13
MANY = 1 << 30


class DivergenceError(AssertionError):
    """Model and code differ."""


class Pairs:
    """What is what: one to one, noted when it is born."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._real: dict[int, Any] = {}
        self._model: dict[Any, int] = {}

    def born(self, model: int, real: Any) -> None:
        """A pair, or one that is known already."""
        if self._real.setdefault(model, real) != real or self._model.setdefault(real, model) != model:
            was = f"{self._real.get(model)!r}, the code's was {self._model.get(real)}"
            raise DivergenceError(f"{self._what} {model} of the model is {real!r}; the model's was {was}")

    def model(self, real: Any) -> int:
        """The model's name of it."""
        if real not in self._model:
            raise DivergenceError(f"{self._what} {real!r} is nothing that the model knows")
        return self._model[real]

    def real(self, model: int) -> Any:
        """The real one."""
        return self._real[model]


def _same(what: str, model: Any, real: Any) -> None:
    if model != real:
        raise DivergenceError(f"{what}: the model says {model!r}, the code {real!r}")


class Replay:
    """One model's world and one real one, in step. Use it inside `async with`."""

    def __init__(self, lane: Lane, f: Flags) -> None:
        self.lane, self.f = lane, f
        self.streams, self.nonces, self.hashes = Pairs("stream"), Pairs("nonce"), Pairs("hash")
        self.events: dict[bytes, tuple[Any, ...]] = {}
        self.bag: dict[Msg, Said] = {}
        self.effects: list[tuple[str, float]] = []
        self.boxes: list[Box] = []
        self._seen: dict[int, tuple[Db, Any]] = {}
        self._maimed = False

    async def __aenter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="wire_model")
        root = Path(self._folder.name)
        (root / "boxes").mkdir()
        self.clock = ManualClock()
        self._began_ms = unix_ms(self.clock.wall())
        self.cloud = Cloud(root, self.clock)
        await self._box(None)
        return self

    async def __aexit__(self, *_: object) -> None:
        for box in self.boxes:
            box.end()
        self.cloud.close()
        self._folder.cleanup()

    async def _box(self, files: Path | None) -> None:
        folder = Folder(Path(self._folder.name) / "boxes", faulty=False, files=files)
        n = len(self.boxes)
        box = Box(n, f"i{n}", self.lane, folder, self.clock, self.effects)
        self.boxes.append(box)
        await box.boot()

    # -------------------------------------------------------------- one step

    async def step(self, before: World, step: Step) -> None:
        """Carry it out and compare. Raises DivergenceError, and what the code itself raises."""
        await self._carry_out(before, step)
        self.compare(step.world)
        self._messages(before, step)

    async def _carry_out(self, before: World, step: Step) -> None:
        match step.what, step.args:
            case ("deliver" | "keep" | "die") as how, (m,):
                said = self.bag[m]
                if m[1] < 0:
                    await self.cloud.hear(said, reply=how != "die")
                else:
                    await self.boxes[m[1]].hear(said.topic, said.payload)
            case "drop", _:
                pass
            case "append", (i,):
                await self.boxes[i].append(step.world.uid)
            case "hello", (i,):
                await self.boxes[i].say_hello()
            case "send", (i,):
                await self.boxes[i].send()
            case "run", (i,):
                await self.boxes[i].run(before.edges[i].up.run[1])
            case "tdrop", (i,):
                await self.boxes[i].drop_oldest()
            case "crash", (i,):
                self.boxes[i].die()
                await self.boxes[i].boot()
            case "backup", (i,):
                self._image = self.boxes[i].folder.image()
            case "restore", (i,):
                await self.boxes[i].replace_disk(self._image)
            case "clone", _:
                await self._box(self._image)
            case "lease", (inst,):
                await self.cloud.move_lease(f"i{inst}")
            case "lease+hello", (inst, i):
                await self.cloud.move_lease(f"i{inst}")
                await self.boxes[i].say_hello()
            case "tick", _:
                self.clock.step(TICK_S)
            case "cmd", (cid,):
                await self.cloud.issue(f"c{cid}", self._expires_ms(step.world.issued[-1][2]))
            case "cloud backup", _:
                self._cloud_image = self.cloud.image()
            case "cloud restore", _:
                self.cloud.put_back(self._cloud_image)
            case "loss", (sid, k):
                self._maimed = True
                await self.cloud.lose(self.streams.real(sid), k)
            case what, _:
                raise AssertionError(f"no way to do {what!r}")

    def _expires_ms(self, tick: int) -> int:
        """Half a tick later: what the model compares with `<=` is never equal here."""
        return self._began_ms + int((tick + 0.5) * TICK_S * 1000)

    # -------------------------------------------------------------- the line

    def _messages(self, before: World, step: Step) -> None:
        """Exactly the messages of the model went out."""
        gone = {step.args[0]} if step.what in {"deliver", "die", "drop"} else set()
        new = step.world.net - (before.net - gone)
        found: dict[Msg, Said] = {}
        for box in self.boxes:
            for said in box.out:
                found.update(dict.fromkeys(self._from_box(box, said), said))
            box.out.clear()
        for said in self.cloud.out:
            found.update(dict.fromkeys(self._from_cloud(said, step), said))
        self.cloud.out.clear()
        stale = {m for m in found if m[0] == "hans" and m[2] != step.world.edges[m[1]].up.nonce}
        for m in found:
            if m not in step.world.net and m not in stale:
                raise DivergenceError(f"the code sent {m}, the model did not")
        if missing := new - set(found):
            raise DivergenceError(f"the model sent {sorted(missing, key=repr)}, the code did not")
        bag = self.bag | found
        self.bag = {m: bag[m] for m in step.world.net}

    def _from_box(self, box: Box, said: Said) -> list[Msg]:
        match said.message:
            case Hello(stream=stream, nonce=nonce, probe=probe, parent=parent, instance=instance):
                sid = self.streams.model(stream)
                above = parent and (
                    self.streams.model(parent.stream),
                    parent.common,
                    self.hashes.model(bytes.fromhex(parent.hash)),
                )
                inst = int(instance.removeprefix("i"))
                asked = -1 if probe is None else probe
                return [("hello", -1, box.index, inst, self.nonces.model(nonce), sid, asked, above)]
            case Batch() as b:
                gap = b.gap and (b.gap.first, b.gap.last, self.hashes.model(bytes.fromhex(b.gap.last_hash)))
                events = tuple(self._event(bytes(raw)) for raw in b.events)
                prev = self.hashes.model(bytes.fromhex(b.prev_hash))
                self.hashes.model(bytes.fromhex(b.last_hash))
                where = (self.nonces.model(b.nonce), self.streams.model(b.stream))
                return [("batch", -1, *where, b.first_seq, prev, events, gap)]
            case other:
                raise DivergenceError(f"a box said {other}")

    def _from_cloud(self, said: Said, step: Step) -> list[Msg]:
        everybody = range(len(self.boxes))
        match said.message:
            case HelloAnswer() as a:
                m = step.args[0]
                probe = None if a.hash_at_probe is None else self.hashes.model(bytes.fromhex(a.hash_at_probe))
                at = self.hashes.model(bytes.fromhex(a.hash_at_watermark))
                where = (self.nonces.model(a.nonce), self.streams.model(a.stream))
                now = (a.t1 - self._began_ms) // int(TICK_S * 1000)
                return [("hans", m[2], *where, a.watermark, at, m[6], probe, a.active, now)]
            case Ack(refused=None) as a:
                at = self.hashes.model(bytes.fromhex(a.hash_at_watermark or ""))
                where = (self.streams.model(a.stream), a.watermark, at, self.nonces.model(a.nonce))
                return [("ack", i, *where) for i in everybody]
            case Ack() as a:
                where = (self.streams.model(a.stream), a.refused.first_seq, self.nonces.model(a.nonce))
                return [("ref", i, *where) for i in everybody]
            case Command(id=name, stream=stream, expires_at=expires):
                tick = (expires - self._began_ms) // int(TICK_S * 1000)
                return [("cmd", i, int(name[1:]), self.streams.model(stream), tick) for i in everybody]
            case other:
                raise DivergenceError(f"the cloud said {other}")

    def _event(self, raw: bytes) -> tuple[Any, ...]:
        if raw not in self.events:
            raise DivergenceError(f"an event that no box appended: {raw!r}")
        return self.events[raw]

    # -------------------------------------------------------------- what is so

    def compare(self, w: World) -> None:
        """Everything that is written in the module's text. Raises DivergenceError."""
        for box, edge in zip(self.boxes, w.edges, strict=True):
            self._compare_disk(box, edge.db)
            self._compare_uplink(box, edge)
            self._compare_commands(box, edge)
            if box.machine.state != "off":
                self.nonces.born(edge.up.nonce, box.machine.nonce)
            would = send(w, box.index, self.f)
            _same(f"box {box.index} would send", would is not None, box.would_send)
        _same("effects", [(f"c{c}", t * TICK_S) for c, t in w.effects], self.effects)
        self._compare_streams(w)
        self._compare_counted(w)
        self._compare_orders(w)

    def _compare_disk(self, box: Box, db: Db) -> None:
        row = box.view._row
        if self._seen.get(box.index) == (db, row):
            return
        self.streams.born(db.stream, row.stream)
        if db.base == 0:
            self.hashes.born(db.base_hash, root_hash(row.stream))
        above = row.parent and (self.streams.model(row.parent.stream), row.parent.common)
        _same("parent", db.parent and db.parent[:2], above)
        _same("freed", db.base, row.freed.seq)
        _same("tail", tail(db), row.tail.seq)
        self.hashes.born(db.base_hash, row.freed.hash)
        rows = box.ledger._store.rows(self.lane, row.freed.seq, MANY)
        _same("retained", len(db.ev), len(rows))
        for n, (event, (seq, raw, chained)) in enumerate(zip(db.ev, rows, strict=True)):
            _same("sequence", db.base + n + 1, seq)
            self.hashes.born(db.hs[n], chained)
            _same(f"event {seq} dropped", event is None, raw is None)
            if event is not None:
                _same(f"event {seq}", _meaning(event), _meant(raw))
                _same(f"event {seq}", self.events.setdefault(raw, event), event)
        _same("hash at the tail", own(db, tail(db)), self.hashes.model(row.tail.hash))
        self._seen[box.index] = (db, row)

    def _compare_uplink(self, box: Box, edge: Edge) -> None:
        up, machine = edge.up, box.machine
        _same(f"box {box.index} is", up.st, machine.state)
        if up.st == "ready":
            _same("watermark at the box", (up.wm, up.sent), (machine.watermark, machine.sent_seq))
        if up.st == "probe":
            _same("search", (up.lo, up.hi), (machine._low, machine._high))

    def _compare_commands(self, box: Box, edge: Edge) -> None:
        written = {name: decode_row(raw) for name, raw in box.ledger.state(KIND).items()}
        _same("the table of ids in memory", written, box.commands.rows)
        rows = {name: (row.state, self.streams.model(row.stream)) for name, row in written.items()}
        _same("the table of ids", {f"c{c}": (st, said_in) for c, st, said_in in edge.db.cmds}, rows)
        run = edge.up.run
        states = {"waiting": "todo", "effect": "did"}
        under_way = {name: (states.get(r.state, r.state), r.intent_seq) for name, r in box.commands.open.items()}
        _same("commands under way", {f"c{run[0]}": (run[1], run[3])} if run else {}, under_way)

    def _compare_streams(self, w: World) -> None:
        db, found = self.cloud.db, {}
        query = "SELECT stream, born, watermark, hash, parent, parent_common FROM streams WHERE lane = ?"
        for stream, key, watermark, chained, parent, common in db.rows(query, (self.lane,)):
            sid = self.streams.model(stream)
            events: dict[int, Any] = {}
            for seq, raw, at, dead in db.rows(
                "SELECT seq, raw, hash, dead FROM events WHERE stream = ? ORDER BY seq", (key,)
            ):
                _same(f"s{sid}#{seq} is a dead letter", None, dead)
                events[seq] = (self._event(raw), self.hashes.model(at))
            gaps = db.rows("SELECT first, last FROM gaps WHERE stream = ? ORDER BY first", (key,))
            parked = db.rows("SELECT first, last FROM parked WHERE stream = ? ORDER BY number", (key,))
            lost = db.one("SELECT first, last FROM lost WHERE child = ?", (stream,))
            above = None if parent is None else (self.streams.model(parent), common)
            at_watermark = self.hashes.model(chained)
            found[sid] = (watermark, at_watermark, events, gaps, parked, above, lost)
        expected = {}
        for sid, cs in w.streams:
            events = {n: (e, cs.hs[n - 1]) for n, e in enumerate(cs.ev, 1) if e is not None}
            parked = [(first_of(p), last_of(p)) for p in cs.parked]
            at = cs.hs[-1] if cs.hs else cs.root
            expected[sid] = (len(cs.hs), at, events, sorted(cs.gaps), parked, cs.parent, cs.lost)
        _same("streams of the cloud", sorted(expected), sorted(found))
        names = ("watermark", "hash", "events", "gaps", "parked", "parent", "lost")
        for sid, facts in expected.items():
            for name, model, real in zip(names, facts, found[sid], strict=True):
                _same(f"s{sid} {name}", model, real)

    def _compare_counted(self, w: World) -> None:
        """An event counts once, however often a fork has brought it."""
        counted: dict[int, int] = {}
        for raw, counts in self.cloud.db.rows(
            "SELECT e.raw, e.counted FROM events e JOIN streams s ON s.born = e.stream WHERE s.lane = ?", (self.lane,)
        ):
            uid = self._event(raw)[0]
            counted[uid] = counted.get(uid, 0) + counts
        wrong = {uid: n for uid, n in counted.items() if n != 1 and not (n == 0 and self._maimed)}
        if wrong:
            raise DivergenceError(f"events (by uid) that do not count once: {wrong}")

    def _compare_orders(self, w: World) -> None:
        db = self.cloud.db
        lease = db.one("SELECT instance FROM leases")
        _same("lease", None if w.lease < 0 else f"i{w.lease}", lease and lease[0])
        if self.lane != "ledger":
            return
        target = book.target(db, TENANT, STORE)
        _same("the stream that commands name", w.target, 0 if target is None else self.streams.model(target))
        commands = db.rows("SELECT id, lost_ms FROM commands")
        _same("commands", {f"c{c}" for c in w.known}, {name for name, _ in commands})
        _same("commands in doubt", {f"c{c}" for c in w.lost}, {name for name, lost_ms in commands if lost_ms})
        for cid in sorted(w.known):
            order = book.find(db, TENANT, STORE, f"c{cid}")
            assert order is not None
            _same(f"verdict on c{cid}", last_word(w, cid, self.f), order.verdict(FAR_MS).state)


def _meaning(event: tuple[Any, ...]) -> tuple[str, str]:
    uid, kind, cid, result = event
    named = {"e": ("e", f"e{uid}"), "f": ("f", "")}
    return named.get(kind) or (kind, f"c{cid} {result}".strip())


def _meant(raw: bytes) -> tuple[str, str]:
    """What the bytes say, as far as the model knows of it."""
    try:
        data = decode_data(decode_envelope(raw))
    except BadEventError as error:
        raise DivergenceError(f"an event that nobody can read: {error}") from error
    match data:
        case DeviceFault(code=mark) | DeviceOffline(device=mark):
            return "e", mark
        case CommandAccepted(command=name):
            return "i", name
        case CommandRefused(command=name):
            return "o", f"{name} refused"
        case CommandCompleted(command=name, outcome=outcome):
            return "o", f"{name} {outcome}"
        case StreamForked():
            return "f", ""
        case other:
            raise DivergenceError(f"an event that the model does not know: {other}")


# ------------------------------------------------------------------ schedules


def lane_of(config: str) -> Lane:
    """The lane that a configuration is about: only telemetry has gaps."""
    return "telemetry" if config.startswith(("gap", "telemetry")) else "ledger"


def flags_of(config: str, f: Flags = AS_BUILT) -> Flags:
    """What the product does there: the word of a fork stands in the ledger lane."""
    return f - {"says_fork"} if lane_of(config) == "telemetry" else f


def budget_of(config: str) -> Bud:
    """The budgets of a configuration of `explore`."""
    return WALKS[config] if config in WALKS else CONFIGS[config]


async def _replay(begin: World, steps: Iterable[Step], lane: Lane, f: Flags) -> tuple[int, str]:
    async with Replay(lane, f) as replay:
        before, n = begin, 0
        replay.compare(begin)
        for n, step in enumerate(steps, 1):
            try:
                await replay.step(before, step)
            except (AssertionError, ValueError, LookupError) as error:
                return n, f"{type(error).__name__}: {error}"
            before = step.world
    return n, ""


def replay(begin: World, steps: Sequence[Step], config: str, f: Flags) -> tuple[int, str]:
    """How many steps were carried out, and the first difference ("" for none)."""
    return asyncio.run(_replay(begin, steps, lane_of(config), f))


def _loose(label: str) -> str:
    return re.sub(r" n\d+", "", label)


def follow(config: str, labels: Sequence[str], f: Flags) -> tuple[World, list[Step]]:
    """The steps that labels name, without those that the contract makes impossible, then fair steps until rest."""
    begin = w = start(budget_of(config))
    steps: list[Step] = []
    for label in labels:
        options = list(successors(w, f, 99))
        fits = [s for s in options if s.label == label] or [s for s in options if _loose(s.label) == _loose(label)]
        if fits:
            w = tidy(fits[0].world, f)
            steps.append(fits[0]._replace(world=w))
    _, rest = quiesce(w, f, set())
    return begin, steps + rest


def shrink(config: str, labels: Sequence[str], f: Flags) -> list[str]:
    """Labels of which none can be taken away without the difference going too; all of them if they alone show none."""

    def differs(some: Sequence[str]) -> bool:
        begin, steps = follow(config, some, f)
        return bool(replay(begin, steps, config, f)[1])

    kept, n = list(labels), 0
    if not differs(kept):
        return kept
    while n < len(kept):
        fewer = kept[:n] + kept[n + 1 :]
        if differs(fewer):
            kept = fewer
        else:
            n += 1
    return kept


def told(config: str, seed: int, steps: Sequence[Step], why: str, f: Flags) -> str:
    """What a reader of a failure wants: the difference, a short schedule, and a command for it."""
    n, labels = len(steps), [step.label for step in steps if not step.label.startswith("~")]
    short = shrink(config, labels, f)
    lines = "".join(f"\n      {label}" for label in short)
    here = ".venv/bin/python -m tests.wire_model.replay"
    return (
        f"step {n}: {why}\n    {here} walk {config} {seed}\n  shrunk from {n} steps:{lines}\n"
        f"    {here} steps {config} '{json.dumps(short)}'"
    )


def run_walk(config: str, seed: int, *, untidy: bool = False) -> tuple[int, str]:
    """One seeded walk of the model on the real code: its steps, and what to tell if there is a difference."""
    f = flags_of(config) | ({"untidy"} if untidy else set())
    bad, begin, steps = walk(budget_of(config), f, seed)
    assert not bad, f"the model itself: {config} {seed}: {bad}"
    n, why = replay(begin, steps, config, f)
    return n, told(config, seed, steps[:n], why, f) if why else ""


def run_labels(config: str, labels: Sequence[str]) -> tuple[int, str]:
    """The same for a schedule by its labels."""
    f = flags_of(config)
    begin, steps = follow(config, labels, f)
    return replay(begin, steps, config, f)


def main(args: Sequence[str]) -> int:
    """See the module."""
    match args:
        case ["walk", config, seed]:
            n, why = run_walk(config, int(seed))
        case ["recorded", name]:
            entry = json.loads(RECORDED.read_text())[name]
            n, why = run_labels(entry["config"], entry["steps"])
        case ["steps", config, labels]:
            n, why = run_labels(config, json.loads(labels))
        case _:
            raise SystemExit(__doc__)
    print(why or f"{n} steps, no difference")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
