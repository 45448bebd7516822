"""Workers that behave as badly as cameras do: `fake_worker.py MODE FILE --config JSON --parent PID`."""

import os
import signal
import sys
import time
from pathlib import Path

mode, notes = sys.argv[1], Path(sys.argv[2])
with notes.open("a") as file:
    file.write(f"{os.getpid()}\n")
life = len(notes.read_text().splitlines())  # the how manieth start this is


def say(*lines: str) -> None:
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


STARTED = '{"kind":"started"}'
IN = '{"kind":"crossing","direction":"in","t_s":1.0}'
HEALTH = '{"kind":"health","fps":5.0,"rss_bytes":1000,"frame_age_s":0.1}'
INTERVAL = (
    '{"kind":"interval","start":"2026-01-01T00:00:00.000Z","end":"2026-01-01T00:01:00.000Z",'
    '"entered":1,"left":0,"frames":300,"skipped":0,"quality":1.0}'
)
if mode == "good" or (mode in ("stall", "crash", "hang", "garbage", "silent") and life > 1):
    say(STARTED, IN, HEALTH, INTERVAL, '{"kind":"code","text":"ZG1.x","format":"QRCode"}')
    time.sleep(600)
if mode == "stall":  # a stuck stream
    say(STARTED)
    time.sleep(600)
if mode == "hang":  # it neither speaks nor goes when asked to
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    say(STARTED)
    time.sleep(600)
if mode == "silent":  # it never even starts
    time.sleep(600)
if mode == "crash":
    say(STARTED)
    os.kill(os.getpid(), signal.SIGSEGV)
if mode == "garbage":  # it talks without a word that counts
    while True:
        say("[h264 @ 0x1] error while decoding", "x" * 100_000, "{}")
        time.sleep(0.02)
if mode == "mixed":
    say(STARTED, "nonsense", IN, "y" * 20_000, '{"kind":"frame"}', IN)
    time.sleep(600)
if mode == "flood":
    say(STARTED, *[IN] * 1000)
    time.sleep(600)
if mode == "refused":
    say('{"kind":"ended","reason":"no such video file"}')
    sys.exit(3)
