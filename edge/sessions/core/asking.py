"""Between the machine and the gate: gathers the facts of the live session, writes each decision down (T14)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contracts.event_types import GateDecision, Line
from edge.sessions.core import gate, settlement
from edge.sessions.core.draft import Draft
from edge.sessions.core.gate import DeviceFacts, GateFacts, Kind, Stage
from edge.sessions.core.inputs import CLAIMED, CabinetSpec, CompartmentSpec, View, Weight
from edge.sessions.core.records import Book, Session
from edge.sessions.policy import Policy

# What can lapse while a session waits for staff: rules that need neither a proof nor a release.
STANDING = frozenset({"revoke", "T01", "T04", "T05", "T06", "T11"})
# What is written down (and sounds) when it lapses after the frame.
AFTER_FRAME = frozenset({"revoke", "T01", "T03", "T04", "T05"})


@dataclass(frozen=True, slots=True)
class House:
    """What never changes while the agent runs: the cabinet as built, and the policy."""

    spec: CabinetSpec
    policy: Policy

    def place(self, compartment: str) -> CompartmentSpec:
        return self.spec.compartments[compartment]


def standing(house: House, session: Session) -> frozenset[str]:
    """The rules that may lapse for this session: before anything is declared there is no quantity to judge (T06)."""
    undeclared = session.sale and not session.declared and is_tobacco(house, session)
    return STANDING - {"T06"} if undeclared else STANDING


def kind_of(house: House, session: Session) -> Kind:
    """Which column of table G counts. A cabinet of `staff_release` is treated as tobacco throughout."""
    tobacco = house.place(session.compartment).tobacco or session.mode == "staff_release"
    if session.sale:
        return "tobacco_sale" if tobacco else "snack_sale"
    return "tobacco_restock" if tobacco else "snack_restock"


def is_tobacco(house: House, session: Session) -> bool:
    return kind_of(house, session).startswith("tobacco")


def claimed(d: Draft, compartment: str) -> bool:
    """The compartment belongs to the live session: from the frame (not the intent) to the conclusion."""
    s = d.slot
    return s is not None and s.compartment == compartment and (s.state in CLAIMED or s.attempt == 2)


def view(d: Draft, compartment: str) -> View:
    return d.facts.views.get(compartment) or View()


def differs(place: CompartmentSpec, book: Mapping[str, Book], weights: Mapping[str, Weight]) -> bool:
    """Whether any shelf is not where the book has it: another weight, another epoch, no book."""
    for shelf in place.shelves:
        held, seen = book.get(shelf.shelf), weights.get(shelf.shelf)
        if held is None or seen is None or held.epoch != seen.epoch:
            return True
        if not settlement.same(held.g, seen.g, shelf.sigma_g):
            return True
    return False


def device_facts(house: House, d: Draft, compartment: str) -> DeviceFacts:
    """Rule D's view of one compartment."""
    seen = view(d, compartment)
    pulse_s = d.pulses.get(compartment)
    open_intents = (s for s in d.sessions.values() if s.intents and not s.concluded)
    return DeviceFacts(
        online=seen.open is not None,
        fenced=seen.fenced and compartment not in d.unfenced,
        closed=seen.open is False and seen.fresh,
        incident=compartment in d.kind("incident"),
        at_book=seen.weights is not None and not differs(house.place(compartment), d.kind("book"), seen.weights),
        latch_over=pulse_s is None or d.now_s - pulse_s >= house.policy.timeouts_s.latch,
        alone=d.slot is not None and all(s.id == d.slot.session for s in open_intents),
    )


def targets(house: House, session: str) -> frozenset[str]:
    """Every revoke that would stop this session."""
    return frozenset({"store", f"cabinet:{house.spec.cabinet}", f"session:{session}"})


def units(lines: tuple[Line, ...]) -> int:
    return sum(line.qty for line in lines)


def gate_facts(house: House, d: Draft, stage: Stage) -> GateFacts:
    """All that the gate may know of the live session, now."""
    slot = d.slot
    assert slot is not None
    session = d.sessions[slot.session]
    release = slot.release
    spent = [i.id for i in session.intents if release and i.release == release.id]
    return GateFacts(
        kind=kind_of(house, session),
        stage=stage,
        session=session.id,
        compartment=session.compartment,
        cabinet_mode=house.spec.mode,
        has_tobacco=house.place(session.compartment).tobacco,
        buyer=session.buyer,
        now_s=d.now_s,
        wall=d.facts.wall,
        revoked=bool(d.revoked & targets(house, session.id)),
        on_duty=d.facts.on_duty,
        release=release,
        spent_by=spent[0] if spent else "",
        intent=slot.intent,
        age=slot.age,
        adult_staff=d.facts.adult_staff,
        staff_keys=d.facts.staff_keys,
        shutter_open=d.facts.shutter_open,
        declared_units=units(session.declared),
        day_units=d.facts.day_units,
        writable=d.facts.writable,
        device=device_facts(house, d, session.compartment),
    )


def ask(house: House, d: Draft, stage: Stage) -> tuple[str, ...]:
    """Ids of the rules that fail for the live session at this stage."""
    return gate.gate(gate_facts(house, d, stage), house.policy)


def may_encode(house: House, d: Draft) -> tuple[str, ...]:
    """g3: ids of the rules that stand against writing the frame in this very block. Empty: write it."""
    slot = d.slot
    if slot is None or slot.state != "intent":
        return ("no_intent",)
    session = d.sessions[slot.session]
    fresh = [i for i in session.intents if not i.result]
    if [i.id for i in fresh] != [slot.intent] or session.concluded:
        return ("no_intent",)
    if is_tobacco(house, session) and len(session.intents) != 1:
        return ("second_pulse",)
    return ask(house, d, "g3")


def decide(
    house: House,
    d: Draft,
    stage: Literal["g1", "g2", "g3", "g4", "lapse", "revoke"],
    outcome: Literal["allowed", "denied", "lapsed_after_unlock", "revoked", "lifted"],
    failed: tuple[str, ...] = (),
) -> None:
    """Write one decision of the gate about the live session."""
    slot = d.slot
    assert slot is not None
    facts = gate_facts(house, d, "g1")
    d.say(
        GateDecision(
            session=slot.session,
            stage=stage,
            outcome=outcome,
            failed=failed,
            inputs={
                "kind": facts.kind,
                "compartment": facts.compartment,
                "staff_on_duty": None if facts.on_duty is None else len(facts.on_duty),
                "release": facts.release.id if facts.release else None,
                "age_proven": facts.age is not None,
                "clock_known": facts.wall is not None,
                "units": facts.declared_units,
            },
            policy_version=house.policy.version,
            staff_id=facts.release.staff_id if facts.release else "",
        )
    )
