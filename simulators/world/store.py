"""The whole physical store: what can be done in it, and the truth it tells of everything done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from contracts.clock import Clock
from edge.config import ScaleConfig, StoreConfig
from simulators.truth.records import Kind, Record, TruthRecord
from simulators.world.doors import Door, DoorClosedError
from simulators.world.scales import Platform

MAX_PIECES = 1000


class NotThereError(Exception):
    """There is no such thing in the store, or not enough of it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of goods with its own true weight."""

    sku: str
    grams: float


@dataclass(slots=True)
class Shelf:
    """What lies on one load cell."""

    name: str
    compartment: str
    platform: Platform
    pieces: list[Piece] = field(default_factory=list)
    foreign_g: float = 0.0

    @property
    def true_g(self) -> float:
        """What an exact balance would say."""
        return sum(piece.grams for piece in self.pieces) + self.foreign_g

    def units(self) -> Counter[str]:
        """Pieces by product."""
        return Counter(piece.sku for piece in self.pieces)


class World:
    """The store. Every method acts at `clock.now_s()` and tells `record` what happened.

    Goods pass only through an open door: `take`, `put_back`, `stock` and `foreign` raise DoorClosedError else.
    Unknown names raise NotThereError.
    """

    def __init__(self, config: StoreConfig, *, clock: Clock, seed: int, record: Record) -> None:
        self._clock = clock
        self._record = record
        self._rng = Random(f"{seed}:pieces")
        self._products = {product.sku: product for product in config.product}
        self.doors: dict[str, Door] = {}
        self.shelves: dict[str, Shelf] = {}
        self.cabinet_of: dict[str, str] = {}
        self.compartment_at: dict[tuple[str, int], str] = {}
        self.shelf_on: dict[str, str] = {}
        self.hands: dict[str, list[Piece]] = {}
        self.carried_away: list[Piece] = []
        self.visits: dict[str, str] = {}  # open visit -> cabinet
        sigma_g = {device.id: device.sigma_g for device in config.device if isinstance(device, ScaleConfig)}
        for cabinet, compartment in config.compartments():
            self.doors[compartment.id] = Door(compartment.id)
            self.cabinet_of[compartment.id] = cabinet.id
            self.compartment_at[compartment.lock, compartment.channel] = compartment.id
            for place in compartment.shelf:
                platform = Platform(sigma_g=sigma_g[place.scale], rng=Random(f"{seed}:noise:{place.id}"))
                shelf = Shelf(place.id, compartment.id, platform)
                for stock in place.stock:
                    shelf.pieces += [self._piece(stock.sku) for _ in range(stock.units)]
                platform.load_g = shelf.true_g
                self.shelves[place.id] = shelf
                self.shelf_on[place.scale] = place.id

    # -------------------------------------------------------------- asking

    def door(self, compartment: str) -> Door:
        """The door of a compartment."""
        door = self.doors.get(compartment)
        if door is None:
            raise NotThereError(f"no compartment is called {compartment!r}")
        return door

    def shelf(self, name: str) -> Shelf:
        """A shelf by name."""
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotThereError(f"no shelf is called {name!r}")
        return shelf

    def compartments_of(self, cabinet: str) -> Iterator[str]:
        """The compartments of a cabinet, in the order of the description."""
        return (name for name, of in self.cabinet_of.items() if of == cabinet)

    def is_free(self, compartment: str) -> bool:
        """True if a hand could open this door now, or it is open."""
        self.settle()
        door = self.door(compartment)
        return door.is_open or door.is_free(self._clock.now_s())

    # -------------------------------------------------------------- locks and doors

    def settle(self) -> None:
        """Tell of every latch that caught again by itself since the last call."""
        now_s = self._clock.now_s()
        for door in self.doors.values():
            if (due_s := door.expiry(now_s)) is not None:
                self._tell("latch_expired", compartment=door.name, t=due_s)

    def pulse(self, lock: str, channel: int) -> bool:
        """The solenoid on a board's channel fires; False if nothing is wired to it."""
        self.settle()
        compartment = self.compartment_at.get((lock, channel))
        if compartment is None:
            return False
        self.doors[compartment].pulse(self._clock.now_s())
        self._tell("pulsed", compartment=compartment, device=lock)
        return True

    def door_is_open(self, lock: str, channel: int) -> bool | None:
        """What the feedback switch on a board's channel should say; None if nothing is wired to it."""
        compartment = self.compartment_at.get((lock, channel))
        return None if compartment is None else self.doors[compartment].is_open

    def open(self, compartment: str, visit: str = "") -> None:
        """A hand pulls the door open. Raises DoorLockedError if the latch holds."""
        self.settle()
        if self.door(compartment).pull(self._clock.now_s()):
            self._tell("door_opened", compartment=compartment, visit=visit)

    def force(self, compartment: str, visit: str = "") -> None:
        """The door is broken open."""
        self.settle()
        door = self.door(compartment)
        if not door.is_open:
            door.force()
            self._tell("door_opened", compartment=compartment, visit=visit, detail="forced")

    def close(self, compartment: str, visit: str = "") -> None:
        """The door is pushed shut; the lock catches."""
        if self.door(compartment).close():
            self._tell("door_closed", compartment=compartment, visit=visit)

    # -------------------------------------------------------------- goods

    def take(self, shelf_name: str, sku: str, qty: int = 1, visit: str = "") -> None:
        """`qty` pieces go from a shelf into the visitor's hands."""
        shelf = self._reachable(shelf_name, qty)
        pieces = [piece for piece in shelf.pieces if piece.sku == sku][:qty]
        if len(pieces) < qty:
            raise NotThereError(f"shelf {shelf_name} holds {len(pieces)} of {sku}, not {qty}")
        for piece in pieces:
            shelf.pieces.remove(piece)
        self.hands.setdefault(visit, []).extend(pieces)
        self._loaded(shelf)
        self._tell_goods("taken", shelf, sku, pieces, visit)

    def put_back(self, shelf_name: str, sku: str, qty: int = 1, visit: str = "") -> None:
        """`qty` pieces go from the visitor's hands onto a shelf, which need not be the one they came from."""
        shelf = self._reachable(shelf_name, qty)
        held = self.hands.get(visit, [])
        pieces = [piece for piece in held if piece.sku == sku][:qty]
        if len(pieces) < qty:
            raise NotThereError(f"{visit or 'nobody'} holds {len(pieces)} of {sku}, not {qty}")
        for piece in pieces:
            held.remove(piece)
        shelf.pieces.extend(pieces)
        self._loaded(shelf)
        self._tell_goods("put_back", shelf, sku, pieces, visit)

    def stock(self, shelf_name: str, sku: str, qty: int = 1, visit: str = "") -> None:
        """`qty` new pieces are laid on a shelf."""
        shelf = self._reachable(shelf_name, qty)
        if sku not in self._products:
            raise NotThereError(f"no product is called {sku!r}")
        if len(shelf.pieces) + qty > MAX_PIECES:
            raise NotThereError(f"shelf {shelf_name} has no room for {qty} more")
        pieces = [self._piece(sku) for _ in range(qty)]
        shelf.pieces.extend(pieces)
        self._loaded(shelf)
        self._tell_goods("stocked", shelf, sku, pieces, visit)

    def foreign(self, shelf_name: str, grams: float, visit: str = "") -> None:
        """Something that is no product is laid on a shelf (positive) or taken off it (negative)."""
        shelf = self._reachable(shelf_name, 1)
        shelf.foreign_g += grams
        self._loaded(shelf)
        self._tell("foreign", compartment=shelf.compartment, shelf=shelf.name, grams=grams, visit=visit)

    def lean(self, shelf_name: str, grams: float) -> None:
        """A hand presses on a shelf with the weight of `grams`; 0 lets go. A shelf is within reach from outside."""
        shelf = self.shelf(shelf_name)
        shelf.platform.change(self._clock.now_s(), lean_g=grams)
        kind: Kind = "fault" if grams else "fault_cleared"
        self._tell(kind, compartment=shelf.compartment, shelf=shelf.name, detail="lean")

    def restart_scale(self, shelf_name: str) -> None:
        """The scale under a shelf loses power for a moment: what lies on it now is its zero."""
        shelf = self.shelf(shelf_name)
        shelf.platform.restart(self._clock.now_s())
        self._tell("scale_restarted", compartment=shelf.compartment, shelf=shelf.name)

    # -------------------------------------------------------------- people

    def arrive(self, visit: str, cabinet: str, member: str = "") -> None:
        """A visit begins at a cabinet."""
        if cabinet not in self.cabinet_of.values():
            raise NotThereError(f"no cabinet is called {cabinet!r}")
        self.visits[visit] = cabinet
        self._tell("visit_started", visit=visit, cabinet=cabinet, member=member)

    def leave(self, visit: str) -> None:
        """The visit is over; what is in the visitor's hands leaves the store with them."""
        cabinet = self.visits.pop(visit, None)
        if cabinet is None:
            raise NotThereError(f"no visit is called {visit!r}")
        self.carried_away += self.hands.pop(visit, [])
        self._tell("visit_ended", visit=visit, cabinet=cabinet)

    def note(
        self,
        kind: Kind,
        *,
        visit: str = "",
        cabinet: str = "",
        compartment: str = "",
        shelf: str = "",
        member: str = "",
        device: str = "",
        detail: str = "",
    ) -> None:
        """Tell of something the world itself does not model: a scan, a card, a fault of a line."""
        self._tell(
            kind,
            visit=visit,
            cabinet=cabinet,
            compartment=compartment,
            shelf=shelf,
            member=member,
            device=device,
            detail=detail,
        )

    # -------------------------------------------------------------- inside

    def _piece(self, sku: str) -> Piece:
        product = self._products[sku]
        return Piece(sku, max(0.1, self._rng.gauss(product.unit_weight_g, product.sigma_g)))

    def _reachable(self, shelf_name: str, qty: int) -> Shelf:
        shelf = self.shelf(shelf_name)
        if qty < 1:
            raise NotThereError(f"qty: must be 1 or more, is {qty}")
        if not self.doors[shelf.compartment].is_open:
            raise DoorClosedError(f"shelf {shelf_name} is behind the closed door of {shelf.compartment}")
        return shelf

    def _loaded(self, shelf: Shelf) -> None:
        shelf.platform.change(self._clock.now_s(), load_g=shelf.true_g)

    def _tell_goods(self, kind: Kind, shelf: Shelf, sku: str, pieces: list[Piece], visit: str) -> None:
        self._tell(
            kind,
            visit=visit,
            compartment=shelf.compartment,
            shelf=shelf.name,
            sku=sku,
            qty=len(pieces),
            grams=sum(piece.grams for piece in pieces),
        )

    def _tell(
        self,
        kind: Kind,
        *,
        t: float | None = None,
        visit: str = "",
        cabinet: str = "",
        compartment: str = "",
        shelf: str = "",
        sku: str = "",
        qty: int = 0,
        member: str = "",
        grams: float = 0.0,
        device: str = "",
        detail: str = "",
    ) -> None:
        self._record(
            TruthRecord(
                t=self._clock.now_s() if t is None else t,
                kind=kind,
                visit=visit,
                cabinet=cabinet or self.cabinet_of.get(compartment, ""),
                compartment=compartment,
                shelf=shelf,
                sku=sku,
                qty=qty,
                member=member,
                grams=round(grams, 3),
                device=device,
                detail=detail,
            )
        )
