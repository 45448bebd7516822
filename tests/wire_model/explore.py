"""Explores the model: every state of small budgets, random walks of large ones, and what each sentence is needed for.

`python -m tests.wire_model.explore fixed|product|literal|needed|mutants|walk [configurations,..|all] [seconds per run]`
prints a line a run, and a violation as its shortest trace; `record` prints the shortest traces of all contracts that lack
something, which are kept in recorded.json. Rest: faults stop, scheduling is fair, and everything that
is owed must arrive.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import deque
from collections.abc import Sequence

from tests.wire_model.model import (
    ALL,
    CONTRACT,
    FIXES,
    MUTANTS,
    Bud,
    Flags,
    Step,
    World,
    deliver,
    digest,
    held,
    hello,
    in_order,
    outcomes,
    put,
    send,
    show,
    start,
    step_run,
    successors,
    tail,
    tidy,
)

AS_BUILT: Flags = CONTRACT | {"product", "says_fork", "lost_refused"}
CONFIGS: dict[str, Bud] = {
    "plain": Bud(append=4, hello=2, crash=1, drop=1, dup=1, back=1, wcrash=1),
    "restore": Bud(append=4, hello=4, drop=1, back=1, backup=1, restore=1),
    "clone": Bud(append=3, hello=4, back=1, backup=1, clone=1, lease=1),
    "loss": Bud(append=4, hello=3, back=1, drop=1, loss=1),
    "gap": Bud(append=4, hello=1, back=2, drop=1, dup=1, tdrop=2),
    "cmd": Bud(append=0, hello=2, cmd=2, tick=2, crash=1, dup=1, back=1),
    "cmdrest": Bud(append=1, hello=3, cmd=1, dup=1, back=1, backup=1, restore=1, tick=1),
    "cmdclone": Bud(append=1, hello=3, cmd=1, back=1, backup=1, clone=1, lease=1),
    "parked": Bud(append=6, hello=2, backup=1, restore=1),
    "gaprest": Bud(append=4, hello=5, tdrop=2, backup=1, restore=1),
    "lossrest": Bud(append=3, hello=6, loss=1, back=1, backup=1, restore=1),
    "cmdloss": Bud(append=0, hello=4, cmd=1, loss=1, backup=1, restore=1),
    "cmdimage": Bud(append=0, hello=4, cmd=1, cbackup=1, crestore=1, crash=1),
    "cmdboth": Bud(append=0, hello=4, cmd=1, cbackup=1, crestore=1, backup=1, restore=1),
}
# Where the lack of each of FIXES shows.
NEEDED = {
    "hello_first": "plain",
    "ack_hash": "restore clone",
    "ack_nonce": "loss",
    "t_hello": "loss",
    "loss_fork": "loss",
    "gap_trim": "gap",
    "gap_overlap": "gap",
    "intent_acked": "cmdrest",
    "recheck": "cmd",
    "clock_upper": "cmd",
    "fork_unknown": "cmdrest cmdclone",
    "origin": "lossrest",
    "probe_restart": "lossrest",
    "verdict": "cmdrest cmdclone",
    "restore_unknown": "cmdboth cmdloss",
}
WHERE = {
    "no_prev_check": "restore",
    "ahead_ignored": "plain restore loss",
    "intent_late": "cmd",
    "no_fork": "restore",
    "no_dedupe": "cmd",
    "no_expiry": "cmd",
    "parked_unchecked": "parked restore",
    "fork_drops": "restore",
    "gap_silent": "gap",
    "retry_after_crash": "cmd",
    "dedupe_freed": "cmd",
}
DEEP = Bud(
    append=8,
    hello=9,
    crash=2,
    drop=5,
    dup=5,
    back=4,
    resume=3,
    backup=1,
    restore=1,
    clone=1,
    tick=3,
    cmd=3,
    lease=2,
    wcrash=3,
)
WALKS: dict[str, Bud] = {
    "ledger": DEEP,
    "telemetry": DEEP._replace(tdrop=4, cmd=0),
    "loss": DEEP._replace(loss=1),
    "image": DEEP._replace(cbackup=1, crestore=1, cmd=4),
}


def check(w: World, f: Flags) -> str:
    """The invariants of every state; "" if they hold."""
    if w.err:
        return w.err
    seen: list[int] = []
    for sid, cs in w.streams:
        h: int | None = cs.root
        for n, e in enumerate(cs.ev):
            inside = any(a <= n + 1 <= z for a, z in cs.gaps)
            if e is None:
                h = cs.hs[n]
                if not inside:
                    return f"I4 s{sid}#{n + 1} is missing and in no gap"
                continue
            if inside:
                return f"I4 s{sid}#{n + 1} is stored and yet declared lost"
            h = digest(h, e)
            if h != cs.hs[n] or h not in w.appended:
                return f"I1 s{sid}#{n + 1}: the cloud's chain was never appended by an edge"
            seen.append(e[0])
        if len({e[0] for e in cs.ev if e}) < sum(e is not None for e in cs.ev):
            return f"I1 s{sid} holds one event twice"
    cloud = set(seen)
    if len(cloud) < len(seen) and "origin" not in f:
        return "I1 one event is stored twice (in two streams)"
    for i, e in enumerate(w.edges):
        missing = e.db.all - cloud - w.lostok - w.tgone - {x[0] for x in e.db.ev if x}
        if missing:
            return f"I2 edge{i} freed {sorted(missing)}, the cloud does not hold it"
    return _check_commands(w, f)


def _check_commands(w: World, f: Flags) -> str:
    exp = {c: x for c, _, x in w.issued}
    did = [c for c, _ in w.effects]
    for c, t in w.effects:
        if did.count(c) > 1:
            return f"I5 command {c} took effect twice"
        if t > exp[c]:
            return f"I5 command {c} took effect after its expiry"
    for c, r in outcomes(w, f):
        if c not in w.known:  # issued after the copy of the cloud that was put back: nobody is told anything
            continue
        if r == "refused" and w.lossy and "lost_refused" not in f:
            continue  # known: the cloud lost the intent, and an old disk refused a command of the stream that it left
        if (r == "refused" and c in did) or (r == "done" and c not in did):
            return f"I5 the cloud says command {c} was {r}: untrue"
    return ""


def quiesce(w: World, f: Flags, good: set[World], rng: random.Random | None = None) -> tuple[str, list[Step]]:
    """Faults stop, scheduling is fair: what was violated until rest or at rest ("" for nothing), and the steps."""
    w = w._replace(bud=Bud(append=0, hello=10**6), copy=None, cloud_copy=None)
    path, seen, steps = [], set(), []
    for _ in range(400):
        if w in good:
            break
        if w in seen:
            return "I6 livelock", steps
        path.append(w)
        seen.add(w)
        step = fair_step(w, f, rng)
        if step is None:
            if bad := at_rest(w, f):
                return bad, steps
            break
        w = tidy(step.world, f)._replace(bud=w.bud)
        steps.append(step._replace(label="~ " + step.label, world=w))
        if bad := check(w, f):
            return bad, steps
    else:
        return "I6 no rest after 400 fair steps", steps
    good.update(path)
    return "", steps


def fair_step(w: World, f: Flags, rng: random.Random | None) -> Step | None:
    """What happens next when nothing goes wrong; None at rest."""
    if w.net:
        ms = in_order(w.net)
        m = rng.choice(ms) if rng else ms[0]
        return Step("deliver " + show(m), "deliver", (m,), deliver(w, m, f))
    for i, e in enumerate(w.edges):
        if e.up.st == "off":
            return Step(f"edge{i} connects", "hello", (i,), hello(w, i))
        if s := step_run(w, i, f):
            return Step(f"edge{i} run {e.up.run[:2]}", "run", (i,), s)
        if s := send(w, i, f):
            return Step(f"edge{i} send", "send", (i,), s)
    for i, e in enumerate(w.edges):
        if e.up.st == "standby" and e.db.hs:
            w2 = hello(w._replace(lease=e.inst), i)
            return Step(f"operator moves lease to edge{i}", "lease+hello", (e.inst, i), w2)
        if e.up.st in {"hello", "probe"}:
            return Step(f"edge{i} T: hello again", "hello", (i,), hello(w, i))
        if e.up.st == "ready" and e.up.wm < tail(e.db):
            if "t_hello" in f:
                return Step(f"edge{i} T: hello again", "hello", (i,), hello(w, i))
            w2 = put(w, i, up=e.up._replace(sent=e.up.wm))
            return Step(f"edge{i} T: back to watermark+1", "back", (i,), w2)
    return None


def at_rest(w: World, f: Flags) -> str:
    """What is owed is there, and every command has ended."""
    cloud = held(w)
    for i, e in enumerate(w.edges):
        if lost := e.db.all - cloud - w.lostok - w.tgone:
            return f"I3 at rest {sorted(lost)} of edge{i} is not in the cloud"
        if e.up.run:
            return "I5 command never ends"
        for c, st, _ in e.db.cmds:
            if st != "intent" and c not in {x for x, _ in outcomes(w, f)} and not w.lossy:
                return f"I5 outcome of command {c} never reaches the cloud"
    return ""


def explore(bud: Bud, f: Flags, *, secs: float = 120.0, netmax: int = 4, live: int = 1) -> tuple[int, str, list[str]]:
    """Breadth first; states, violation ("LIMIT": out of time), shortest trace. Rest is tried from every live-th state."""
    w0 = start(bud)
    par: dict[World, tuple[World, str] | None] = {w0: None}
    todo, good, n = deque([w0]), set[World](), 0
    end = time.monotonic() + secs

    def trace(w: World) -> list[str]:
        out: list[str] = []
        while (p := par[w]) is not None:
            out.append(p[1])
            w = p[0]
        return out[::-1]

    while todo:
        w = todo.popleft()
        n += 1
        bad, rest = check(w, f), []
        if not bad and n % live == 0:
            bad, rest = quiesce(w, f, good)
        if bad:
            return len(par), bad, trace(w) + [step.label for step in rest]
        if time.monotonic() > end:
            return len(par), "LIMIT", []
        for step in successors(w, f, netmax):
            x = tidy(step.world, f)
            if x not in par:
                par[x] = (w, step.label)
                todo.append(x)
    return len(par), "", []


def walk(bud: Bud, f: Flags, seed: int, steps: int = 120, netmax: int = 8) -> tuple[str, World, list[Step]]:
    """One seeded random run, then rest under random fair delivery: what was violated, where it began, what happened."""
    rng, w = random.Random(seed), start(bud)
    begin, log = w, []
    for _ in range(steps):
        options = list(successors(w, f, netmax))
        if not options:
            break
        step = rng.choice(options)
        w = tidy(step.world, f)
        log.append(step._replace(world=w))
        if bad := check(w, f):
            return bad, begin, log
    bad, more = quiesce(w, f, set(), rng)
    return bad, begin, log + more


# ------------------------------------------------------------------ from the command line


def _show(trace: Sequence[str]) -> None:
    print("".join(f"      {label}\n" for label in trace), end="", flush=True)


def _report(tag: str, name: str, f: Flags, secs: float) -> str:
    began = time.monotonic()
    n, bad, trace = explore(CONFIGS[name], f, secs=secs)
    took = time.monotonic() - began
    print(f"{tag:26s} {name:9s} states={n:8d} {took:6.1f}s  {bad or 'ok (exhausted)'}", flush=True)
    _show(trace)
    return bad


def first(f: Flags, names: Sequence[str], secs: float) -> tuple[int, str, str, list[str]]:
    """The first of some configurations that shows a violation: states, its name ("" for none), the violation, the trace."""
    total = 0
    for name in names:
        n, bad, trace = explore(CONFIGS[name], f, secs=secs)
        total += n
        if bad and bad != "LIMIT":
            return total, name, bad, trace
    return total, "", "", []


def _hunt(tag: str, f: Flags, names: Sequence[str], secs: float) -> None:
    total, name, bad, trace = first(f, names, secs)
    found = f"caught in {name:9s} states={total:8d}  {bad}" if name else f"NOT caught, states={total}"
    print(f"{tag:26s} {found}", flush=True)
    _show(trace)


def _walks(f: Flags, names: Sequence[str], secs: float) -> None:
    for name in names:
        runs = steps = bads = 0
        end = time.monotonic() + secs
        while time.monotonic() < end:
            flags = f - {"says_fork"} if name == "telemetry" else f
            bad, _, log = walk(WALKS[name], flags, runs)
            runs, steps, bads = runs + 1, steps + len(log), bads + bool(bad)
            if bad and bads <= 2:
                print(f"walk {name} seed {runs - 1}: {bad}")
                _show([step.label for step in log])
        print(f"walk {name}: {runs} runs, {steps} steps, {bads} violations", flush=True)


def record(secs: float) -> dict[str, dict[str, object]]:
    """By name the traces on which a contract without a sentence, or with a planted fault, breaks."""
    hunts: list[tuple[str, Flags, list[str]]] = []
    for name in CONFIGS:
        hunts.append((f"as first written: {name}", frozenset(), [name]))
        hunts.append((f"as first written, but hello first: {name}", frozenset({"hello_first"}), [name]))
    hunts += [(f"without {fix}", AS_BUILT - {fix}, NEEDED[fix].split()) for fix in FIXES if fix in CONTRACT]
    hunts += [(f"mutant {name}", AS_BUILT | {name}, WHERE.get(name, "plain").split()) for name in MUTANTS]
    found: dict[str, dict[str, object]] = {}
    for tag, flags, names in hunts:
        f = flags - {"says_fork"} if names[0].startswith("gap") else flags
        _, config, bad, trace = first(f, names, secs)
        if config:
            steps = [label for label in trace if not label.startswith("~")]
            found[tag] = {"config": config, "broke": bad, "steps": steps}
    return found


def main(args: Sequence[str]) -> None:
    """See the module."""
    what, which = args[0], args[1] if len(args) > 1 else "all"
    secs = float(args[2]) if len(args) > 2 else 60.0
    modes = {"fixed": ALL, "product": AS_BUILT, "literal": frozenset[str](), "literal1": frozenset({"hello_first"})}
    if what in modes:
        for name in CONFIGS if which == "all" else which.split(","):
            f = modes[what] - {"says_fork"} if name.startswith("gap") else modes[what]
            _report(what, name, f, secs)
    elif what == "needed":
        for fix in FIXES if which == "all" else which.split(","):
            _hunt("without " + fix, ALL - {fix}, NEEDED[fix].split(), secs)
    elif what == "mutants":
        for mutant in MUTANTS if which == "all" else which.split(","):
            _hunt("mutant " + mutant, ALL | {mutant}, WHERE.get(mutant, "plain").split(), secs)
    elif what == "walk":
        for f in (ALL, AS_BUILT):
            _walks(f, list(WALKS) if which == "all" else which.split(","), secs)
    elif what == "record":
        print(json.dumps(record(secs), indent=1))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
