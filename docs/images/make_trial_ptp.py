"""Draw docs/images/trial_ptp.svg from the table of states: `python docs/images/make_trial_ptp.py`.

The words come from `device_drivers/trial_ptp/states.py`; only places and bends stand here. A step without a place, or a
place without a step, is an error.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from device_drivers.trial_ptp.names import HEATED, State
from device_drivers.trial_ptp.states import steps

W, H = 1260, 470
INK, PAPER, SEAL, JADE, SLATE = "#1f2430", "#faf8f4", "#b5341c", "#2f6f4f", "#5b6472"
FONT = "font-family='system-ui, Noto Sans CJK SC, sans-serif'"
BOX_W, BOX_H = 116, 40

PLACES: dict[State, tuple[int, int]] = {
    State.BOOT: (100, 30),
    State.IDLE: (100, 130),
    State.AUTHORIZED: (310, 130),
    State.ARMED: (520, 130),
    State.HEATING: (750, 130),
    State.READY: (920, 130),
    State.PUFFING: (1090, 130),
    State.LOCKED: (100, 270),
    State.PURGE: (520, 390),
    State.COOLDOWN: (770, 390),
    State.FAULT: (1060, 390),
}
HEAT = "heat"  # the frame around the three states in which the heater may be on
Step = tuple[State | str, State]
Point = tuple[int, int]
# From, bend, to; where the words begin, and how they are set.
ROUTES: dict[Step, tuple[Point, Point, Point, Point, str]] = {
    (State.BOOT, State.IDLE): ((156, 70), (156, 100), (156, 128), (164, 104), "start"),
    (State.IDLE, State.AUTHORIZED): ((212, 142), (260, 142), (308, 142), (260, 134), "middle"),
    (State.AUTHORIZED, State.IDLE): ((340, 170), (275, 215), (210, 168), (275, 208), "middle"),
    (State.AUTHORIZED, State.ARMED): ((422, 142), (470, 142), (518, 142), (470, 134), "middle"),
    (State.ARMED, State.IDLE): ((560, 170), (360, 420), (190, 172), (367, 312), "middle"),
    (State.ARMED, State.HEATING): ((632, 142), (690, 142), (748, 142), (676, 134), "middle"),
    (State.ARMED, State.PURGE): ((590, 170), (590, 280), (590, 388), (582, 330), "end"),
    (State.HEATING, State.READY): ((862, 150), (890, 150), (918, 150), (890, 142), "middle"),
    (State.READY, State.PUFFING): ((1010, 130), (1062, 96), (1114, 128), (1062, 106), "middle"),
    (State.PUFFING, State.READY): ((1114, 170), (1062, 204), (1010, 172), (1062, 202), "middle"),
    (State.PUFFING, State.COOLDOWN): ((1130, 170), (1110, 330), (884, 396), (1052, 296), "end"),
    (State.HEATING, State.FAULT): ((840, 170), (870, 330), (1058, 400), (898, 262), "start"),
    (HEAT, State.COOLDOWN): ((795, 220), (795, 300), (795, 388), (787, 300), "end"),
    (HEAT, State.FAULT): ((1146, 220), (1146, 300), (1146, 388), (1154, 284), "start"),
    (State.FAULT, State.COOLDOWN): ((1058, 420), (970, 440), (884, 420), (970, 448), "middle"),
    (State.COOLDOWN, State.PURGE): ((768, 410), (700, 410), (634, 410), (700, 402), "middle"),
    (State.PURGE, State.IDLE): ((518, 410), (262, 430), (180, 172), (400, 424), "middle"),
    (State.IDLE, State.LOCKED): ((116, 170), (116, 220), (116, 268), (110, 226), "end"),
    (State.LOCKED, State.IDLE): ((138, 270), (138, 220), (138, 172), (144, 226), "start"),
}


def words() -> dict[Step, list[str]]:
    """What moves a unit along each arrow. What two or three of the heated states share goes out of their frame."""
    sources: dict[tuple[str, State], list[State]] = defaultdict(list)
    for source, reason, target in steps():
        sources[reason, target].append(source)
    arrows: dict[Step, list[str]] = defaultdict(list)
    for (reason, target), states in sources.items():
        shared = len(HEATED & set(states)) > 1
        if shared:
            arrows[HEAT, target].append(reason)
        for state in states:
            if not (shared and state in HEATED):
                arrows[state, target].append(reason)
    return arrows


def box(state: State) -> str:
    """A state."""
    x, y = PLACES[state]
    colour = SEAL if state in HEATED else JADE if state is State.IDLE else INK
    return (
        f"<rect x='{x}' y='{y}' width='{BOX_W}' height='{BOX_H}' rx='8' fill='white' stroke='{colour}' "
        f"stroke-width='1.5'/><text x='{x + BOX_W // 2}' y='{y + 25}' font-size='13' font-weight='600' "
        f"text-anchor='middle' fill='{colour}' {FONT}>{int(state)} {state.name}</text>"
    )


def arrow(step: Step, reasons: list[str]) -> str:
    """An arrow with its reasons, one a line."""
    (x1, y1), (bx, by), (x2, y2), (x, y), anchor = ROUTES[step]
    lines = "".join(
        f"<text x='{x}' y='{y + 14 * n}' font-size='11' fill='{SLATE}' text-anchor='{anchor}' {FONT}>{reason}</text>"
        for n, reason in enumerate(part for whole in reasons for part in whole.split(", "))
    )
    return (
        f"<path d='M{x1} {y1} Q{bx} {by} {x2} {y2}' fill='none' stroke='{INK}' stroke-width='1.4' "
        f"marker-end='url(#tip)'/>{lines}"
    )


def svg() -> str:
    """The whole picture. Raises ValueError if table and places do not fit."""
    arrows = words()
    if set(arrows) != set(ROUTES):
        raise ValueError(f"table and picture differ: {set(arrows) ^ set(ROUTES)}")
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {W} {H}' role='img' aria-labelledby='t d'>",
        "<title id='t'>States of a trial unit</title>",
        "<desc id='d'>From idle over a token, a chosen sample and a start to heat, and back over cooling and airing. ",
        "An arrow out of the frame around the heated states holds for more than one of them.</desc>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto'>",
        f"<path d='M0 0 L8 4 L0 8 z' fill='{INK}'/></marker></defs>",
        f"<rect width='{W}' height='{H}' fill='{PAPER}'/>",
        f"<rect x='734' y='76' width='486' height='144' rx='12' fill='none' stroke='{SEAL}' stroke-dasharray='5 4'/>",
        f"<text x='746' y='96' font-size='12' fill='{SEAL}' {FONT}>the heater may be on</text>",
        *(arrow(step, reasons) for step, reasons in arrows.items()),
        *(box(state) for state in State),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("trial_ptp.svg").write_text(svg())
