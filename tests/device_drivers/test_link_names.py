"""Links that a scanner alone is read by: pipes, and keyboards by the name that they give themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.link_url import LinkUrl, open_link, schemes
from device_drivers.scanner.event_device import path_of_input


def test_both_are_schemes() -> None:
    assert {"pipe", "evdev"} <= set(schemes())


@pytest.mark.parametrize(
    ("text", "path", "host"),
    [
        ("pipe:///run/codes", "/run/codes", ""),
        ("pipe:///run/my%20codes", "/run/my codes", ""),
        ("evdev:///dev/input/by-id/usb-X-event-kbd", "/dev/input/by-id/usb-X-event-kbd", ""),
        ("evdev://ACME%20Scanner", "", "ACME Scanner"),  # its case counts
    ],
)
def test_what_an_address_names(text: str, path: str, host: str) -> None:
    url = LinkUrl.parse(text)
    assert (url.path, url.host) == (path, host)


@pytest.mark.parametrize("text", ["pipe://x", "pipe://", "evdev://", "evdev:///", "evdev://a/b", "pipe:///x?y=1"])
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(MisconfiguredError):
        LinkUrl.parse(text)


async def test_a_pipe_is_opened_and_read(tmp_path: Path) -> None:
    fifo = tmp_path / "my codes"
    os.mkfifo(fifo, 0o600)
    link = await open_link(LinkUrl.parse(f"pipe://{str(fifo).replace(' ', '%20')}"))
    descriptor = os.open(fifo, os.O_WRONLY)
    os.write(descriptor, b"690\n")
    assert await link.read() == b"690\n"
    os.close(descriptor)
    link.close()


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    for number, name in enumerate(("AT Keyboard", "ACME Scanner", "Twin", "Twin")):
        (tmp_path / f"event{number}" / "device").mkdir(parents=True)
        (tmp_path / f"event{number}" / "device" / "name").write_text(name + "\n")
    (tmp_path / "event9").mkdir()  # it was pulled out just now
    return tmp_path


def test_a_keyboard_by_its_name(inputs: Path) -> None:
    assert path_of_input("ACME Scanner", names=inputs) == "/dev/input/event1"


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("ACME", UnavailableError, "plugged in"),  # a part of a name is no name
        ("acme scanner", UnavailableError, "plugged in"),
        ("Twin", MisconfiguredError, "by-id"),  # which one?
    ],
)
def test_a_name_that_is_none_or_two(inputs: Path, name: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        path_of_input(name, names=inputs)
