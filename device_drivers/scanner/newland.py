"""Newland's unified commands: 7E 01 "0000" TAG NAME VALUE ";" 03.

The reply is 02 01 "0000" TAG NAME VALUE STATUS ";" 03.
TAG "@" keeps the setting over a power cut, "#" does not. STATUS is ACK (done), NAK (no such value) or ENQ (no such
command). A value of "*" asks for the present one. Some modules also look at the short trigger 1B 31.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError
from device_drivers.finder import Verdict

MAX_VALUE_CHARS = 32
ASK = "*"
TRIGGER = "SCNTRG"
MODE = "SCNMOD"
LEVEL, AUTO = "0", "2"  # values of MODE: look while triggered, or look always
SHORT_TRIGGER = b"\x1b\x31"
LONGEST_COMMAND = 7 + 6 + MAX_VALUE_CHARS + 2
LONGEST_REPLY = LONGEST_COMMAND + 1

_NAME = re.compile(r"[A-Z]{6}")
_VALUE = re.compile(rf"[ -:<-~]{{0,{MAX_VALUE_CHARS}}}")  # printable, and no semicolon
_BODY = rb"0000([@#])([A-Z]{6})([ -:<-~]{0,32})"
_COMMAND = re.compile(rb"\x7e\x01" + _BODY + rb";\x03")
_REPLY = re.compile(rb"\x02\x01" + _BODY + rb"([\x06\x15\x05]);\x03")
_COMMAND_HEAD, _REPLY_HEAD = b"\x7e\x010000", b"\x02\x010000"
_INSIDE_COMMAND = frozenset(range(0x20, 0x7F))
_INSIDE_REPLY = _INSIDE_COMMAND | frozenset(b"\x06\x15\x05")
_END = b";\x03"

Status = Literal["ack", "nak", "enq"]
_STATUSES: dict[int, Status] = {0x06: "ack", 0x15: "nak", 0x05: "enq"}
_STATUS_BYTES = {status: byte for byte, status in _STATUSES.items()}


@dataclass(frozen=True, slots=True)
class Command:
    """One setting. `kept`: over a power cut, too."""

    name: str
    value: str
    kept: bool = False

    def to_bytes(self) -> bytes:
        """The frame. Raises ProtocolError(local) for a name or value that no command has."""
        return b"\x7e\x01" + _body(self.name, self.value, kept=self.kept) + _END

    @classmethod
    def from_bytes(cls, data: bytes) -> Command:
        """Raises ProtocolError(remote) for anything but one whole frame."""
        found = _COMMAND.fullmatch(data)
        if found is None:
            raise ProtocolError("not a unified command")
        return cls(found[2].decode(), found[3].decode(), found[1] == b"@")


@dataclass(frozen=True, slots=True)
class ShortTrigger:
    """Look once; only some modules know it, and nothing says whether they heard it."""

    def to_bytes(self) -> bytes:
        """Two bytes."""
        return SHORT_TRIGGER


@dataclass(frozen=True, slots=True)
class Reply:
    """What the module says to a command. It repeats the command, so that a reply names its question."""

    name: str
    value: str
    status: Status
    kept: bool = False

    def to_bytes(self) -> bytes:
        """The frame. Raises ProtocolError(local) for a name or value that no command has."""
        return b"\x02\x01" + _body(self.name, self.value, kept=self.kept) + bytes((_STATUS_BYTES[self.status],)) + _END

    @classmethod
    def from_bytes(cls, data: bytes) -> Reply:
        """Raises ProtocolError(remote) for anything but one whole frame."""
        found = _REPLY.fullmatch(data)
        if found is None:
            raise ProtocolError("not a reply to a unified command")
        return cls(found[2].decode(), found[3].decode(), _STATUSES[found[4][0]], found[1] == b"@")


def start(*, kept: bool = False) -> Command:
    """Look for a code now."""
    return Command(TRIGGER, "1", kept)


def stop(*, kept: bool = False) -> Command:
    """Look no more."""
    return Command(TRIGGER, "0", kept)


def mode(value: Literal["0", "2"], *, kept: bool = False) -> Command:
    """Look while triggered (LEVEL) or always (AUTO)."""
    return Command(MODE, value, kept)


def ask_mode() -> Command:
    """Ask which mode the module is in: nothing changes."""
    return Command(MODE, ASK)


def cut_command(front: bytes) -> tuple[Command | ShortTrigger, int] | Verdict:
    """See `Finder`: a command at the front, at most LONGEST_COMMAND bytes."""
    if SHORT_TRIGGER.startswith(front[:2]):
        return (ShortTrigger(), 2) if len(front) >= 2 else Verdict.MORE
    if found := _COMMAND.match(front):
        return Command.from_bytes(found[0]), found.end()
    return _undecided(front, _COMMAND_HEAD, _INSIDE_COMMAND, LONGEST_COMMAND)


def cut_reply(front: bytes) -> tuple[Reply, int] | Verdict:
    """See `Finder`: a reply at the front, at most LONGEST_REPLY bytes."""
    if found := _REPLY.match(front):
        return Reply.from_bytes(found[0]), found.end()
    return _undecided(front, _REPLY_HEAD, _INSIDE_REPLY, LONGEST_REPLY)


def _undecided(front: bytes, head: bytes, inside: frozenset[int], longest: int) -> Verdict:
    """Whether these bytes may still become a frame."""
    body = front[len(head) :]
    if len(front) >= longest or not front.startswith(head[: len(front)]):
        return Verdict.NOISE
    # A semicolon ends the frame: nothing but the last byte may follow it.
    whole_end = body.find(b";")
    return Verdict.MORE if set(body) <= inside and whole_end in (-1, len(body) - 1) else Verdict.NOISE


def _body(name: str, value: str, *, kept: bool) -> bytes:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ProtocolError(
            f"a command has six capitals and at most {MAX_VALUE_CHARS} printable characters", side="local"
        )
    return b"0000" + (b"@" if kept else b"#") + name.encode() + value.encode()
