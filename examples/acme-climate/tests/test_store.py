"""A store's devices in somebody else's tests: real drivers, simulated hardware, no hardware needed."""

import pytest
from device_drivers.capabilities import Door
from device_drivers.errors import UnavailableError


async def test_a_snack_is_taken(lock_board, shelf):
    assert (await lock_board.unlock()).result == "opened"
    lock_board.pull()
    assert await lock_board.door() is Door.OPEN
    before_g = await shelf.stable_g()
    shelf.take("crisps", 2)
    taken_g = before_g - await shelf.stable_g()
    assert abs(taken_g - 2 * 45) < 4
    lock_board.push()
    assert await lock_board.door() is Door.CLOSED


async def test_a_bad_line_costs_answers_never_the_truth(lock_board, faults):
    faults.on("locks", drop_p=0.3, corrupt_p=0.1)
    answers = []
    for _ in range(12):
        try:
            answers.append(await lock_board.door())
        except UnavailableError:
            continue
    assert set(answers) == {Door.CLOSED}


async def test_an_adapter_comes_back(lock_board, faults):
    faults.unplug("locks")
    with pytest.raises(UnavailableError):
        await lock_board.door()
    faults.plug("locks")
    assert await lock_board.answers() is Door.CLOSED
