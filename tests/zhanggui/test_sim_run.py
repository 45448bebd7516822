"""Hardware that is told to stop pulls its plugs: a link left behind could lead to a stranger's terminal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from zhanggui.demo.store import make


def test_sigterm_leaves_no_port_behind(tmp_path: Path):
    hashes = {"amy": "hash", "bo": "hash"}
    demo = make(tmp_path / "demo", broker_url="mqtt://127.0.0.1:1", camera=False, pin_hashes=hashes)
    words = ["sim", "run", demo.store_toml, "--truth", demo.truth_log, "--codes", demo.codes_csv]
    command = [sys.executable, "-m", "zhanggui", *map(str, words), "--control", str(demo.control_socket)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline_s = time.monotonic() + 20
        while not demo.control_socket.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        assert len(list((demo.folder / "dev").iterdir())) == 8
        process.terminate()
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")
    assert list((demo.folder / "dev").iterdir()) == []
