"""The processes of a demo: started with their own log, watched, killed on demand, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulators.lifeline import ends_with_us
from zhanggui.errors import UserError

_STOP_WITHIN_S = 10.0
_TAIL_BYTES = 4000


@dataclass(slots=True)
class Child:
    """One process; `kills` counts the SIGKILLs that the story dealt it."""

    name: str
    command: tuple[str, ...]
    log_path: Path
    process: subprocess.Popen[bytes]
    kills: int = 0
    started_s: float = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_words(self) -> str:
        """The end of its log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _TAIL_BYTES))
                return log.read().decode(errors="replace").strip()
        except OSError:
            return ""


@dataclass(slots=True)
class Children:
    """All processes of one demo."""

    folder: Path
    env: Mapping[str, str]
    running: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start `python -m ARGUMENTS…`; its output goes to `logs/NAME.log`."""
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log_path = logs / f"{name}.log"
        command = (sys.executable, "-m", *arguments)
        with log_path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own modules
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
                preexec_fn=ends_with_us(signal.SIGTERM),  # noqa: PLW1509 - no threads run yet when children are started
            )
        child = self.running.get(name)
        if child is None:
            child = Child(name, command, log_path, process)
            self.running[name] = child
        child.process, child.started_s = process, time.monotonic()
        return child

    def kill_and_restart(self, name: str) -> None:
        """SIGKILL, no word of warning, and start it again at once."""
        child = self.running[name]
        child.process.kill()
        child.process.wait()
        child.kills += 1
        self.start(name, child.command[2:])

    def check(self, *, may_end: Sequence[str] = ()) -> None:
        """Raise UserError with its last words if a process has ended that should run."""
        for child in self.running.values():
            code = child.process.poll()
            if code is not None and not (child.name in may_end and code == 0):
                raise UserError(f"{child.name} ended with code {code}:\n{child.last_words() or '(it said nothing)'}")

    async def stop(self, names: Sequence[str] | None = None) -> None:
        """SIGTERM in reverse order of starting, then SIGKILL for who does not listen."""
        chosen = [c for n, c in self.running.items() if names is None or n in names]
        for child in reversed(chosen):
            if child.process.poll() is None:
                child.process.terminate()
                await self._wait(child)

    async def _wait(self, child: Child) -> None:
        deadline_s = time.monotonic() + _STOP_WITHIN_S
        while child.process.poll() is None:
            if time.monotonic() > deadline_s:
                child.process.kill()
                child.process.wait()
                return
            await asyncio.sleep(0.02)
