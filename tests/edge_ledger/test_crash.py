"""SIGKILL at random moments: everything that was acknowledged is there afterwards, and the chain holds."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import CommandAccepted
from edge.ledger import show, verify
from edge.ledger.schema import connect_readonly

ROUNDS = 15


def one_life(path: Path, life_s: float) -> set[int]:
    """Let a child append for about `life_s`, kill it, and return what it was told is durable."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.edge_ledger.appender", str(path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    out = child.stdout.fileno()
    said = b""
    limit_s = time.monotonic() + 60
    while b"ready\n" not in said:
        assert time.monotonic() < limit_s, "the child did not start"
        assert child.poll() is None, "the child died by itself"
        if select.select([out], [], [], 1.0)[0]:
            said += os.read(out, 65536)
    kill_s = time.monotonic() + life_s
    while (left_s := kill_s - time.monotonic()) > 0:
        if select.select([out], [], [], left_s)[0]:
            said += os.read(out, 65536)
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    said += child.stdout.read()
    child.stdout.close()
    lines = said.split(b"\n")[:-1]  # the last line may be torn
    return {int(line) for line in lines if line != b"ready"}


def test_pitfall_19_every_acknowledged_event_survives_sigkill(tmp_path: Path) -> None:
    """No life of the agent ends well, and nothing acknowledged is missing after any of them."""
    path, rng = tmp_path / "ledger.db", random.Random(20)
    promised: set[int] = set()
    for _ in range(ROUNDS):
        promised |= one_life(path, rng.uniform(0.0, 0.12))
        report = verify(path)
        assert report.problems == ()
        connection = connect_readonly(path)
        done = {int(key) for (key,) in connection.execute("SELECT key FROM state WHERE kind='done'")}
        connection.close()
        assert promised <= done  # state outlives what was confirmed and freed
        kept = [decode_data(decode_envelope(row.raw)) for row in show(path, "ledger", limit=1 << 30) if row.raw]
        numbers = [int(e.command) for e in kept if isinstance(e, CommandAccepted)]
        assert len(numbers) == len(set(numbers))
        assert set(numbers) <= done  # events and state became true together
        freed = report.lanes[0].freed_seq
        assert freed + len(kept) == report.lanes[0].tail_seq
    assert promised
