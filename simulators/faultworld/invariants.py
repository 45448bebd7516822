"""What must always be true, one named rule each. A rule raises Violation; nothing else may judge a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from contracts.envelope import next_hash
from contracts.messages import Ack, HelloAnswer
from simulators.faultworld.truth import (
    CloudGap,
    CloudRow,
    CloudTruth,
    Ident,
    Place,
    Timeline,
    Truth,
    birth_of,
    dropped_range,
    ident_in_cloud,
)


class Violation(AssertionError):  # noqa: N818  # it is what the simulation looks for
    """A rule is broken. `rule` is its name."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


# ------------------------------------------------------------------ after every commit of the cloud


def cloud_is_a_gapless_chain(cloud: CloudTruth, rows: Sequence[CloudRow], gaps: Sequence[CloudGap]) -> None:
    """What a commit adds to a stream follows at once what was there, and its hash is that of the bytes before it;
    only a declared gap, in telemetry, may stand between."""
    added: list[tuple[str, int, CloudRow | CloudGap]] = [(row.stream, row.seq, row) for row in rows]
    added += [(gap.stream, gap.first, gap) for gap in gaps]
    for name, first, entry in sorted(added, key=lambda item: item[:2]):
        stream = cloud.stream(name)
        if first != stream.tail + 1:
            raise Violation("cloud_is_a_gapless_chain", f"{name[:8]}: {first} was stored after {stream.tail}")
        if isinstance(entry, CloudGap):
            stream.hashes.extend([None] * (entry.last - entry.first) + [entry.last_hash])
            continue
        previous = stream.at(stream.tail)
        if previous is None or next_hash(previous, entry.raw) != entry.hash:
            raise Violation("cloud_is_a_gapless_chain", f"{name[:8]}: the bytes of {first} do not give its hash")
        stream.hashes.append(entry.hash)


def watermark_is_what_is_held(cloud: CloudTruth, marks: Iterable[tuple[str, int, bytes]]) -> None:
    """A stream's watermark and its hash are those of the last event (or gap) that is stored, never of another."""
    for name, watermark, digest in marks:
        stream = cloud.stream(name)
        if watermark != stream.tail or digest != stream.at(stream.tail):
            detail = f"{name[:8]}: the watermark says {watermark}, held is {stream.tail}"
            raise Violation("watermark_is_what_is_held", detail)


def cloud_holds_only_what_an_edge_wrote(truth: Truth, rows: Iterable[CloudRow]) -> None:
    """Every event in the cloud stood, byte for byte and at this sequence of this stream, on a disk of an edge."""
    for row in rows:
        if Place(row.stream, row.seq, row.hash) not in truth.written:
            detail = f"{row.stream[:8]}: {row.seq} was never on a disk"
            raise Violation("cloud_holds_only_what_an_edge_wrote", detail)


def events_are_in_order(cloud: CloudTruth, rows: Iterable[CloudRow]) -> None:
    """In each stream our events come in the order in which the store accepted them, each once."""
    for row in rows:
        birth = birth_of(row.raw)
        if not birth:
            continue
        stream = cloud.stream(row.stream)
        if birth <= stream.last_birth:
            raise Violation("events_are_in_order", f"{row.stream[:8]}: b{birth} came after b{stream.last_birth}")
        stream.last_birth = birth


def nothing_counts_twice(cloud: CloudTruth, rows: Iterable[CloudRow]) -> None:
    """Projections see an event once, in however many streams it stands."""
    for row in rows:
        ident = ident_in_cloud(row)
        if row.counted and cloud.counted.get(ident, 0):
            raise Violation("nothing_counts_twice", f"{ident.stream[:8]}:{ident.seq} (b{birth_of(row.raw)})")
        cloud.counted[ident] = cloud.counted.get(ident, 0) + int(row.counted)
        cloud.held.add(ident)
        cloud.births.add(birth_of(row.raw))
        if (declared := dropped_range(row.raw)) is not None:
            cloud.declared.append(declared)


def no_event_is_a_dead_letter(rows: Iterable[CloudRow]) -> None:
    """What an edge of ours wrote is readable to a cloud of ours, and holds nothing that must be withheld."""
    for row in rows:
        if row.dead is not None:
            raise Violation("no_event_is_a_dead_letter", f"{row.stream[:8]}: {row.seq}: {row.dead}")


def refused_never_appears(truth: Truth, births: Iterable[int]) -> None:
    """An append that raised has not happened: its event is on no disk and never in the cloud."""
    if bad := truth.refused.intersection(births):
        raise Violation("refused_never_appears", f"b{min(bad)}")


def nobody_storms(link: str, connects: Sequence[float], within_s: float, most: int) -> None:
    """One process does not connect more often than its growing, jittered pauses allow, whatever the broker does."""
    recent = [at_s for at_s in connects if at_s > connects[-1] - within_s]
    if len(recent) > most:
        raise Violation("nobody_storms", f"{link} connected {len(recent)} times in {within_s:g} s")


# ------------------------------------------------------------------ what the cloud says


def acknowledged_is_durable(truth: Truth, said: Ack | HelloAnswer) -> None:
    """A watermark leaves the bridge only after the commit that holds it, and with that chain's hash; the hash at a
    probe is the chain's too, or none where the cloud has none."""
    if said.watermark is None:
        return
    stream = truth.cloud.streams.get(said.stream)
    if isinstance(said, HelloAnswer) and said.hash_at_probe is not None:
        asked = truth.asked.get(said.nonce)
        digest = stream.at(asked.probe) if stream and asked and asked.probe is not None else None
        if digest is None or digest.hex() != said.hash_at_probe:
            raise Violation("acknowledged_is_durable", f"{said.stream[:8]}: a hash at a probe that nobody holds")
    tail = stream.tail if stream else 0
    if said.watermark > tail:
        raise Violation("acknowledged_is_durable", f"{said.stream[:8]}: {said.watermark} was said, {tail} is held")
    held = stream.at(said.watermark) if stream else None
    if held is not None and said.hash_at_watermark != held.hex():
        raise Violation("acknowledged_is_durable", f"{said.stream[:8]}: another hash at {said.watermark} was said")


def only_the_holder_of_the_lease_is_active(truth: Truth, said: HelloAnswer) -> None:
    """A hello is answered with `active` only to an instance that the cloud has given the store's lease."""
    asked = truth.asked.get(said.nonce)
    if said.active and asked is not None and (asked.store, asked.instance) not in truth.holders:
        detail = f"{asked.store}: {asked.instance} is told to go on and never held the lease"
        raise Violation("only_the_holder_of_the_lease_is_active", detail)


def speaks_only_when_answered(nonce: str, answered: Mapping[str, bool], where: str) -> None:
    """A batch carries the nonce of a hello that the cloud has answered to this process, and answered with `active`."""
    if nonce not in answered:
        raise Violation("speaks_only_when_answered", f"{where} sent a batch under a hello that nobody answered")
    if not answered[nonce]:
        raise Violation("speaks_only_when_answered", f"{where} sent a batch although it is not the active instance")


# ------------------------------------------------------------------ on an edge's disk


def freed_is_in_the_cloud(truth: Truth, freed: Iterable[Ident], where: str) -> None:
    """What an edge no longer keeps is durable in the cloud; or it was, and the cloud has lost it; or it was telemetry
    that the edge dropped and said so."""
    for ident in freed:
        if ident not in truth.cloud.held and ident not in truth.lost_by_cloud and ident not in truth.dropped:
            raise Violation("freed_is_in_the_cloud", f"{where}: {_show(truth, ident)} is kept nowhere")


def accepted_survives(truth: Truth, timeline: Timeline, retained: Collection[Ident], where: str) -> None:
    """An event whose append had returned is on the disk that the next process opens, or the cloud has it."""
    kept = set(retained)
    for ident in timeline.owed:
        if ident not in kept and ident not in timeline.freed and ident not in truth.dropped:
            raise Violation("accepted_survives", f"{where}: {_show(truth, ident)} did not survive")


def a_fork_leaves_nothing_behind(truth: Truth, left: Iterable[Ident], again: Collection[Ident], where: str) -> None:
    """The new stream holds every event after the common sequence that still had its bytes."""
    for ident in left:
        if ident not in again and ident not in truth.dropped:
            raise Violation("a_fork_leaves_nothing_behind", f"{where}: {_show(truth, ident)} is not in the new stream")


def a_fork_has_a_cause(truth: Truth, store: str, where: str) -> None:
    """Streams fork only when a disk of their store or the cloud was restored, or a box of theirs cloned."""
    if not (truth.lossy or store in truth.odd):
        raise Violation("a_fork_has_a_cause", f"{where} forked although nothing was restored, cloned or lost")


def cloud_loss_is_told_in_the_store(truth: Truth, alarms: Mapping[str, int], lost: Collection[str]) -> None:
    """A store says that the cloud lost data if the cloud records a loss of its own, and only if the cloud did lose.
    `alarms` by store; `lost` are the stores of which the cloud names a range."""
    if any(alarms.values()) and not truth.lossy:
        raise Violation("cloud_loss_is_told_in_the_store", "an alarm although the cloud never lost anything")
    for store in lost:
        if not alarms.get(store):
            raise Violation("cloud_loss_is_told_in_the_store", f"{store} lost events in the cloud and rang no bell")


# ------------------------------------------------------------------ commands


def a_command_acts_at_most_once(pulses: Sequence[tuple[str, float]]) -> None:
    """No device is pulsed twice for one command, whatever was restored, cloned or repeated."""
    seen: set[str] = set()
    for command, _ in pulses:
        if command in seen:
            raise Violation("a_command_acts_at_most_once", command)
        seen.add(command)


def no_command_acts_after_its_expiry(pulses: Sequence[tuple[str, float]], expiry_s: Mapping[str, float]) -> None:
    """No device is pulsed after the command's expiry, by the world's own time, however wrong the box's clock is."""
    for command, at_s in pulses:
        if at_s > expiry_s[command] + 0.001:  # an expiry is told in whole milliseconds
            detail = f"{command}: {at_s - expiry_s[command]:.3f} s late"
            raise Violation("no_command_acts_after_its_expiry", detail)


def the_cloud_tells_the_truth_of_a_command(verdicts: Mapping[str, str], pulses: Sequence[tuple[str, float]]) -> None:
    """A command that the cloud calls refused or expired moved nothing; one that it calls done did move."""
    moved = {command for command, _ in pulses}
    for command, said in verdicts.items():
        if (said in ("refused", "expired") and command in moved) or (said == "done" and command not in moved):
            how = "moved" if command in moved else "did not move"
            raise Violation("the_cloud_tells_the_truth_of_a_command", f"{command} {how} and the cloud says {said}")


# ------------------------------------------------------------------ at rest


def everything_owed_is_in_the_cloud(truth: Truth, timelines: Mapping[str, Timeline]) -> None:
    """When faults have stopped and the run has come to rest, whatever a disk ever held is in the cloud and counts
    once; but what the cloud lost after all edges had freed it, and dropped telemetry."""
    written = set(truth.births.values())
    for where, timeline in timelines.items():
        never = timeline.told - written
        if never - truth.telemetry or len(never) > len(truth.unseen):
            detail = f"{where}: b{min(never)} was accepted and stood on no disk"
            raise Violation("everything_owed_is_in_the_cloud", detail)
        told = {ident for ident, birth in truth.births.items() if birth in timeline.told}
        for ident in timeline.owed | told:
            if ident in truth.dropped or ident in truth.lost_by_cloud:
                continue
            if truth.cloud.counted.get(ident, 0) != 1:
                held = "is there and counts never" if ident in truth.cloud.held else "is not there"
                raise Violation("everything_owed_is_in_the_cloud", f"{where}: {_show(truth, ident)} {held}")


def dropped_telemetry_is_declared(
    truth: Truth, timelines: Mapping[str, Timeline], lost: Mapping[str, Sequence[tuple[int, int]]]
) -> None:
    """Telemetry that is not in the cloud lies in a range that the cloud knows of: a gap, a `telemetry.dropped`, or what
    the cloud itself calls lost, be it the event or the `telemetry.dropped` that named it."""
    ranges: dict[str, list[tuple[int, int]]] = {name: list(found) for name, found in lost.items()}
    for name, gaps in truth.cloud.gaps.items():
        ranges.setdefault(name, []).extend((gap.first, gap.last) for gap in gaps)
    for name, first, last in truth.cloud.declared:
        ranges.setdefault(name, []).append((first, last))
    for word, (name, first, last) in truth.words:
        if word in truth.lost_by_cloud and _covered(truth, word, lost):
            ranges.setdefault(name, []).append((first, last))
    for where, timeline in timelines.items():
        for ident in sorted((truth.dropped & timeline.owed) - truth.cloud.held):
            if not _covered(truth, ident, ranges):
                raise Violation("dropped_telemetry_is_declared", f"{where}: {_show(truth, ident)} went without a word")


def what_the_cloud_lost_is_recorded(
    truth: Truth, timelines: Mapping[str, Timeline], lost: Mapping[str, Sequence[tuple[int, int]]]
) -> None:
    """An event that the cloud lost and no edge had any more lies in a range that the cloud itself calls lost; but where
    the event of a cloned box has taken its place (nobody keeps the hash of what is freed, so nobody can tell)."""
    owed = set().union(*(timeline.owed for timeline in timelines.values())) if timelines else set()
    for ident in sorted((truth.lost_by_cloud - truth.cloud.held) & owed):
        if ident not in truth.dropped and not _replaced(truth, ident) and not _covered(truth, ident, lost):
            raise Violation("what_the_cloud_lost_is_recorded", f"{_show(truth, ident)} is missing and nobody says so")


def it_comes_to_rest(reason: str) -> None:
    """When faults stop, everything is delivered and confirmed within a stated time."""
    raise Violation("it_comes_to_rest", reason)


def nobody_falls(who: str, error: BaseException) -> None:
    """No fault of network, broker, disk or clock ends an agent or a bridge by an error of its own."""
    raise Violation("nobody_falls", f"{who}: {type(error).__name__}: {error}")


def _replaced(truth: Truth, ident: Ident) -> bool:
    """Whether another event stands in the cloud at the event's own place."""
    held = truth.cloud.streams.get(ident.stream)
    return held is not None and held.at(ident.seq) not in (None, bytes.fromhex(ident.hash))


def _covered(truth: Truth, ident: Ident, ranges: Mapping[str, Sequence[tuple[int, int]]]) -> bool:
    """Whether a place where the event ever stood lies in a range."""
    places = [place for place, known in truth.written.items() if known == ident]
    return any(first <= p.seq <= last for p in places for first, last in ranges.get(p.stream, ()))


def _show(truth: Truth, ident: Ident) -> str:
    birth = truth.births.get(ident, 0)
    return f"{ident.stream[:8]}:{ident.seq}" + (f" (b{birth})" if birth else "")
