"""The contract of docs/wire.md as a model that can be run: every step that system, network or a fault may take.

One lane at a time. A state is an immutable tree of tuples; `successors` lists what may happen in it. Reductions, all
sound: a hash is an interned pair (a perfect hash); the network is a set of messages, delivered in any order, a doubled
message is delivered without being taken out, a dropped one is also a broker that forgets; a worker between commit and
publish is its answer waiting in the network, a worker that dies there is a commit without an answer, so that any number
of workers over one database is covered.

The contract is a set of flags `f`: FIXES are its sentences that were repairs once (none of them: the contract as it was
first written), MUTANTS are planted faults, PRODUCT what the contract leaves open and the code decides, PROPOSED a
repair of what is known to be wrong still.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Msg = tuple[Any, ...]
Event = tuple[Any, ...]  # (uid, kind, command, result); kind: e sale, i intent, o outcome, f the word of a fork
Flags = frozenset[str]

FIXES: dict[str, str] = {
    "hello_first": "no batch, no ack and no command is used before the hello answer; an answer is used once",
    "ack_hash": "an ack carries hash_at_watermark and is applied only if it equals the edge's own",
    "ack_nonce": "batch carries the nonce, ack and refusal echo it; others are ignored",
    "t_hello": "T without progress repeats hello, not only go-back",
    "loss_fork": "cloud holds less than freed: fork at `freed` (reason cloud_loss)",
    "gap_trim": "a gap that overlaps the watermark is trimmed to watermark+1..to",
    "gap_overlap": "overlap with a recorded gap is skipped, not `diverged`",
    "intent_acked": "effect only after the watermark covers the intent",
    "recheck": "expiry is checked again right before the effect",
    "clock_upper": "expiry uses the upper bound of the clock (t + rtt), not the NTP midpoint",
    "fork_unknown": "a command that names an ancestor stream ends `unknown`, not `refused`",
    "origin": "a re-appended event carries its origin; projections count an origin once",
    "probe_restart": "a probe's answer with a watermark below the confirmed common sequence starts the bisection over",
    "verdict": "the cloud's word on a command: done in any stream, else unknown if an intent is open, else refused",
    "restore_unknown": "after a cloud restore, open commands are unknown and never published again",
}
ALL: Flags = frozenset(FIXES)
CONTRACT: Flags = ALL - {"fork_unknown"}  # `refused` is what the contract says of an old stream; `verdict` covers it
PRODUCT: dict[str, str] = {
    "product": "a batch fits into what is left of the window; T always says hello, also when nobody budgeted for it; at "
    "the issue only the new command is published; a repeated id whose outcome stands in a stream that was left is "
    "answered once more; the best hello bounds the clock",
    "says_fork": "a fork of the ledger lane appends `stream.forked` there",
}
MUTANTS = [
    "puback_frees",
    "ack_before_commit",
    "no_prev_check",
    "keep_latest",
    "no_nonce",
    "ahead_stored",
    "ahead_ignored",
    "seq_reuse",
    "intent_late",
    "no_fork",
    "no_dedupe",
    "no_expiry",
    "parked_unchecked",
    "fork_drops",
    "gap_silent",
    "retry_after_crash",
    "dedupe_freed",
]
PROPOSED: dict[str, str] = {
    "lost_refused": "a command that was open when the cloud was restored stays unknown when a store says `refused`: what "
    "was lost may have said done",
}
BATCH, AHEAD = 2, 4  # events of a batch; how many may be in flight, or wait parked


class Db(NamedTuple):
    """What one edge disk holds. `all` is a ghost: every uid that this timeline owes to the cloud."""

    stream: int
    parent: tuple[int, int, int] | None = None  # stream, last common sequence, hash there
    base: int = 0  # freed up to here
    base_hash: int = 0
    ev: tuple[Event | None, ...] = ()  # base+1 .. tail; None: dropped (telemetry), its hash is kept
    hs: tuple[int, ...] = ()
    cmds: tuple[tuple[int, str, int], ...] = ()  # the table of ids: id, state, stream of its last word
    all: frozenset[int] = frozenset()


class Up(NamedTuple):
    """The uplink's memory, which a crash ends."""

    st: str = "off"  # off hello probe ready standby
    nonce: int = 0
    wm: int = 0
    sent: int = 0
    lo: int = 0
    hi: int = 0
    t0: int = 0
    clk2: int | None = None  # 2 * (believed clock - true clock); None: unknown
    run: tuple[Any, ...] = ()  # (command, todo|did, expires, sequence of the intent)


class Edge(NamedTuple):
    """One box."""

    inst: int
    db: Db
    up: Up = Up()


class CStream(NamedTuple):
    """One stream in the cloud; the watermark is len(hs)."""

    root: int
    ev: tuple[Event | None, ...] = ()
    hs: tuple[int | None, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    parked: tuple[Msg, ...] = ()  # as they came
    parent: tuple[int, int] | None = None  # stream and last common sequence, from the first hello that names them
    lost: tuple[int, int] | None = None  # what the cloud held of the parent once and holds no more


class Bud(NamedTuple):
    """How often each fault or input may still happen."""

    append: int = 4
    hello: int = 2
    crash: int = 0
    drop: int = 0
    dup: int = 0
    back: int = 0
    resume: int = 0
    backup: int = 0
    restore: int = 0
    clone: int = 0
    loss: int = 0
    tick: int = 0
    cmd: int = 0
    lease: int = 0
    tdrop: int = 0
    wcrash: int = 0
    cbackup: int = 0
    crestore: int = 0


class CloudImage(NamedTuple):
    """A copy of the cloud's database."""

    streams: tuple[tuple[int, CStream], ...]
    lease: int
    target: int
    known: frozenset[int]
    lost: frozenset[int]


class World(NamedTuple):
    """Everything there is."""

    edges: tuple[Edge, ...]
    bud: Bud
    net: frozenset[Msg] = frozenset()
    streams: tuple[tuple[int, CStream], ...] = ()
    lease: int = -1
    target: int = 0  # the stream that commands name: of the active instance's last hello
    known: frozenset[int] = frozenset()  # commands in the cloud's table
    lost: frozenset[int] = frozenset()  # of these, the ones that were open when the cloud was restored
    issued: tuple[tuple[int, int, int], ...] = ()  # (command, stream, expires)
    now: int = 0
    copy: Db | None = None  # a disk image that may be restored or cloned
    cloud_copy: CloudImage | None = None
    uid: int = 0
    nonce: int = 0
    nstream: int = 1
    appended: frozenset[int] = frozenset()  # ghost: every hash ever durably appended
    effects: tuple[tuple[int, int], ...] = ()  # ghost: (command, true time)
    lostok: frozenset[int] = frozenset()  # ghost: lost by the cloud after it was acknowledged
    tgone: frozenset[int] = frozenset()  # ghost: telemetry that some copy of the disk dropped, and declared
    odd: bool = False  # ghost: a restore, clone or cloud loss did happen
    lossy: bool = False
    err: str = ""  # a violation seen inside a step


class Step(NamedTuple):
    """One thing that happens, in words and as data, and the world after it."""

    label: str
    what: str
    args: tuple[Any, ...]
    world: World


_ids: dict[Any, int] = {}


def digest(prev: Any, ev: Any) -> int:
    """A perfect hash of (previous hash, event)."""
    return _ids.setdefault((prev, ev), len(_ids) + 1)


def model_hashes() -> dict[Any, int]:
    """What each number of this run's hashes stands for."""
    return _ids


def start(bud: Bud) -> World:
    """One box with an empty ledger. Numbers of hashes begin anew, so that a run depends on nothing before it."""
    _ids.clear()
    return World((Edge(0, Db(1, base_hash=digest("root", 1))),), bud)


def tail(db: Db) -> int:
    """The last sequence."""
    return db.base + len(db.hs)


def own(db: Db, n: int) -> int | None:
    """The edge's hash at sequence n, None where it does not know it."""
    if n == db.base:
        return db.base_hash
    return db.hs[n - db.base - 1] if db.base < n <= tail(db) else None


def put(w: World, i: int, **kw: Any) -> World:
    """Replace fields of edge i (db=, up=)."""
    return w._replace(edges=(*w.edges[:i], w.edges[i]._replace(**kw), *w.edges[i + 1 :]))


def spend(w: World, k: str) -> World:
    """One less of a budget."""
    return w._replace(bud=w.bud._replace(**{k: getattr(w.bud, k) - 1}))


# ------------------------------------------------------------------ the edge


def append(w: World, i: int, kind: str = "e", cid: int = 0, res: str = "") -> World:
    """Commit one event (and the row of a command) in one transaction of the edge."""
    db = w.edges[i].db
    ev = (w.uid + 1, kind, cid, res)
    h = digest(db.hs[-1] if db.hs else db.base_hash, ev)
    cmds = (*(x for x in db.cmds if x[0] != cid), (cid, res or "intent", db.stream)) if cid else db.cmds
    db = db._replace(ev=(*db.ev, ev), hs=(*db.hs, h), all=db.all | {ev[0]}, cmds=tuple(sorted(cmds)))
    return put(w._replace(uid=w.uid + 1, appended=w.appended | {h}), i, db=db)


def free(db: Db, wm: int, f: Flags) -> Db:
    """The cloud holds everything up to `wm`."""
    k = min(wm, tail(db)) - db.base
    if k <= 0:
        return db
    cmds = db.cmds
    if "dedupe_freed" in f:
        gone = {e[2] for e in db.ev[:k] if e and e[1] == "o"}
        cmds = tuple(x for x in cmds if x[0] not in gone)
    return db._replace(base=db.base + k, base_hash=db.hs[k - 1], ev=db.ev[k:], hs=db.hs[k:], cmds=cmds)


def hello(w: World, i: int, probe: int = -1, **up: Any) -> World:
    """A new nonce, said to the cloud. What is believed at first: what the edge has freed."""
    e, n = w.edges[i], w.nonce + 1
    u = e.up._replace(st="hello", nonce=n, t0=w.now, **up)
    if probe < 0:
        u = u._replace(wm=max(e.db.base, 0 if e.up.st == "off" else u.wm), sent=max(e.db.base, u.wm))
    else:
        u = u._replace(st="probe")
    net = w.net | {("hello", -1, i, e.inst, n, e.db.stream, probe, e.db.parent)}
    return put(w._replace(net=net, nonce=n), i, up=u)


def hello_unasked(w: World, i: int, f: Flags) -> World:
    """What came in cannot be believed: ask again."""
    if w.bud.hello > 0:
        return spend(hello(w, i), "hello")
    return hello(w, i) if "product" in f else w


def reopen(w: World, i: int, db: Db, f: Flags) -> World:
    """A process starts: memory is gone; an intent without outcome ends as `unknown`."""
    if "seq_reuse" in f and not db.hs:
        db = db._replace(base=0, base_hash=digest("root", db.stream))
    run: tuple[Any, ...] = ()
    w = put(w, i, db=db, up=Up())
    for cid, st, _ in db.cmds:
        if st == "intent" and "retry_after_crash" in f:
            run = (cid, "todo", 99, 0)
        elif st == "intent":
            w = append(w, i, "o", cid, "unknown")
    return put(w, i, up=Up(run=run))


def fork(w: World, i: int, c: int, f: Flags) -> World:
    """A new stream in one transaction of the edge; events after c are appended again; a new hello follows later."""
    db = w.edges[i].db
    if not w.odd:
        return w._replace(err="I7 fork although nothing was restored, cloned or lost")
    sid = w.nstream + 1
    parent = (db.stream, c, own(db, c) or 0)
    keep = [e for e in db.ev[c - db.base :] if e] if "fork_drops" not in f else []
    h, hs = digest("root", sid), []
    for e in keep:
        h = digest(h, e)
        hs.append(h)
    new = Db(sid, parent, 0, digest("root", sid), tuple(keep), tuple(hs), db.cmds, db.all)
    w = put(w._replace(nstream=sid, appended=w.appended | set(hs)), i, db=new)
    if "says_fork" in f:
        w = append(w, i, "f")
    run = w.edges[i].up.run
    did = bool(run) and run[1] == "did"
    w = put(w, i, up=Up(run=run if did else (), clk2=w.edges[i].up.clk2))
    for cid, st, _ in db.cmds:
        if st == "intent" and not did:
            w = append(w, i, "o", cid, "unknown")
    return w


def send(w: World, i: int, f: Flags) -> World | None:
    """Publish the next batch after `sent`, with its gap (telemetry) if it opens with dropped events."""
    db, up = w.edges[i].db, w.edges[i].up
    if up.st != "ready" and not (up.st == "hello" and "hello_first" not in f):
        return None
    if up.sent < db.base:
        return w._replace(err="I8 uplink wants an event that was freed")
    at = max(up.sent, up.wm) - db.base
    if at >= len(db.ev) or up.sent - up.wm >= AHEAD:
        return None
    most = min(BATCH, AHEAD - (up.sent - up.wm)) if "product" in f else BATCH
    k = at
    while k < len(db.ev) and db.ev[k] is None:
        k += 1
    n = k
    while n < len(db.ev) and n - k < most and db.ev[n] is not None:
        n += 1
    gap = (db.base + at + 1, db.base + k, db.hs[k - 1]) if k > at else None
    nonce = up.nonce if "ack_nonce" in f else 0
    m = ("batch", -1, nonce, db.stream, db.base + k + 1, own(db, db.base + at), db.ev[k:n], gap)
    w = put(w._replace(net=w.net | {m}), i, up=up._replace(sent=db.base + n))
    if "puback_frees" in f:
        w = put(w, i, db=free(db, db.base + n, f))
    return w


def recv_edge(w: World, i: int, m: Msg, f: Flags) -> World:
    """A message of the cloud arrives at edge i."""
    db, up = w.edges[i].db, w.edges[i].up
    if up.st == "off":
        return w
    if m[0] == "ack":
        return _recv_ack(w, i, m, f)
    if m[0] == "ref":
        if m[2] != db.stream or ("ack_nonce" in f and m[4] != up.nonce) or up.st != "ready":
            return w
        return hello_unasked(w, i, f)
    if m[0] == "cmd":
        return _recv_cmd(w, i, m, f)
    _, _, nonce, stream, wm, h, probe, ph, active, t = m
    if stream != db.stream or (nonce != up.nonce and "no_nonce" not in f):
        return w
    if up.st not in {"hello", "probe"} and "hello_first" in f:
        return w
    clk2 = 2 * (t - up.t0) if "clock_upper" in f else 2 * t - w.now - up.t0
    if "product" in f and up.clk2 is not None:
        clk2 = min(clk2, up.clk2)
    up = up._replace(clk2=clk2)
    if not active:
        return put(w, i, up=up._replace(st="standby"))
    kept = {e[0] for n, e in enumerate(db.ev) if e and db.base + n + 1 > wm}
    for e in w.edges[:i] + w.edges[i + 1 :]:
        kept -= e.db.all - {x[0] for x in e.db.ev if x}  # another copy of this disk freed it before
    w = w._replace(lostok=w.lostok - kept)
    if up.st == "probe" and wm < up.lo and "probe_restart" in f:
        return hello(put(w, i, up=up), i)
    if up.st == "probe":
        lo, hi = (probe, up.hi) if ph is not None and own(db, probe) == ph else (up.lo, probe - 1)
    elif wm < db.base:
        if not w.lossy:
            return w._replace(err="I7 false alarm: cloud data loss")
        if "loss_fork" in f:
            return fork(put(w, i, up=up), i, db.base, f)
        return put(w, i, up=up._replace(st="ready", wm=db.base, sent=db.base))
    elif own(db, wm) == h or "no_fork" in f:
        return put(w, i, db=free(db, wm, f), up=up._replace(st="ready", wm=wm, sent=wm))
    else:
        lo, hi = db.base, min(tail(db), wm)
    w = put(w, i, up=up)
    if lo >= hi:
        return fork(w, i, lo, f)
    return hello(w, i, (lo + hi + 1) // 2, lo=lo, hi=hi)


def _recv_ack(w: World, i: int, m: Msg, f: Flags) -> World:
    _, _, stream, wm, h, nonce = m
    db, up = w.edges[i].db, w.edges[i].up
    if stream != db.stream or (up.st == "standby" and "hello_first" in f):
        return w
    if ("hello_first" in f and up.st != "ready") or ("ack_nonce" in f and nonce != up.nonce):
        return w
    if "ack_hash" in f and wm >= db.base and own(db, wm) != h:
        return hello_unasked(w, i, f)
    new = wm if "keep_latest" in f else max(up.wm, wm)
    sent = new if "keep_latest" in f else max(up.sent, new)
    return put(w, i, db=free(db, new, f), up=up._replace(wm=new, sent=sent))


def _recv_cmd(w: World, i: int, m: Msg, f: Flags) -> World:
    """Accept or refuse; the intent is committed here, the effect is a later step."""
    _, _, cid, stream, expires = m
    db, up = w.edges[i].db, w.edges[i].up
    if up.st == "standby" or up.run or ("hello_first" in f and up.st != "ready"):
        return w
    known = {c: (st, said_in) for c, st, said_in in db.cmds}
    if cid in known and "no_dedupe" not in f:
        st, said_in = known[cid]
        if "product" in f and st != "intent" and said_in != db.stream:
            return append(w, i, "o", cid, st)
        return w
    if stream != db.stream:
        return append(w, i, "o", cid, "unknown" if "fork_unknown" in f else "refused")
    if "no_expiry" not in f and (up.clk2 is None or 2 * w.now + up.clk2 > 2 * expires):
        return append(w, i, "o", cid, "refused")
    if "intent_late" not in f:
        w = append(w, i, "i", cid)
    return put(w, i, up=up._replace(run=(cid, "todo", expires, tail(w.edges[i].db))))


def step_run(w: World, i: int, f: Flags) -> World | None:
    """The effect on hardware, then its outcome."""
    up = w.edges[i].up
    if not up.run:
        return None
    cid, phase, expires, seq = up.run
    if phase == "did":
        return append(put(w, i, up=up._replace(run=())), i, "o", cid, "done")
    if "intent_acked" in f and "intent_late" not in f and seq and not (up.st == "ready" and up.wm >= seq):
        return None
    if "recheck" in f and "no_expiry" not in f and 2 * w.now + (up.clk2 or 0) > 2 * expires:
        return append(put(w, i, up=up._replace(run=())), i, "o", cid, "refused")
    return put(w._replace(effects=(*w.effects, (cid, w.now))), i, up=up._replace(run=(cid, "did", expires, seq)))


# ------------------------------------------------------------------ the cloud


def first_of(b: Msg) -> int:
    """The first sequence that a batch speaks of, its gap included."""
    return b[7][0] if b[7] else b[4]


def last_of(b: Msg) -> int:
    """The last one."""
    return b[4] + len(b[6]) - 1


def _at(cs: CStream, n: int) -> int | None:
    return cs.root if n == 0 else cs.hs[n - 1]


def ingest(cs: CStream, b: Msg, f: Flags) -> tuple[CStream, bool]:
    """One transaction on one stream's row: the row, and whether the batch is refused as diverged."""
    prev, evs, gap = b[5:]
    start_, w, last = first_of(b), len(cs.hs), last_of(b)
    if start_ > w + 1 and "ahead_stored" not in f:
        if last <= w + AHEAD and "ahead_ignored" not in f and b not in cs.parked:
            cs = cs._replace(parked=(*cs.parked, b))
        return cs, False
    known = _at(cs, min(start_ - 1, w))
    skips = known is None and "gap_overlap" in f
    if known != prev and not skips and not f & {"no_prev_check", "ahead_stored"}:
        return cs, True
    h, hs, ev, gaps, n = prev, list(cs.hs), list(cs.ev), cs.gaps, start_ - 1
    if "no_prev_check" in f:
        h = known
    if gap:
        h, n = gap[2], gap[1]
        lo = max(gap[0], w + 1) if "gap_trim" in f else gap[0]
        if n > w:
            gaps += ((lo, n),) if "gap_silent" not in f else ()
            hs += [None] * (n - w - 1) + [h]
            ev += [None] * (n - w)
        elif hs[n - 1] != h and not (hs[n - 1] is None and "gap_overlap" in f):
            return cs, True
    for e in evs:
        n, h = n + 1, digest(h, e)
        if n > len(hs):
            hs.append(h)
            ev.append(e)
        elif hs[n - 1] != h and not (hs[n - 1] is None and "gap_overlap" in f) and "no_prev_check" not in f:
            return cs, True
    cs = cs._replace(hs=tuple(hs), ev=tuple(ev), gaps=gaps)
    if (p := _next_parked(cs)) is not None:  # consumed when the gap closes
        return _ingest_parked(cs, p, f), False
    return cs, False


def _next_parked(cs: CStream) -> Msg | None:
    """The parked batch that is looked at next: the earliest, of the same ones the one that came first."""
    fits = [p for p in cs.parked if first_of(p) <= len(cs.hs) + 1]
    return min(fits, key=lambda p: (first_of(p), last_of(p))) if fits else None


def _ingest_parked(cs: CStream, p: Msg, f: Flags) -> CStream:
    """A parked batch goes through the same checks as a fresh one; if refused it is put aside, the next one is tried."""
    cs = cs._replace(parked=tuple(q for q in cs.parked if q != p))
    cs, refused = ingest(cs, p, f | {"no_prev_check"} if "parked_unchecked" in f else f)
    if refused and (q := _next_parked(cs)) is not None:
        return _ingest_parked(cs, q, f)
    return cs


def outcomes(w: World, f: Flags) -> list[tuple[int, str]]:
    """What the cloud believes of each command that a store has answered. As first written any outcome counts; with
    `verdict` a rule over all streams."""
    evs = [(sid, e) for sid, cs in w.streams for e in cs.ev if e and e[2]]
    said = [(e[2], e[3]) for _, e in evs if e[1] == "o"]
    if "verdict" not in f:
        return said
    closed = {(sid, e[2]) for sid, e in evs if e[1] == "o" and e[3] in {"refused", "done"}}
    opened = {e[2] for sid, e in evs if e[1] == "i" and (sid, e[2]) not in closed}

    def judged(c: int, r: str) -> str:
        if (c, "done") in said:
            return "done"
        if c in w.lost and r == "refused" and "lost_refused" in f:
            return "unknown"
        return "unknown" if c in opened or (c, "unknown") in said else r

    return sorted({(c, judged(c, r)) for c, r in said})


def last_word(w: World, cid: int, f: Flags) -> str:
    """What the cloud says of a command once its time is over."""
    answered = dict(outcomes(w, f)).get(cid)
    if answered is not None:
        return answered
    opened = any(e[1] == "i" and e[2] == cid for _, cs in w.streams for e in cs.ev if e)
    return "unknown" if opened or cid in w.lost else "expired"


def publish_cmds(w: World, f: Flags, only: int = 0) -> set[Msg]:
    """Unanswered and unexpired commands, to every box that listens on the store's topic."""
    done = {c for c, _ in outcomes(w, f)} | w.lost
    fresh = [(c, s, x) for c, s, x in w.issued if c in w.known and c not in done and w.now <= x and only in {0, c}]
    return {("cmd", i, *row) for row in fresh for i in range(len(w.edges))}


def recv_cloud(w: World, m: Msg, f: Flags, *, reply: bool = True, commit: bool = True) -> World:
    """A worker handles one message: one transaction, then it publishes (or dies before: reply=False)."""
    sid = m[5] if m[0] == "hello" else m[3]
    rows, old = dict(w.streams), w
    cs = rows.get(sid) or CStream(digest("root", sid))
    out: set[Msg] = set()
    if m[0] == "hello":
        _, _, i, inst, nonce, _, probe, parent = m
        cs = _adopted(cs, rows, parent)
        w = w._replace(lease=inst if w.lease < 0 else w.lease)
        wm = len(cs.hs)
        ph = None if probe < 0 or probe > wm else _at(cs, probe)
        out.add(("hans", i, nonce, sid, wm, _at(cs, wm), probe, ph, w.lease == inst, w.now))
        if w.lease == inst:
            w = _heard(w, sid, cs, f)
            out |= publish_cmds(w, f)
    else:
        cs, refused = ingest(cs, m, f)
        if refused and not w.odd:
            w = old = w._replace(err="I7 false alarm: `refused: diverged`, nothing diverged")
        h = _at(cs, len(cs.hs)) if "ack_hash" in f else 0
        for i in range(len(w.edges)):
            out.add(("ref", i, sid, m[4], m[2]) if refused else ("ack", i, sid, len(cs.hs), h, m[2]))
    rows[sid] = cs
    w = w._replace(streams=tuple(sorted(rows.items()))) if commit else old
    return w._replace(net=w.net | out) if reply else w


def _adopted(cs: CStream, rows: dict[int, CStream], parent: tuple[int, int, int] | None) -> CStream:
    """The first hello that names a parent says what the cloud has lost of it."""
    if parent is None or cs.parent is not None:
        return cs
    held = len(rows[parent[0]].hs) if parent[0] in rows else 0
    return cs._replace(parent=parent[:2], lost=(held + 1, parent[1]) if parent[1] > held else None)


def _heard(w: World, sid: int, cs: CStream, f: Flags) -> World:
    """The active instance stands in this stream: commands name it from now on. If the stream was begun because the
    cloud lost data, what was ordered in others may have been done."""
    if w.target == sid:
        return w
    if cs.lost and "restore_unknown" in f:
        w = w._replace(lost=w.lost | {c for c, s, _ in w.issued if c in w.known and s != sid})
    return w._replace(target=sid)


def _restored(w: World, f: Flags) -> World:
    """The operator's word after a restore: what is open becomes unknown. Copies of commands that were on their way
    while the database was put back are gone: no session outlives a connection, and a restore outlives a message."""
    answered = {c for c, _ in outcomes(w, f)}
    lost = w.lost | (w.known - answered) if "restore_unknown" in f else w.lost
    net = w.net if "copies_survive" in f else frozenset(m for m in w.net if m[0] != "cmd")
    return w._replace(odd=True, lossy=True, lost=lost, net=net)


def held(w: World) -> set[int]:
    """Every uid in the cloud."""
    return {e[0] for _, cs in w.streams for e in cs.ev if e}


# ------------------------------------------------------------------ everything that may happen


def deliver(w: World, m: Msg, f: Flags, *, keep: bool = False, **kw: bool) -> World:
    """One message arrives; with `keep` another copy of it stays on its way."""
    w = w if keep else w._replace(net=w.net - {m})
    return recv_cloud(w, m, f, **kw) if m[1] < 0 else recv_edge(w, m[1], m, f)


def tidy(w: World, f: Flags) -> World:
    """Forget hello answers that no edge can use any more (they would be ignored)."""
    if f & {"no_nonce", "untidy"} or not w.net:
        return w
    dead = {m for m in w.net if m[0] == "hans" and m[2] != w.edges[m[1]].up.nonce}
    return w._replace(net=w.net - dead) if dead else w


def in_order(net: frozenset[Msg]) -> list[Msg]:
    """The messages on their way, always in the same order."""
    return sorted(net, key=repr)


def successors(w: World, f: Flags, netmax: int = 4) -> Iterator[Step]:
    """Every step that is possible in w."""
    b = w.bud
    for m in in_order(w.net):
        yield Step("deliver " + show(m), "deliver", (m,), deliver(w, m, f))
        if b.dup:
            yield Step("deliver+keep " + show(m), "keep", (m,), deliver(spend(w, "dup"), m, f, keep=True))
        if b.drop:
            yield Step("drop " + show(m), "drop", (m,), spend(w, "drop")._replace(net=w.net - {m}))
        if b.wcrash and m[0] == "batch":
            k = {"commit": False} if "ack_before_commit" in f else {"reply": False}
            yield Step(
                "worker dies after commit: " + show(m), "die", (m,), deliver(spend(w, "wcrash"), m, f, keep=False, **k)
            )
    for i in range(len(w.edges)):
        yield from _edge_steps(w, i, f, len(w.net) < netmax)
    if b.clone and w.copy and len(w.edges) == 1:
        w2 = spend(w, "clone")._replace(odd=True, edges=(*w.edges, Edge(int("same_inst" not in f), w.copy)))
        yield Step("disk image booted as edge1", "clone", (), reopen(w2, 1, w.copy, f))
    if b.lease and w.lease >= 0 and len(w.edges) > 1:
        w2 = spend(w, "lease")._replace(lease=1 - w.lease)
        yield Step("operator moves lease", "lease", (w2.lease,), w2)
    if b.tick:
        yield Step("tick", "tick", (), spend(w, "tick")._replace(now=w.now + 1))
    if b.cmd and w.target:
        cid = len(w.issued) + 1
        w2 = spend(w, "cmd")._replace(issued=(*w.issued, (cid, w.target, w.now + 1)), known=w.known | {cid})
        w2 = w2._replace(net=w2.net | publish_cmds(w2, f, cid if "product" in f else 0))
        yield Step(f"operator issues command {cid}", "cmd", (cid,), w2)
    yield from _cloud_faults(w, f)


def _edge_steps(w: World, i: int, f: Flags, room: bool) -> Iterator[Step]:
    b, e = w.bud, w.edges[i]
    p, db, up = f"edge{i} ", e.db, e.up
    if b.append:
        yield Step(p + f"append #{tail(db) + 1}=e{w.uid + 1}", "append", (i,), append(spend(w, "append"), i))
    if up.st == "off" and b.hello and room:
        yield Step(p + "connect+hello", "hello", (i,), hello(spend(w, "hello"), i))
    if up.st in {"hello", "probe", "standby"} and b.hello and b.resume and room:
        yield Step(p + "T: hello again", "hello", (i,), hello(spend(spend(w, "hello"), "resume"), i))
    if up.st == "ready" and up.sent > up.wm and b.back:
        if "product" not in f:
            w2 = put(spend(w, "back"), i, up=up._replace(sent=up.wm))
            yield Step(p + "T: back to watermark+1", "back", (i,), w2)
        if "t_hello" in f and b.hello and room:
            yield Step(p + "T: hello again", "hello", (i,), hello(spend(spend(w, "hello"), "back"), i))
    if room and (s := send(w, i, f)):
        yield Step(p + "send batch", "send", (i,), s)
    if s := step_run(w, i, f):
        yield Step(p + f"run {up.run[:2]}", "run", (i,), s)
    if b.tdrop and (k := next((n for n, x in enumerate(db.ev) if x), None)) is not None:
        gone = db.ev[k]
        assert gone is not None
        d = db._replace(ev=(*db.ev[:k], None, *db.ev[k + 1 :]), all=db.all - {gone[0]})
        w2 = put(spend(w, "tdrop")._replace(tgone=w.tgone | {gone[0]}), i, db=d)
        yield Step(p + f"drops telemetry #{db.base + k + 1}", "tdrop", (i,), w2)
    if b.crash:
        yield Step(p + "crash+reopen", "crash", (i,), reopen(spend(w, "crash"), i, db, f))
    if b.backup and w.copy is None:
        yield Step(p + "disk image taken", "backup", (i,), spend(w, "backup")._replace(copy=db))
    if b.restore and w.copy:
        w2 = reopen(spend(w, "restore")._replace(odd=True), i, w.copy, f)
        yield Step(p + "disk image restored", "restore", (i,), w2)


def _cloud_faults(w: World, f: Flags) -> Iterator[Step]:
    b = w.bud
    if b.cbackup and w.cloud_copy is None:
        image = CloudImage(w.streams, w.lease, w.target, w.known, w.lost)
        yield Step("cloud image taken", "cloud backup", (), spend(w, "cbackup")._replace(cloud_copy=image))
    if b.crestore and w.cloud_copy:
        w2 = spend(w, "crestore")._replace(**w.cloud_copy._asdict())
        w2 = _restored(w2._replace(lostok=w.lostok | (held(w) - held(w2))), f)
        yield Step("cloud image restored", "cloud restore", (), w2)
    if b.loss:
        for sid, cs in w.streams:
            for k in range(1, min(2, len(cs.hs)) + 1):
                left = len(cs.hs) - k
                if _at(cs, left) is None:  # no copy of a database ends inside a gap
                    continue
                gone = {e[0] for e in cs.ev[-k:] if e}
                gaps = tuple(g for g in cs.gaps if g[1] <= left)
                cut = cs._replace(ev=cs.ev[:-k], hs=cs.hs[:-k], gaps=gaps, parked=())
                rows = tuple((s, cut if s == sid else x) for s, x in w.streams)
                w2 = _restored(spend(w, "loss")._replace(streams=rows, lostok=w.lostok | gone), f)
                yield Step(f"cloud loses last {k} of s{sid}", "loss", (sid, k), w2)


def show(m: Msg) -> str:
    """One message in words."""
    match m[0]:
        case "batch":
            uids = [e[0] for e in m[6]]
            return f"batch n{m[2]} s{m[3]} #{m[4]}..{last_of(m)} {uids}" + (f" gap{m[7][:2]}" if m[7] else "")
        case "ack":
            return f"ack n{m[5]} s{m[2]} wm={m[3]} to edge{m[1]}"
        case "ref":
            return f"refused n{m[4]} s{m[2]} #{m[3]} to edge{m[1]}"
        case "cmd":
            return f"command {m[2]} (s{m[3]}, exp {m[4]}) to edge{m[1]}"
        case "hello":
            return f"hello edge{m[2]} n{m[4]} s{m[5]} probe={m[6]}"
        case _:
            return f"hello-answer edge{m[1]} n{m[2]} s{m[3]} wm={m[4]} active={m[8]}"
