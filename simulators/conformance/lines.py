"""How a line treats a reply: whole, byte by byte, late, lost, joined, disturbed, after an echo of the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

Delivery = tuple[float, bytes]  # seconds after the write, bytes
Line = Callable[[bytes, bytes, Random], Sequence[Delivery]]  # reply, what was sent


def perfect(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """Soon and whole."""
    del sent, rng
    return [(0.002, reply)]


def one_byte(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """A byte at a time."""
    del sent, rng
    return [(0.002 + 0.001 * i, reply[i : i + 1]) for i in range(len(reply))]


def lossy(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """One reply in five loses a byte or all of them."""
    del sent
    if rng.random() >= 0.2:
        return [(0.002, reply)]
    if rng.random() < 0.5:
        return []
    hole = rng.randrange(len(reply))
    return [(0.002, reply[:hole] + reply[hole + 1 :])]


def delayed(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """Most replies are slow, some come after any time-out."""
    del sent
    return [(rng.choice((0.01, 0.05, 0.15, 0.6)), reply)]


def coalesced(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """The end of something older, the reply and the beginning of something newer arrive as one piece."""
    del sent
    return [(0.01, reply[rng.randint(1, len(reply)) :] + reply + reply[: rng.randrange(len(reply))])]


def noisy(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """A few bytes of noise before and after."""
    del sent
    return [(0.002, rng.randbytes(rng.randrange(4)) + reply + rng.randbytes(rng.randrange(4)))]


def echoing(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """The adapter repeats what we sent, then the reply comes."""
    del rng
    return [(0.001, sent), (0.002, reply)]


def echoing_in_one_piece(reply: bytes, sent: bytes, rng: Random) -> Sequence[Delivery]:
    """The same, joined."""
    del rng
    return [(0.001, sent + reply)]


LINES: tuple[Line, ...] = (perfect, one_byte, lossy, delayed, coalesced, noisy, echoing, echoing_in_one_piece)
ECHOING: tuple[Line, ...] = (echoing, echoing_in_one_piece)
TRUE: tuple[Line, ...] = (perfect, one_byte)  # every question is answered
