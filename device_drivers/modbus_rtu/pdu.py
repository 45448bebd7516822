"""What Modbus says, whatever carries it: a function code and its data. RTU and TCP put an address before it.

Layouts from the Modbus Application Protocol: all numbers high byte first, bits low bit first. The house speaks
functions 01 to 06, 0F and 10; a reply of an exception is the function with its top bit set, and a code.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from device_drivers.errors import ProtocolError

READ_COILS, READ_INPUTS, READ_HOLDING, READ_INPUT_REGISTERS = 0x01, 0x02, 0x03, 0x04
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 0x05, 0x06, 0x0F, 0x10
BIT_READS = (READ_COILS, READ_INPUTS)
REGISTER_READS = (READ_HOLDING, READ_INPUT_REGISTERS)
READS = (*BIT_READS, *REGISTER_READS)
WRITES = (WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS)
FUNCTIONS = (*READS, *WRITES)
EXCEPTION_BIT = 0x80

MAX_PDU = 253  # bytes
MAX_READ_BITS = 2000
MAX_READ_REGISTERS = 125
MAX_WRITE_BITS = 1968
MAX_WRITE_REGISTERS = 123
PLACES = 0x10000  # of each kind in one device

EXCEPTIONS = {
    1: "no such function",
    2: "no such address",
    3: "a value that it does not take",
    4: "it failed",
    5: "not yet",
    6: "busy",
    8: "its memory is wrong",
    10: "the gateway has no path",
    11: "nobody answers behind the gateway",
}
PASSING = frozenset({5, 6, 10, 11})  # worth asking again


@dataclass(frozen=True, slots=True)
class Read:
    """Read `count` coils, inputs, holding or input registers from `first` on; `function` says which."""

    function: int
    first: int
    count: int

    def __post_init__(self) -> None:
        if self.function not in READS:
            raise ProtocolError(f"function {self.function} reads nothing", side="local")
        _check_range(self.first, self.count, MAX_READ_BITS if self.function in BIT_READS else MAX_READ_REGISTERS)

    def to_bytes(self) -> bytes:
        return struct.pack(">BHH", self.function, self.first, self.count)

    def data_bytes(self) -> int:
        """How many bytes of values the reply holds."""
        return (self.count + 7) // 8 if self.function in BIT_READS else 2 * self.count

    def reply_head(self) -> bytes:
        return bytes((self.function, self.data_bytes()))

    def reply_bytes(self) -> int:
        return 2 + self.data_bytes()


@dataclass(frozen=True, slots=True)
class WriteCoil:
    """Switch one coil. The reply is the request itself."""

    coil: int
    on: bool

    def __post_init__(self) -> None:
        _check_range(self.coil, 1, 1)

    @property
    def function(self) -> int:
        return WRITE_COIL

    def to_bytes(self) -> bytes:
        return struct.pack(">BHH", WRITE_COIL, self.coil, 0xFF00 if self.on else 0)

    def reply_head(self) -> bytes:
        return self.to_bytes()

    def reply_bytes(self) -> int:
        return 5


@dataclass(frozen=True, slots=True)
class WriteRegister:
    """Write one holding register. The reply is the request itself."""

    register: int
    value: int

    def __post_init__(self) -> None:
        _check_range(self.register, 1, 1)
        _check_values((self.value,))

    @property
    def function(self) -> int:
        return WRITE_REGISTER

    def to_bytes(self) -> bytes:
        return struct.pack(">BHH", WRITE_REGISTER, self.register, self.value)

    def reply_head(self) -> bytes:
        return self.to_bytes()

    def reply_bytes(self) -> int:
        return 5


@dataclass(frozen=True, slots=True)
class WriteCoils:
    """Switch coils from `first` on."""

    first: int
    on: Sequence[bool]

    def __post_init__(self) -> None:
        _check_range(self.first, len(self.on), MAX_WRITE_BITS)

    @property
    def function(self) -> int:
        return WRITE_COILS

    def to_bytes(self) -> bytes:
        packed = pack_bits(self.on)
        return struct.pack(">BHHB", WRITE_COILS, self.first, len(self.on), len(packed)) + packed

    def reply_head(self) -> bytes:
        return struct.pack(">BHH", WRITE_COILS, self.first, len(self.on))

    def reply_bytes(self) -> int:
        return 5


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """Write `values` (16 bit each) to holding registers from `first` on."""

    first: int
    values: Sequence[int]

    def __post_init__(self) -> None:
        _check_range(self.first, len(self.values), MAX_WRITE_REGISTERS)
        _check_values(self.values)

    @property
    def function(self) -> int:
        return WRITE_REGISTERS

    def to_bytes(self) -> bytes:
        count = len(self.values)
        return struct.pack(f">BHHB{count}H", WRITE_REGISTERS, self.first, count, 2 * count, *self.values)

    def reply_head(self) -> bytes:
        return struct.pack(">BHH", WRITE_REGISTERS, self.first, len(self.values))

    def reply_bytes(self) -> int:
        return 5


@dataclass(frozen=True, slots=True)
class Values:
    """The reply to a read: its data bytes as they came."""

    function: int
    data: bytes

    def to_bytes(self) -> bytes:
        return bytes((self.function, len(self.data))) + self.data

    def registers(self) -> tuple[int, ...]:
        """The data as registers."""
        return struct.unpack(f">{len(self.data) // 2}H", self.data)

    def bits(self, count: int) -> tuple[bool, ...]:
        """The first `count` bits of the data."""
        return tuple(bool(self.data[n // 8] >> n % 8 & 1) for n in range(count))


@dataclass(frozen=True, slots=True)
class Written:
    """The reply to a write of many: where and how many."""

    function: int
    first: int
    count: int

    def to_bytes(self) -> bytes:
        return struct.pack(">BHH", self.function, self.first, self.count)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The exception that a device answered to `function`."""

    function: int
    code: int

    def to_bytes(self) -> bytes:
        return bytes((self.function | EXCEPTION_BIT, self.code))

    def __str__(self) -> str:
        return f"exception {self.code} ({EXCEPTIONS.get(self.code, 'of its own')})"


Request = Read | WriteCoil | WriteRegister | WriteCoils | WriteRegisters
Reply = Values | WriteCoil | WriteRegister | Written | Refusal


def pack_bits(bits: Sequence[bool]) -> bytes:
    """Bits as bytes, the first in the lowest place."""
    return sum(bool(bit) << n for n, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")


def request_from_bytes(data: bytes) -> Request:
    """What a host sent. Raises ProtocolError(remote)."""
    if len(data) < 5 or data[0] not in FUNCTIONS:
        raise ProtocolError("no request of a known function")
    try:
        function, first, what = struct.unpack_from(">BHH", data)
        return _request(function, first, what, data[5:])
    except ProtocolError as error:
        raise ProtocolError(str(error)) from None  # here it is the sender's fault


def _request(function: int, first: int, what: int, rest: bytes) -> Request:
    if function in (WRITE_COILS, WRITE_REGISTERS):
        return _many(function, first, what, rest)
    if rest:
        raise ProtocolError(f"{len(rest)} bytes too many for function {function:02X}")
    if function == WRITE_COIL:
        if what not in (0, 0xFF00):
            raise ProtocolError("a coil is switched with FF00 or 0000")
        return WriteCoil(first, what == 0xFF00)
    return WriteRegister(first, what) if function == WRITE_REGISTER else Read(function, first, what)


def _many(function: int, first: int, count: int, data: bytes) -> Request:
    size = (count + 7) // 8 if function == WRITE_COILS else 2 * count
    if not data or len(data) != 1 + size or data[0] != size:
        raise ProtocolError("the count and the bytes of a write differ")
    if function == WRITE_COILS:
        return WriteCoils(first, Values(function, data[1:]).bits(count))
    return WriteRegisters(first, Values(function, data[1:]).registers())


def reply_from_bytes(data: bytes) -> Reply:
    """What a device answered, as far as it can be told without its question. Raises ProtocolError(remote)."""
    function = data[0] & ~EXCEPTION_BIT if data else 0
    if function not in FUNCTIONS:
        raise ProtocolError("no reply of a known function")
    if data[0] & EXCEPTION_BIT:
        if len(data) != 2:
            raise ProtocolError(f"{len(data)} bytes are not an exception")
        return Refusal(function, data[1])
    if function in READS:
        if not 3 <= len(data) <= MAX_PDU or len(data) != 2 + data[1] or (function in REGISTER_READS and data[1] % 2):
            raise ProtocolError("the count and the bytes of a reply differ")
        return Values(function, data[2:])
    if function in (WRITE_COILS, WRITE_REGISTERS):
        if len(data) != 5:
            raise ProtocolError(f"{len(data)} bytes are not a reply of function {function:02X}")
        return Written(*struct.unpack(">BHH", data))
    reply = request_from_bytes(data)
    assert isinstance(reply, WriteCoil | WriteRegister)
    return reply


def read_coils(first: int, count: int) -> Read:
    """Function 01."""
    return Read(READ_COILS, first, count)


def read_inputs(first: int, count: int) -> Read:
    """Function 02."""
    return Read(READ_INPUTS, first, count)


def read_holding(first: int, count: int) -> Read:
    """Function 03."""
    return Read(READ_HOLDING, first, count)


def read_input_registers(first: int, count: int) -> Read:
    """Function 04."""
    return Read(READ_INPUT_REGISTERS, first, count)


def _check_range(first: int, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise ProtocolError(f"{count} values are not in 1..{most}", side="local")
    if not 0 <= first <= PLACES - count:
        raise ProtocolError(f"places {first}+{count} do not exist", side="local")


def _check_values(values: Sequence[int]) -> None:
    if any(not 0 <= value <= 0xFFFF for value in values):
        raise ProtocolError("a register holds 0..65535", side="local")
