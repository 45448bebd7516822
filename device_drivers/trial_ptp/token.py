"""The 42 bytes that let a trial unit begin: who vouched, for which session, how long; nothing about the buyer.

    0 version 01    1 nonce[8]    9 session u32    13 method    14 least age    15 staff u32    19 issued u32
    23 life u16    25 puffs    26 MAC[16]: the first half of HMAC-SHA256(device key, address | bytes 0 to 25)

`mint` is a pure function of the proof. Who may call it is the interlocks' matter, not this module's.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from enum import IntEnum

from device_drivers.errors import ProtocolError

TOKEN_BYTES = 42
NONCE_BYTES = 8
MAC_BYTES = 16
KEY_BYTES = 32
VERSION = 1
ADULT_AGE = 18
MAX_LIFE_S = 60  # as long as a nonce lives
_BODY = struct.Struct(">B8sIBBIIHB")


class Method(IntEnum):
    """How the age was proven."""

    ID_CARD = 1  # read by the document reader, looked at by staff
    MEMBER_FACE = 2  # an enrolled adult member, by consent
    DOCUMENT_SHOWN = 3  # staff looked at a document
    NETWORK_ID = 4  # the national network identity service


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was proven before a token may be: the session, the age, the person on duty, the moment (unix seconds).

    Session 0 with 0 puffs is a staff proof: it changes a sample (SAMPLE_SET) and can never authorise a trial.
    """

    session: int
    method: Method
    staff_id: int
    issued_at_s: int
    life_s: int
    max_puffs: int
    min_age: int = ADULT_AGE


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart."""

    proof: Proof
    nonce: bytes
    mac: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Token:
        """Reads the fields; says nothing of the MAC. Raises ProtocolError(remote) for what is no token."""
        if len(data) != TOKEN_BYTES:
            raise ProtocolError(f"{len(data)} bytes are no token")
        version, nonce, session, method, min_age, staff_id, issued_at_s, life_s, puffs = _BODY.unpack(
            data[: _BODY.size]
        )
        if version != VERSION or method not in _METHODS:
            raise ProtocolError("a token of another kind")
        proof = Proof(
            session=session,
            method=Method(method),
            staff_id=staff_id,
            issued_at_s=issued_at_s,
            life_s=life_s,
            max_puffs=puffs,
            min_age=min_age,
        )
        return cls(proof, nonce, data[_BODY.size :])


_METHODS = frozenset(Method)


def mint(proof: Proof, *, nonce: bytes, address: int, key: bytes) -> bytes:
    """The token for one unit and one nonce. Raises ProtocolError(local) for a proof that proves nothing."""
    _check(proof, nonce, key)
    try:
        body = _BODY.pack(
            VERSION,
            nonce,
            proof.session,
            proof.method,
            proof.min_age,
            proof.staff_id,
            proof.issued_at_s,
            proof.life_s,
            proof.max_puffs,
        )
        return body + mac(body, address=address, key=key)
    except (struct.error, OverflowError, ValueError) as error:
        raise ProtocolError("a value of the proof does not fit its field", side="local") from error


def mac(body: bytes, *, address: int, key: bytes) -> bytes:
    """The 16 bytes that bind a token's body to one unit."""
    return hmac.digest(key, bytes((address,)) + body, "sha256")[:MAC_BYTES]


def is_authentic(data: bytes, *, address: int, key: bytes) -> bool:
    """Whether this key made the token for this unit; takes the same time whichever byte is wrong."""
    if len(data) != TOKEN_BYTES:
        return False
    return hmac.compare_digest(mac(data[: _BODY.size], address=address, key=key), data[_BODY.size :])


def _check(proof: Proof, nonce: bytes, key: bytes) -> None:
    problem = ""
    if len(nonce) != NONCE_BYTES:
        problem = f"a nonce of {len(nonce)} bytes"
    elif len(key) != KEY_BYTES:
        problem = f"a device key of {len(key)} bytes"
    elif proof.min_age < ADULT_AGE:
        problem = "an age below the law's"
    elif proof.method not in _METHODS:
        problem = "a method that does not exist"
    elif proof.staff_id <= 0:
        problem = "nobody of the staff vouches"
    elif not 1 <= proof.life_s <= MAX_LIFE_S:
        problem = f"a life that is not 1 to {MAX_LIFE_S} s"
    elif (proof.session == 0) != (proof.max_puffs == 0):
        problem = "a trial needs a session and puffs, a staff proof neither"
    if problem:
        raise ProtocolError(f"no token for {problem}", side="local")
