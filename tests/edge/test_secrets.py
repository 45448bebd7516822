"""What prints itself in a log or a trace shows no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.settings import Settings
from contracts.clock import ManualClock
from edge.config import CloudConfig, StaffConfig
from edge.desk.messages import Ask
from edge.greeting import Greeting
from mqtt_link import BrokerUrl

SECRET = "s3cr3t"


async def _never(*_: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    "holder",
    [
        Ask(id="1", action="release", staff_id="amy", pin=SECRET),
        Ask(id="1", action="member", code=f"ZG1.m1.{SECRET}"),
        StaffConfig(id="amy", name="Amy", pin_hash=SECRET),
        CloudConfig(url=f"mqtt://shop:{SECRET}@host"),
        BrokerUrl.parse(f"mqtt://shop:{SECRET}@host"),
        Settings(database=Path("x"), mqtt_url=f"mqtt://shop:{SECRET}@host"),
        Greeting(
            key=SECRET.encode(),
            start=_never,
            cloud=None,  # type: ignore[arg-type]  # nobody asks it
            tell=lambda *_: None,
            changed=lambda: None,
            tobacco=frozenset(),
            clock=ManualClock(),
        ),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_a_secret_does_not_print_itself(holder: object) -> None:
    assert SECRET not in repr(holder)
    assert SECRET not in str(holder)
    assert type(holder).__name__ in repr(holder) or isinstance(holder, BrokerUrl)
