"""A cashless reader, from reset to the end of a session: what the driver tells is what the reader's books say."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from device_drivers.errors import DeviceError, RefusedError, UnavailableError
from device_drivers.mdb import CashlessReader, VendReply
from device_drivers.mdb.cashless import BeginSession, PeripheralId, SessionCancelRequest
from device_drivers.mdb.machine import State
from device_drivers.mdb.words import CODINGS
from simulators.conformance.lines import delayed, lossy, noisy, one_byte, perfect
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.mdb_reader import Reader
from tests.device_drivers.mdb_bench import bench

REQUEST, CANCEL, SUCCESS, FAILURE = (bytes((0x01, 0x13, 0x00, sub)) for sub in (0, 1, 2, 3))


async def in_session(line, reader, funds=1000):
    """A driver whose reader has a card on it."""
    driver = CashlessReader(line)
    reader.present(funds)
    await driver.start()
    assert await driver.wait_session(within_s=2.0) == BeginSession(funds)
    return driver


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
@in_virtual_time
async def test_a_whole_session(coding, at_once):
    reader = Reader(at_once=at_once, approval_s=0.0 if at_once else 0.3)
    async with bench({0x10: reader}, coding=coding) as on:
        driver = await in_session(on.line, reader)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("approved", 500)
        assert driver.state is State.APPROVED
        assert await driver.vend_succeeded(item=3) == "charged"
        assert await driver.request_vend(price_minor=300, item=4) == VendReply("approved", 300)
        assert await driver.vend_failed() == "not_charged"
        await driver.end_session()
        assert driver.state is State.ENABLED
        assert reader.charges == [(500, 3)]
        assert (reader.counters["refunds"], driver.unresolved) == (1, 0)
        assert on.peer.adapter.counters["asked_again"] == 0
        assert [fault for fault in on.faults if fault[0] != "timeout"] == []


@in_virtual_time
async def test_a_second_reader_has_its_own_address():
    reader = Reader()
    async with bench({0x60: reader}) as on:
        driver = CashlessReader(on.line, address=0x60)
        config = await driver.start()
        assert (config.level, config.scale, config.decimals) == (3, 1, 2)
        assert await driver.identify() == PeripheralId("SIM", "000000000042", "CASHLESS SIM", 0x0100)
        await driver.disable()
        reader.present(100)
        assert await driver.poll() is None
        with pytest.raises(RefusedError):
            await driver.wait_session(within_s=1.0)
        await driver.enable()
        assert await driver.wait_session(within_s=1.0) == BeginSession(100)


@pytest.mark.parametrize("reader", [Reader(denies=True), Reader(denies=True, at_once=True, approval_s=0.0)])
@in_virtual_time
async def test_a_denied_vend_charges_nothing_and_the_session_goes_on(reader):
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("denied")
        reader.denies = False
        assert (await driver.request_vend(price_minor=500, item=3)).answer == "approved"
        assert await driver.vend_succeeded(item=3) == "charged"
        assert reader.charges == [(500, 3)]


@in_virtual_time
async def test_a_card_with_too_little_on_it_is_denied():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader, funds=400)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("denied")
        await driver.end_session()
        assert await driver.wait_session(within_s=0.5) is None


@in_virtual_time
async def test_an_answer_that_takes_too_long_is_called_off():
    reader = Reader(approval_s=60.0)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("denied")
        assert (on.sent(REQUEST), on.sent(CANCEL)) == (1, 1)
        assert driver.state is State.SESSION_IDLE
        assert reader.charges == []


@in_virtual_time
async def test_an_approval_that_crosses_the_call_off_is_given_back():
    reader = Reader(approval_s=60.0)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)

        def approves_instead(block, is_reply):
            if block.startswith(CANCEL) and not is_reply:
                reader.approval_s = reader._answer_s = 0.0
                return True
            return False

        on.peer.lose = approves_instead
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("denied")
        assert on.sent(FAILURE) == 1
        assert (reader.charges, reader.counters["refunds"]) == ([], 1)


@pytest.mark.parametrize("takes", [False, True])
@in_virtual_time
async def test_a_reader_that_starts_again_with_an_approved_vend_leaves_it_unresolved(takes):
    reader = Reader(takes_on_reset=takes)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert (await driver.request_vend(price_minor=500, item=3)).answer == "approved"
        reader.reboot()
        assert await driver.vend_succeeded(item=3) == "unresolved"
        assert driver.unresolved == 1
        with pytest.raises(RefusedError):
            await driver.request_vend(price_minor=500, item=3)
        assert len(reader.charges) == takes
        reader.present(2000)
        await driver.start()
        assert await driver.wait_session(within_s=1.0) is not None


@in_virtual_time
async def test_a_reader_that_falls_silent_in_a_vend_is_reset_after_five_seconds():
    reader = Reader(approval_s=60.0)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        asyncio.get_running_loop().call_later(1.0, setattr, reader, "silent", True)
        began_s = asyncio.get_running_loop().time()
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("unresolved")
        assert 5.0 <= asyncio.get_running_loop().time() - began_s < 8.0
        assert ("timeout", "the reader 10 is silent for 5 s") in on.faults
        with pytest.raises(UnavailableError):
            await driver.start()
        reader.silent = False
        await driver.start()
        assert driver.state is State.ENABLED
        assert (driver.unresolved, reader.charges) == (1, [])


@pytest.mark.parametrize("what", [SUCCESS, FAILURE])
@pytest.mark.parametrize("lost", ["request", "reply"])
@in_virtual_time
async def test_an_end_that_is_not_acknowledged_is_unresolved_and_not_said_again(lost, what):
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert (await driver.request_vend(price_minor=500, item=3)).answer == "approved"
        on.peer.lose = lambda block, is_reply: block.startswith(what) and is_reply == (lost == "reply")
        end = driver.vend_succeeded(item=3) if what == SUCCESS else driver.vend_failed()
        assert await end == "unresolved"
        with pytest.raises(RefusedError):
            await driver.vend_succeeded(item=3)
        await driver.start()
        assert on.sent(what) == 1
        assert len(reader.charges) == (what == SUCCESS and lost == "reply")


@in_virtual_time
async def test_a_request_that_is_lost_is_not_said_again():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        on.peer.lose = lambda block, is_reply: block.startswith(REQUEST)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("unresolved")
        assert (on.sent(REQUEST), reader.charges) == (1, [])


@in_virtual_time
async def test_a_reader_out_of_sequence_acknowledges_and_is_not_believed():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert (await driver.request_vend(price_minor=500, item=3)).answer == "approved"
        reader.state = "idle"
        assert await driver.vend_succeeded(item=3) == "unresolved"
        assert reader.counters["out_of_sequence"] == 1
        assert (driver.unresolved, reader.charges) == (1, [])


@in_virtual_time
async def test_a_refund_that_fails_is_unresolved():
    reader = Reader(refund_fails=True)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert (await driver.request_vend(price_minor=500, item=3)).answer == "approved"
        assert await driver.vend_failed() == "unresolved"


@in_virtual_time
async def test_a_caller_who_leaves_in_a_vend_cannot_ask_for_another():
    reader = Reader(approval_s=2.0)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await driver.request_vend(price_minor=500, item=3)
        with pytest.raises(RefusedError):
            await driver.request_vend(price_minor=500, item=3)
        await driver.start()
        assert driver.unresolved == 1
        assert (on.sent(REQUEST), reader.charges) == (1, [])


@pytest.mark.parametrize("when_s", [0.1, 0.35, 1.0, 3.0])
@in_virtual_time
async def test_a_cable_that_comes_out_in_a_vend_leaves_it_unresolved(when_s):
    reader = Reader(approval_s=4.0)
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        asyncio.get_running_loop().call_later(when_s, on.link.unplug)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("unresolved")
        assert driver.unresolved == 1


@in_virtual_time
async def test_a_line_that_is_down_before_a_vend_costs_nothing():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        on.link.unplug()
        await asyncio.sleep(0.1)
        with pytest.raises(UnavailableError):
            await driver.request_vend(price_minor=500, item=3)
        assert (driver.state, driver.unresolved) == (State.SESSION_IDLE, 0)


@pytest.mark.parametrize("price", [0, -1, 65535, 10**9])
@in_virtual_time
async def test_a_price_that_cannot_be_said_is_not_asked(price):
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        with pytest.raises(RefusedError):
            await driver.request_vend(price_minor=price, item=3)
        assert on.sent(REQUEST) == 0


@in_virtual_time
async def test_whoever_pays_may_leave():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        reader._queue.append(b"\x04")
        assert await driver.poll() == SessionCancelRequest()
        await driver.end_session()
        assert driver.state is State.ENABLED


@in_virtual_time
async def test_money_is_put_on_a_card_and_cash_is_told_of():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert await driver.revalue(amount_minor=200) == "approved"
        assert reader.funds == 1200
        with pytest.raises(RefusedError):
            await driver.record_cash_sale(price_minor=100, item=1)
        await driver.end_session()
        await driver.record_cash_sale(price_minor=100, item=1)
        assert reader.cash == [(100, 1)]


@in_virtual_time
async def test_a_spoilt_reply_is_asked_for_again():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = CashlessReader(on.line)
        spoilt = []

        def once(reply):
            if len(reply) > 8 and not spoilt:
                spoilt.append(reply)
                return reply[:3] + bytes((reply[3] ^ 4,)) + reply[4:]
            return reply

        on.peer.spoil = once
        await driver.start()
        assert spoilt
        assert on.peer.adapter.counters["asked_again"] == 1


@in_virtual_time
async def test_an_adapter_that_needs_acknowledgements_and_gets_none_is_told():
    reader = Reader()
    async with bench({0x10: reader}, acknowledge=False) as on:
        with pytest.raises(UnavailableError, match="does not stop talking"):
            await CashlessReader(on.line).start()


async def _story(on, reader):
    """Vends until something is unresolved: what was told of each, and how many requests that was."""
    told = []
    driver = CashlessReader(on.line)
    for number in range(1, 13):
        reader.present(1000)
        try:
            if driver.state is not State.SESSION_IDLE:
                await driver.start()
                if await driver.wait_session(within_s=3.0) is None:
                    continue
            reply = await driver.request_vend(price_minor=100, item=number)
            if reply.answer != "approved":
                told.append((number, "not_charged" if reply.answer == "denied" else reply.answer))
                continue
            end = driver.vend_succeeded(item=number) if number % 3 else driver.vend_failed()
            told.append((number, await end))
        except DeviceError:
            continue
    return told


@pytest.mark.parametrize("takes", [False, True])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("line", [perfect, one_byte, lossy, delayed, noisy], ids=lambda line: line.__name__)
@in_virtual_time
async def test_what_is_told_is_what_the_books_say(line, coding, seed, takes):
    """Charged is charged once, not charged is never, and unresolved is one or none: over any line."""
    reader = Reader(takes_on_reset=takes)
    async with bench({0x10: reader}, line=line, seed=seed, coding=coding) as on:
        told = await _story(on, reader)
    booked = [item for _price, item in reader.charges]
    assert len(booked) == len(set(booked))
    for item, end in told:
        if end != "unresolved":
            assert booked.count(item) == (end == "charged"), (item, end)
    if line in (perfect, one_byte):
        assert [end for _, end in told] == ["charged", "charged", "not_charged"] * 4


@pytest.mark.parametrize("late_s", [0.26, 0.3, 0.5, 0.7])
@in_virtual_time
async def test_a_late_acknowledgement_of_a_poll_is_none_of_a_vend(late_s):
    """Every acknowledgement is the same word: the one that comes late must find nobody who waits for another."""
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        assert (await driver.request_vend(price_minor=500, item=3)).answer == "approved"
        on.peer.lose = lambda _block, _is_reply: True
        asyncio.get_running_loop().call_later(late_s, on.link.deliver, b"\x01\x00")
        with pytest.raises(UnavailableError):
            await driver.poll()
        on.peer.lose = lambda block, is_reply: block.startswith(SUCCESS) and not is_reply
        assert await driver.vend_succeeded(item=3) == "unresolved"
        assert reader.charges == []


def loses(*starts: bytes):
    """Loses the reply to the first block that begins with each of these."""
    left = list(starts)

    def lose(block: bytes, is_reply: bool) -> bool:
        found = next((start for start in left if block.startswith(start)), None)
        if found is None or not is_reply:
            return False
        left.remove(found)
        return True

    return lose


@in_virtual_time
async def test_one_lost_reply_after_a_pause_is_no_silence():
    """Nobody asked meanwhile, so the reader was not silent: the vend goes on, and is charged once."""
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        await asyncio.sleep(60.0)  # the customer chooses
        on.peer.lose = loses(REQUEST)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("approved", 500)
        assert driver.state is State.APPROVED
        assert await driver.vend_succeeded(item=3) == "charged"
        assert (reader.charges, driver.unresolved, on.sent(REQUEST)) == ([(500, 3)], 0, 1)
        assert not [detail for _, detail in on.faults if "silent for" in detail]


@pytest.mark.parametrize(("silent_s", "is_lost"), [(4.0, False), (7.0, True)])
@in_virtual_time
async def test_a_reader_is_lost_by_its_silence_while_it_is_asked(silent_s, is_lost):
    """The first question without an answer begins it; any answer ends it."""
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        loop = asyncio.get_running_loop()
        for _ in range(2):  # two silences do not add up
            until_s = loop.time() + silent_s
            on.peer.lose = lambda _block, is_reply, until_s=until_s: is_reply and loop.time() < until_s
            while loop.time() < until_s:
                with suppress(UnavailableError):
                    await driver.poll()
                await asyncio.sleep(0.1)
            await driver.poll()
        assert driver.state is (State.INACTIVE if is_lost else State.SESSION_IDLE)
        assert bool([detail for _, detail in on.faults if "silent for" in detail]) is is_lost


@in_virtual_time
async def test_a_question_whose_caller_left_begins_no_silence():
    reader = Reader()
    async with bench({0x10: reader}) as on:
        driver = await in_session(on.line, reader)
        asking = asyncio.create_task(driver.poll())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(60.0)
        on.peer.lose = loses(REQUEST)
        assert await driver.request_vend(price_minor=500, item=3) == VendReply("approved", 500)
