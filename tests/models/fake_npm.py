"""Stands in for npm: `fake_npm.py MODE ARCHIVE pack NAME@VERSION … --pack-destination DIR --cache DIR …`."""

import os
import sys
import time
from pathlib import Path

mode, archive, arguments = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
out = Path(arguments[arguments.index("--pack-destination") + 1])
cache = Path(arguments[arguments.index("--cache") + 1])
assert arguments[0] == "pack"
assert "--ignore-scripts" in arguments
data = archive.read_bytes()
if mode == "offline":
    print("npm error code ENOTFOUND", file=sys.stderr)
    print("npm error network request to the registry failed", file=sys.stderr)
    sys.exit(1)
if mode == "silent":
    sys.exit(1)
if mode in ("grow", "hang"):
    cache.mkdir()
    with (cache / "part").open("wb") as file:
        for piece in range(4):
            file.write(data[piece * len(data) // 4 : (piece + 1) * len(data) // 4])
            file.flush()
            (out.parent.parent.parent / "npm.pid").write_text(str(os.getpid()))
            if mode == "hang":
                time.sleep(600)
            time.sleep(0.25)
if mode != "nothing":
    (out / "net-1.2.3.tgz").write_bytes(data)
