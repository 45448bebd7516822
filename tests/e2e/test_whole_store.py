"""One pack of cigarettes, from the kiosk to the operators' page: real pages, real agent, real bytes, one browser."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port

pytestmark = pytest.mark.e2e
STAFF_CARD, ADULT_CARD = "000000198801010011", "000000199001010018"
PIN = "2468"
PATIENCE_MS = 20_000


@dataclass(frozen=True)
class Demo:
    operators: str
    store: str
    folder: Path

    def hand(self, *words: str) -> None:
        """Do something to the hardware, as a person would from a second terminal."""
        command = [sys.executable, "-m", "zhanggui", "sim", *words, "--control", str(self.folder / "sim.sock")]
        subprocess.run(command, check=True, capture_output=True, timeout=30)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """`zhanggui demo` as a newcomer starts it, but for the camera."""
    ports, folder = (free_port(), free_port()), tmp_path / "demo"
    words = ["demo", "--no-camera", "--data", str(folder), "--port", str(ports[0]), "--store-port", str(ports[1])]
    process = subprocess.Popen([sys.executable, "-m", "zhanggui", *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        deadline_s = time.monotonic() + 60
        for line in process.stdout:
            assert time.monotonic() < deadline_s
            if "Ctrl-C" in line:
                break
        yield Demo(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", folder)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()


def press(page: Any, word: str) -> None:
    """Press the button that says so, once it is there."""
    page.get_by_role("button").filter(has_text=word).first.click(timeout=PATIENCE_MS)


def sees(page: Any, text: str) -> None:
    """Wait until the page says it."""
    page.get_by_text(text).first.wait_for(timeout=PATIENCE_MS)


def test_tobacco_leaves_only_with_staff_a_release_and_a_proven_adult(demo: Demo, open_page: Any):
    staff = open_page(f"{demo.store}/staff?lang=en", width=1024)
    kiosk = open_page(f"{demo.store}/kiosk/T1?lang=en", width=390)
    sees(kiosk, "No colleague is here")

    staff.get_by_text("Amy").first.click(timeout=PATIENCE_MS)
    staff.keyboard.type(PIN)
    staff.keyboard.press("Enter")
    press(staff, "Read my card")
    demo.hand("card", STAFF_CARD)
    sees(staff, "Known today")
    demo.hand("card", "-")

    press(kiosk, "Door 1")
    kiosk.wait_for_timeout(500)
    assert kiosk.get_by_text("Sample cigarettes").count() == 0  # T12: nothing is named before the proof
    demo.hand("card", ADULT_CARD)
    sees(kiosk, "Sample cigarettes A")
    demo.hand("card", "-")
    press(kiosk, "Ask a colleague")

    sees(staff, "Proven adult")
    staff.wait_for_timeout(1000)  # a stray tap in the first moment releases nothing
    press(staff, "Release")
    sees(staff, "Releasing needs your PIN again")
    staff.keyboard.type(PIN)
    staff.keyboard.press("Enter")

    sees(kiosk, "unlocked")
    demo.hand("open", "T1-1")
    demo.hand("take", "T1-1s", "690101", "1")
    demo.hand("close", "T1-1")
    sees(kiosk, "Thank you")
    sees(kiosk, "¥25.00")

    operators = open_page(f"{demo.operators}/store/demo/s001?lang=en")
    sees(operators, "¥25.00")
    sees(operators, "19/30")
