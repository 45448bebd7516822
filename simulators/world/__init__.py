"""The physical store as a model in store time: doors, latches, goods, scales, hands. No I/O, no waiting."""

from simulators.world.doors import Door, DoorClosedError, DoorLockedError
from simulators.world.scales import Platform
from simulators.world.store import NotThereError, Piece, Shelf, World

__all__ = ["Door", "DoorClosedError", "DoorLockedError", "NotThereError", "Piece", "Platform", "Shelf", "World"]
