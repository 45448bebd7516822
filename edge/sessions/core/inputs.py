"""What reaches the machine (inputs), what it knows of the world (facts), and what it wants done (effects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.event_types import Line
from edge.ports import PaymentAnswer
from edge.sessions.core.gate import AgeProof, Release
from edge.sessions.core.records import Durable, Mode
from edge.sessions.core.settlement import Sku

State = Literal["asked", "paying", "held", "intent", "sent", "verify", "wait", "open", "weigh"]
CLAIMED: frozenset[State] = frozenset({"sent", "verify", "wait", "open", "weigh"})
MAX_LINES = 20


# ------------------------------------------------------------------ the cabinet as built


@dataclass(frozen=True, slots=True)
class ShelfSpec:
    shelf: str
    sigma_g: float
    skus: tuple[Sku, ...]
    stock: Mapping[str, int] = field(default_factory=dict)  # pieces at the first start


@dataclass(frozen=True, slots=True)
class CompartmentSpec:
    compartment: str
    board: str
    address: int
    channel: int
    shelves: tuple[ShelfSpec, ...]
    tobacco: bool = False


@dataclass(frozen=True, slots=True)
class CabinetSpec:
    cabinet: str
    mode: Literal["self_service", "staff_release", "counter_only"]
    compartments: Mapping[str, CompartmentSpec]


# ------------------------------------------------------------------ facts


@dataclass(frozen=True, slots=True)
class Weight:
    """A stable weight: the median of at least five samples, the first of them taken at `since_s`."""

    g: float
    epoch: int
    since_s: float


@dataclass(frozen=True, slots=True)
class View:
    """What the devices of one compartment show. None: not known."""

    open: bool | None = None
    fenced: bool = False  # a status query sent after the last frame has been answered
    fresh: bool = False  # the door was polled within the last second
    weights: Mapping[str, Weight] | None = None  # by shelf; None while any of them is missing or unstable


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the outside knows at the moment of a step. None: not known."""

    wall: datetime | None = None
    on_duty: Mapping[str, float] | None = None  # person: since when
    adult_staff: frozenset[str] = frozenset()
    staff_keys: Mapping[str, str] | None = None  # person on duty: pseudonym of today
    shutter_open: bool | None = None
    day_units: int | None = None
    writable: bool | None = None
    views: Mapping[str, View] = field(default_factory=dict)


# ------------------------------------------------------------------ memory of the machine


@dataclass(frozen=True, slots=True)
class Slot:
    """The cabinet's one physical session. Dies with the boot."""

    session: str
    compartment: str
    state: State
    since_s: float
    attempt: int = 0
    intent: str = ""
    blind: bool = False
    release: Release | None = None
    age: AgeProof | None = None
    released: int = 0
    fenced_s: float | None = None  # when the fence of the last frame was seen
    door_seen: bool = False
    opened_s: float | None = None
    warned: bool = False
    lapsed: bool = False
    asked_inputs: tuple[str, ...] = ()  # failing rules of the last written denial
    doubt: tuple[str, ...] = ()  # failing rules of g3


@dataclass(frozen=True, slots=True)
class Memory:
    """Durable state and what only memory holds."""

    durable: Durable = field(default_factory=Durable)
    slot: Slot | None = None
    revoked: frozenset[str] = frozenset()  # acts at once, even if the disk is full
    pulses: Mapping[str, float] = field(default_factory=dict)  # compartment: last frame, or its fence
    unfenced: frozenset[str] = frozenset()


# ------------------------------------------------------------------ inputs


@dataclass(frozen=True, slots=True)
class Start:
    """The process has started: table R."""


@dataclass(frozen=True, slots=True)
class Request:
    session: str
    mode: Mode
    compartment: str
    buyer: str = ""
    declared: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Declare:
    """What a proven adult wants: tobacco is named only after the proof (T12), and before any release."""

    session: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Prove:
    """An adult check of the buyer of this session."""

    session: str
    method: Literal["id_card", "member_document", "staff_document", "network_id"]
    passed: bool
    person_day_key: str = ""


@dataclass(frozen=True, slots=True)
class Give:
    """A release by a person whose PIN was just checked.

    `declared` is the basket as it stood when they asked; if it is another by now, they must look again. None: not said.
    """

    release: Release
    declared: tuple[Line, ...] | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """X: the buyer leaves, staff refuse."""

    session: str
    reason: str
    staff_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The provider's word. `asked` tells an authorise from a void or a capture."""

    session: str
    asked: Literal["authorise", "capture", "void"]
    answer: PaymentAnswer


@dataclass(frozen=True, slots=True)
class Head:
    """The frame stands at the head of the queue: encode it or not, now."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The driver's word on the frame of this intent."""

    intent: str
    result: Literal["opened", "refused", "no_reply", "not_sent"]
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Doors and scales, as the facts show them, and the time."""


@dataclass(frozen=True, slots=True)
class Silent:
    """The lock of the live session has not answered for `T_verify`."""


@dataclass(frozen=True, slots=True)
class Unstable:
    """No stable weights for `T_weigh`."""


@dataclass(frozen=True, slots=True)
class PowerUp:
    """A scale has zeroed itself."""

    shelf: str


@dataclass(frozen=True, slots=True)
class Decide:
    """Staff decide a review."""

    session: str
    staff_id: str
    accept: bool


@dataclass(frozen=True, slots=True)
class Revoke:
    """`store`, `cabinet:<id>` or `session:<id>`. Only closes."""

    target: str


@dataclass(frozen=True, slots=True)
class Lift:
    """A manager at the counter lifts a revoke."""

    target: str
    staff_id: str


@dataclass(frozen=True, slots=True)
class Count:
    """Staff have counted all that stands behind one door: every product of every shelf, or it is no count."""

    compartment: str
    shelves: Mapping[str, Mapping[str, int]]  # shelf: product: pieces
    staff_id: str


Input = (
    Start
    | Request
    | Declare
    | Prove
    | Give
    | Drop
    | Answer
    | Head
    | Reply
    | Look
    | Silent
    | Unstable
    | PowerUp
    | Decide
    | Revoke
    | Lift
    | Count
)


# ------------------------------------------------------------------ effects


@dataclass(frozen=True, slots=True)
class Authorise:
    """Ask for the hold of this session, once."""

    session: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Unlock:
    """Put the frame of this intent into the queue of the bus, guarded by `Head`."""

    session: str
    intent: str
    compartment: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes may be written, in this same synchronous block."""

    intent: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell the scale that its power-up is on the books."""

    shelf: str


@dataclass(frozen=True, slots=True)
class Alarm:
    code: str
    subject: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A session is over: for the screens."""

    session: str
    outcome: str
    lines: tuple[Line, ...] = ()


Effect = Authorise | Unlock | Frame | Acknowledge | Alarm | Ended
