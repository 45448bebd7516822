"""The audit of a simulated machine over bad lines in memory, and lines that end."""

from __future__ import annotations

import asyncio

import pytest

from device_drivers.errors import ProtocolError, UnavailableError
from device_drivers.eva_dts import Segment, audit_of, parse, read_audit
from device_drivers.eva_dts.phases import Rules
from simulators.conformance.lines import delayed, lossy, noisy, one_byte, perfect
from simulators.conformance.memory_link import MemoryLink
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.eva_dts import AuditPlug

FILE = audit_of(*(Segment("PA1", (str(n), str(n * 5), "TEA")) for n in range(60))).to_bytes()


class Peer:
    def __init__(self) -> None:
        self.plug = AuditPlug(FILE)

    def receive(self, data: bytes) -> bytes:
        now_s = asyncio.get_running_loop().time()
        return b"".join(self.plug.answer(frame, now_s) for frame in self.plug.split(data, now_s))


def deaf(kind, detail):
    pass


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("line", [perfect, one_byte, lossy, delayed, noisy], ids=lambda line: line.__name__)
@in_virtual_time
async def test_the_right_file_arrives(line, seed):
    """This machine repeats nothing by itself: the reader's asking and beginning again is enough."""
    link = MemoryLink(Peer(), line=line, seed=seed)
    data = await read_audit(link, comm_id="ZGG0000001", on_fault=deaf, rules=Rules(sessions=20))
    assert data == FILE
    assert parse(data).remarks == ()
    assert not link.closed


@pytest.mark.parametrize("call", ["read", "write"])
@pytest.mark.parametrize("when_s", [0.0, 0.003, 0.01, 0.02, 0.05])
@in_virtual_time
async def test_a_cable_that_comes_out_at_any_moment(when_s, call):
    link = MemoryLink(Peer(), line=one_byte)
    asyncio.get_running_loop().call_later(when_s, setattr, link, "unplug_on", call)
    with pytest.raises(UnavailableError, match="cable"):
        await read_audit(link, comm_id="ZGG0000001", on_fault=deaf)


@in_virtual_time
async def test_a_caller_who_leaves_leaves_the_link():
    link = MemoryLink(Peer(), line=one_byte)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await read_audit(link, comm_id="ZGG0000001", on_fault=deaf)
    await asyncio.sleep(20.0)
    link.flush()
    assert await read_audit(link, comm_id="ZGG0000001", on_fault=deaf) == FILE


@in_virtual_time
async def test_a_silent_plug_is_given_up_in_its_time():
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(UnavailableError, match="nobody answers"):
        await read_audit(MemoryLink(), comm_id="ZGG0000001", on_fault=deaf)
    assert loop.time() - began_s == pytest.approx(30.0)


@in_virtual_time
async def test_a_name_of_another_length_is_ours():
    with pytest.raises(ProtocolError) as caught:
        await read_audit(MemoryLink(), comm_id="short", on_fault=deaf)
    assert caught.value.side == "local"
