"""The whole talk of an audit reader and a machine, from the first call to the last block, without any I/O.

    master                                  slave
    ENQ, first header, EOT          ──►     (who asks, and for what)
    (yes or no)                     ◄──     ENQ, second header, EOT
    (the audit, operation R)        ◄──     ENQ, data blocks, EOT

With operation S the data go the other way. Whoever drives one hands it bytes and the time, and writes what it says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from device_drivers.errors import ProtocolError
from device_drivers.eva_dts.codec import ACCEPTED, Block, Control, FirstHeader, FrameDecoder, Kind, SecondHeader, Spoilt
from device_drivers.eva_dts.phases import Phase, Receiving, Rules, Sending
from device_drivers.faults import OnFault


class Talk(ABC):
    """Common to both sides. `due_s`: when `tick` must be called at the latest; None: only bytes matter.

    `received` is the file once `done`. `failure` is a sentence once this side has given up; `refused` tells that the
    other side understood and said no.
    """

    def __init__(self, *, on_fault: OnFault, rules: Rules | None = None) -> None:
        self.done = False
        self.failure = ""
        self.refused = False
        self.received = b""
        self.sessions = 0
        self._rules = rules if rules is not None else Rules()
        self._decoder = FrameDecoder(on_fault)
        self._out = bytearray()
        self._gap_s: float | None = None
        self._step = 0
        self._phase: Phase = self._first()

    @property
    def due_s(self) -> float | None:
        """When the next time-out is."""
        times = [time for time in (self._phase.due_s, self._gap_s) if time is not None]
        return None if self.failure or not times else min(times)

    def start(self, now_s: float) -> bytes:
        """Take the line; the bytes to write."""
        self.sessions = 1
        self._phase.begin(now_s)
        return self._written()

    def receive(self, data: bytes, now_s: float) -> bytes:
        """Bytes that came; the bytes to write."""
        if self.failure:
            return b""
        for frame in self._decoder.feed(data):
            self._phase.hear(frame, now_s)
            self._go_on(now_s)
        self._gap_s = now_s + self._rules.byte_gap_s if self._decoder.buffered else None
        return self._written()

    def tick(self, now_s: float) -> bytes:
        """Time has passed; the bytes to write."""
        if self.failure:
            return b""
        if self._gap_s is not None and now_s >= self._gap_s:
            self._gap_s = None
            if self._decoder.forget():
                self._phase.hear(Spoilt(), now_s)
        if self._phase.due_s is not None and now_s >= self._phase.due_s:
            self._phase.expire(now_s)
        self._go_on(now_s)
        return self._written()

    def _written(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def _go_on(self, now_s: float) -> None:
        if self.failure:
            return
        if self._phase.failed:
            self._fail(self._phase.failed, now_s)
        elif self._phase.over and not self.done:
            try:
                following = self._after(self._step)
            except ProtocolError as error:
                self._fail(str(error), now_s)
                return
            if following is None:
                self._phase.due_s = None
                self.done = True
                return
            self._step += 1
            self._phase = following
            following.begin(now_s)

    def _sending(self, blocks: list[Block], *, lingering: Control | None = None, anew: bool = False) -> Sending:
        return Sending(blocks, self._out.extend, self._rules, lingering=lingering, anew=anew)

    def _receiving(self, kind: Kind, *, patient: bool = False) -> Receiving:
        return Receiving(kind, self._out.extend, self._rules, patient=patient)

    def _data(self, file: bytes) -> list[Block]:
        size = self._rules.block_bytes
        starts = range(0, max(len(file), 1), size)
        return [Block(Kind.DATA, file[at : at + size], at + size >= len(file)) for at in starts]

    @abstractmethod
    def _first(self) -> Phase:
        """The phase that a session begins with."""

    @abstractmethod
    def _after(self, step: int) -> Phase | None:
        """The phase after phase `step`; None at the end. Raises ProtocolError for a header that ends the session."""

    @abstractmethod
    def _fail(self, reason: str, now_s: float) -> None:
        """The session failed: begin again, or give up."""


class Master(Talk):
    """Asks for the audit; with `file` it sends one instead. Begins again up to `rules.sessions` times.

    Raises ProtocolError(local) for a `comm_id` or a file that cannot be sent.
    """

    def __init__(
        self, *, comm_id: str, on_fault: OnFault, rules: Rules | None = None, file: bytes | None = None
    ) -> None:
        self._header = FirstHeader(comm_id, "R" if file is None else "S").to_block()
        self._file = file
        super().__init__(on_fault=on_fault, rules=rules)
        for block in self._data(file or b""):
            block.to_bytes()

    def _first(self) -> Phase:
        return self._sending([self._header], anew=self.sessions > 0)

    def _after(self, step: int) -> Phase | None:
        if step == 0:
            return self._receiving(Kind.HEADER)
        if step == 1:
            assert isinstance(self._phase, Receiving)
            answer = SecondHeader.from_text(bytes(self._phase.text))
            if answer.response != ACCEPTED:
                self.refused = True
                raise ProtocolError("the machine refuses to talk about its audit")
            if self._file is not None:
                return self._sending(self._data(self._file), lingering=self._phase.acknowledgement)
            return self._receiving(Kind.DATA)
        if isinstance(self._phase, Receiving):
            self.received = bytes(self._phase.text)
        return None

    def _fail(self, reason: str, now_s: float) -> None:
        if self.refused or self.sessions >= self._rules.sessions:
            self.failure = reason
            return
        self.sessions += 1
        self._step = 0
        self._phase = self._first()
        self._phase.begin(now_s)


class Slave(Talk):
    """Hands `file` to whoever asks, or takes one; after a talk that failed it listens again. `response` 00 is yes.

    Raises ProtocolError(local) for a `comm_id` or a file that cannot be sent.
    """

    def __init__(
        self, *, comm_id: str, file: bytes, on_fault: OnFault, rules: Rules | None = None, response: str = ACCEPTED
    ) -> None:
        self._answer = SecondHeader(comm_id, response).to_block()
        self._file = file
        self._asked: FirstHeader | None = None
        super().__init__(on_fault=on_fault, rules=rules)
        for block in self._data(file):
            block.to_bytes()

    def _first(self) -> Phase:
        return self._receiving(Kind.HEADER, patient=True)

    def _after(self, step: int) -> Phase | None:
        if step == 0:
            assert isinstance(self._phase, Receiving)
            self._asked = FirstHeader.from_text(bytes(self._phase.text))
            return self._sending([self._answer], lingering=self._phase.acknowledgement)
        if step == 1:
            assert self._asked is not None
            if self._asked.operation == "S":
                return self._receiving(Kind.DATA)
            return self._sending(self._data(self._file))
        if isinstance(self._phase, Receiving):
            self.received = bytes(self._phase.text)
        return None

    def _fail(self, reason: str, now_s: float) -> None:
        del reason
        called = isinstance(self._phase, Sending) and self._phase.restarted
        self.sessions += 1
        self._step = 0
        self._phase = self._first()
        self._phase.begin(now_s)
        if called:
            self._phase.hear(Control.ENQ, now_s)
