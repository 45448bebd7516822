"""Relay boards, sensors and refrigerators as Modbus devices, byte for byte, and what is physical behind them."""

from __future__ import annotations

from random import Random

import pytest

from simulators.hardware.bench import bench_device
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.fridge import DEFROSTING, DOOR_LONG, DRIPPING, NONE, PROBE_BROKEN, TOO_COLD, TOO_WARM, Fridge
from simulators.hardware.modbus import ModbusBus, crc16
from simulators.hardware.modbus_tcp import ModbusTcpLine
from simulators.hardware.modbus_unit import Unit
from simulators.hardware.modbus_units import ClimateSensor, FridgeController, RelayBoard, signed, tenths


def ask(unit: Unit, frame: str) -> str:
    line = ModbusBus({1: unit})
    return b"".join(line.answer(one, 0.0) for one in line.split(bytes.fromhex(frame), 0.0)).hex(" ").upper()


def sealed(body: str) -> str:
    raw = bytes.fromhex(body)
    return (raw + crc16(raw).to_bytes(2, "little")).hex(" ").upper()


def board(bits: int = 0) -> RelayBoard:
    unit = RelayBoard(8)
    unit.relays = [bool(bits >> n & 1) for n in range(8)]
    return unit


# V recomputed and public, S stated by a source, C computed by a stated rule
@pytest.mark.parametrize(
    ("mark", "before", "frame", "reply", "after"),
    [
        ("V", 0x00, "01 05 00 00 FF 00 8C 3A", "01 05 00 00 FF 00 8C 3A", 0x01),
        ("V", 0xFF, "01 05 00 00 00 00 CD CA", "01 05 00 00 00 00 CD CA", 0xFE),
        ("S", 0x00, "01 05 00 01 FF 00 DD FA", "01 05 00 01 FF 00 DD FA", 0x02),
        ("S", 0xFF, "01 05 00 01 00 00 9C 0A", "01 05 00 01 00 00 9C 0A", 0xFD),
        ("S", 0x00, "01 05 00 02 FF 00 2D FA", "01 05 00 02 FF 00 2D FA", 0x04),
        ("S", 0x00, "01 05 00 03 FF 00 7C 3A", "01 05 00 03 FF 00 7C 3A", 0x08),
        ("V", 0x41, "01 01 00 00 00 08 3D CC", "01 01 01 41 91 B8", 0x41),
        ("C", 0x00, "01 0F 00 00 00 08 01 FF BE D5", "01 0F 00 00 00 08 54 0D", 0xFF),
        ("C", 0xFF, "01 0F 00 00 00 08 01 00 FE 95", "01 0F 00 00 00 08 54 0D", 0x00),
        ("C", 0x00, "01 0F 00 00 00 04 01 0F 7E 92", sealed("01 0F 00 00 00 04"), 0x0F),
        ("C", 0x00, "01 0F 00 00 00 04 01 0F B5 CC", "", 0x00),  # a public document prints this wrong sum
        ("V", 0x00, "01 06 00 00 04 D2 0B 57", "01 06 00 00 04 D2 0B 57", 0x00),
    ],
)
def test_golden_relays(mark: str, before: int, frame: str, reply: str, after: int) -> None:
    unit = board(before)
    assert ask(unit, frame) == reply
    assert sum(on << n for n, on in enumerate(unit.relays)) == after


def test_golden_inputs() -> None:
    unit = RelayBoard(8)
    unit.inputs[0] = unit.inputs[6] = True
    assert ask(unit, "01 02 00 00 00 08 79 CC") == sealed("01 02 01 41")


def test_golden_climate() -> None:
    unit = ClimateSensor(lambda: (30.5, 54.6))
    assert ask(unit, "01 04 00 01 00 02 20 0B") == "01 04 04 01 31 02 22 2A CE"


@pytest.mark.parametrize(
    ("unit", "request_body", "reply_body"),
    [
        (RelayBoard(4), "01 05 00 04 FF 00", "01 85 02"),  # the fifth of four
        (RelayBoard(4), "01 05 00 00 00 01", "01 85 03"),  # neither on nor off
        (RelayBoard(4), "01 01 00 00 00 05", "01 81 02"),
        (RelayBoard(4), "01 01 00 00 00 00", "01 81 03"),
        (RelayBoard(4), "01 02 00 04 00 01", "01 82 02"),
        (RelayBoard(4), "01 0F 00 03 00 02 01 03", "01 8F 02"),
        (RelayBoard(4), "01 0F 00 00 00 00 00", "01 8F 03"),
        (RelayBoard(4), "01 04 00 00 00 01", "01 84 01"),  # it has no input registers
        (RelayBoard(4), "01 06 00 02 00 01", "01 86 02"),
        (RelayBoard(4), "01 11", "01 91 01"),  # a function without data
        (RelayBoard(4), "01 16 00 00 00 00", "01 96 01"),
        (ClimateSensor(lambda: None), "01 04 00 00 00 02", "01 84 02"),
        (ClimateSensor(lambda: None), "01 06 01 01 00 02", "01 86 01"),
        (ClimateSensor(lambda: None), "01 04 00 01 00 02", "01 04 04 7F FF 7F FF"),
        (FridgeController(Fridge(lambda: 0.0)), "01 06 00 00 00 01", "01 86 02"),  # what it measures
        (FridgeController(Fridge(lambda: 0.0)), "01 06 00 01 01 2D", "01 86 03"),  # 30.1 °C
        (FridgeController(Fridge(lambda: 0.0)), "01 10 00 01 00 02 04 FF 6A 00 0A", "01 10 00 01 00 02"),
        (FridgeController(Fridge(lambda: 0.0)), "01 10 00 02 00 02 04 00 0A 00 00", "01 90 02"),
        (FridgeController(Fridge(lambda: 0.0)), "01 03 00 00 00 07", "01 83 02"),
    ],
)
def test_exceptions(unit: Unit, request_body: str, reply_body: str) -> None:
    assert ask(unit, sealed(request_body)) == sealed(reply_body)


def test_a_stuck_relay_says_yes_and_does_not_move_and_a_reboot_drops_all() -> None:
    unit = board(0x02)
    unit.stuck.add(0)
    assert ask(unit, "01 05 00 00 FF 00 8C 3A") == "01 05 00 00 FF 00 8C 3A"
    assert unit.relays[:2] == [False, True]
    unit.reboot()
    assert not any(unit.relays)


@pytest.mark.parametrize(("value", "word"), [(30.5, 305), (-0.1, 0xFFFF), (-4000.0, 0x8000), (4000.0, 0x7FFF)])
def test_tenths(value: float, word: int) -> None:
    assert tenths(value) == word
    assert -0x8000 <= signed(word) <= 0x7FFF


# ---------------------------------------------------------------- over TCP


def ask_tcp(frame: str, *, pieces: int = 1000) -> str:
    line, data, replies = ModbusTcpLine({1: board(0x41)}), bytes.fromhex(frame), b""
    for at in range(0, len(data), pieces):
        for one in line.split(data[at : at + pieces], 0.0):
            replies += line.answer(one, 0.0)
    return replies.hex(" ").upper()


@pytest.mark.parametrize("pieces", [1, 5, 1000])
def test_over_tcp_a_reply_has_its_questions_number(pieces: int) -> None:
    asked = "00 07 00 00 00 06 01 01 00 00 00 08" + "00 08 00 00 00 06 63 01 00 00 00 08"
    assert ask_tcp(asked, pieces=pieces) == "00 07 00 00 00 04 01 01 01 41 00 08 00 00 00 03 63 81 0B"


def test_over_tcp_a_header_of_another_protocol_is_noise() -> None:
    assert ask_tcp("AA 00 01 00 07 00 00 00 06 01 01 00 00 00 08") == "00 07 00 00 00 04 01 01 01 41"
    assert ask_tcp("00 07 00 00 00 02 01 01") == "00 07 00 00 00 03 01 81 03"  # a function without its data


@pytest.mark.parametrize("family", ["modbus_rtu", "modbus_tcp"])
def test_the_bench_has_one_of_each(family: str) -> None:
    assert set(bench_device(family).units) == {1, 2, 3, 4}  # type: ignore[attr-defined]


# ---------------------------------------------------------------- the cabinet's air


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def settled() -> tuple[Fridge, Clock]:
    clock = Clock()
    fridge = Fridge(clock, air_c=5.0)
    clock.wait(3600)
    return fridge, clock


def test_a_closed_cabinet_stays_near_its_set_point() -> None:
    fridge, clock = settled()
    seen = []
    for _ in range(600):
        clock.wait(30)
        seen.append(fridge.air_c)
    assert min(seen) >= 3.5
    assert max(seen) <= 6.5


def test_an_open_door_warms_it_up_and_a_closed_one_lets_it_cool() -> None:
    fridge, clock = settled()
    before = fridge.air_c
    fridge.move_door(True)
    clock.wait(300)
    warm = fridge.air_c
    assert warm > before + 4
    assert fridge.compressor_on
    clock.wait(3600)
    assert fridge.air_c < fridge.room_c  # it does what it can
    fridge.move_door(False)
    clock.wait(3600)
    assert fridge.air_c < 8


def test_a_door_that_stays_open_is_told_and_the_warmth_only_with_the_door_closed() -> None:
    fridge, clock = settled()
    fridge.move_door(True)
    clock.wait(119)
    assert not fridge.alarms & DOOR_LONG
    clock.wait(2)
    assert fridge.alarms & DOOR_LONG
    clock.wait(3600)
    assert not fridge.alarms & TOO_WARM
    fridge.room_c = 60.0  # so hot that closing does not help soon
    clock.wait(600)
    fridge.move_door(False)
    clock.wait(890)
    assert not fridge.alarms & (TOO_WARM | DOOR_LONG)
    clock.wait(20)
    assert fridge.alarms & TOO_WARM


def test_too_cold_and_a_broken_probe_are_told() -> None:
    clock = Clock()
    fridge = Fridge(clock, air_c=0.5)
    assert fridge.alarms == TOO_COLD
    fridge.probe_broken = True
    assert fridge.alarms == TOO_COLD | PROBE_BROKEN
    assert ask(FridgeController(fridge), sealed("01 03 00 00 00 01")) == sealed("01 03 02 7F FF")


def test_it_defrosts_after_hours_of_work() -> None:
    clock = Clock()
    fridge = Fridge(clock, set_point_c=-20.0)  # it never gets there, so that it always works
    states = []
    for _ in range(7 * 60):
        clock.wait(60)
        _ = fridge.air_c
        if not states or states[-1] != fridge.defrost:
            states.append(fridge.defrost)
    assert states == [NONE, DEFROSTING, DRIPPING, NONE]


def test_how_often_it_is_looked_at_changes_little() -> None:
    ends = []
    for look_s in (7.0, 600.0, 86_400.0):
        clock = Clock()
        fridge = Fridge(clock, air_c=20.0, set_point_c=-9.0)
        while clock.now_s < 3600:
            clock.wait(min(look_s, 3600 - clock.now_s))
            _ = fridge.air_c
        ends.append(fridge.air_c)
    assert max(ends) - min(ends) < 0.2


def test_the_controller_takes_another_set_point() -> None:
    fridge = Fridge(lambda: 0.0)
    assert ask(FridgeController(fridge), sealed("01 06 00 01 FF 6A")) == sealed("01 06 00 01 FF 6A")
    assert fridge.set_point_c == -15.0


def test_a_bad_line_is_a_plan_here_too() -> None:
    faults = Faults(rng=Random(1), plan=FaultPlan(wrong_addr_p=1.0))
    assert faults.misaddresses()
    line = ModbusTcpLine({1: board()})
    assert line.disguise(bytes.fromhex("00 07 00 00 00 04 01 01 01 41"))[6] == 2
