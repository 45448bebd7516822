"""Brokers that speak MQTT 5 and 3.1.1 both, side by side over the same topics."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import free_port
from zhanggui.broker import config_text

_EMBEDDED = "import sys; from iotcore import IotCoreBroker; IotCoreBroker(config_path=sys.argv[1]).run_forever()"


@dataclass(frozen=True)
class TwoVersions:
    """Where one broker listens for each version."""

    mqtt5: int
    mqtt311: int


def _embedded(folder: Path) -> tuple[list[str], TwoVersions]:
    ports = TwoVersions(free_port(), free_port())
    old = config_text(ports.mqtt311).partition("[v5.1]")[2]
    file = folder / "broker.toml"
    file.write_text(f"{config_text(ports.mqtt5)}[v4.1]{old.replace('v5-1', 'v4-1').replace('[v5.1.', '[v4.1.')}")
    return [sys.executable, "-c", _EMBEDDED, str(file)], ports


def _mosquitto(folder: Path) -> tuple[list[str], TwoVersions]:
    binary = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("Mosquitto is not installed here")
    port = free_port()
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    return [binary, "-c", str(file)], TwoVersions(port, port)


@pytest.fixture(params=[_embedded, _mosquitto], ids=["embedded", "mosquitto"])
def two_versions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TwoVersions]:
    """A broker of each kind that is here."""
    command, ports = request.param(tmp_path)
    with (tmp_path / "broker.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        for port in {ports.mqtt5, ports.mqtt311}:
            deadline_s = time.monotonic() + 15
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > deadline_s:
                        raise RuntimeError((tmp_path / "broker.log").read_text(errors="replace")) from None
                    time.sleep(0.05)
        yield ports
    finally:
        process.kill()
        process.wait(10)
