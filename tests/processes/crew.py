"""The processes of a run: started each in its own group, killed, paused, and gone when the run is, however it ends."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.lifeline import ends_with_us


@dataclass(slots=True)
class Member:
    """One process, and how to start it again."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    user: pwd.struct_passwd | None
    death: signal.Signals
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    wanted: bool = True  # False while a fault, or the end of the run, wants it dead

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


@dataclass(slots=True)
class Crew:
    """All processes of one run. Leaving it kills whatever still lives, with the whole group of each."""

    folder: Path
    members: dict[str, Member] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members.values():
            self._signal(member, signal.SIGKILL)
        for member in self.members.values():
            if member.process is not None:
                member.process.wait(10)
        for clear_up in self.afterwards:
            clear_up()

    def enlist(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: pwd.struct_passwd | None = None,
        death: signal.Signals = signal.SIGKILL,
    ) -> Member:
        """Start a process; its output goes to `logs/NAME.log`. `death` is what it gets when we die."""
        member = self.members[name] = Member(name, argv, env or {}, user, death)
        self.start(name)
        return member

    def start(self, name: str) -> None:
        """Start it again; `{life}` in its arguments is how often it was started before."""
        member = self.members[name]
        assert not member.alive, name
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            member.process = subprocess.Popen(
                [part.replace("{life}", str(member.lives)) for part in member.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **member.env},
                user=member.user.pw_uid if member.user else None,
                group=member.user.pw_gid if member.user else None,
                extra_groups=[] if member.user else None,
                start_new_session=True,
                preexec_fn=ends_with_us(member.death),  # noqa: PLW1509 - one call of libc
            )
        member.lives += 1
        member.wanted = True

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, by default with no word of warning, and wait until it is gone."""
        member = self.members[name]
        member.wanted = False
        if not member.alive:
            return
        os.kill(member.pid, signal.SIGCONT)  # a paused one would not hear any other signal
        os.kill(member.pid, how)
        assert member.process is not None
        try:
            member.process.wait(15)
        except subprocess.TimeoutExpired:
            self.counters["did_not_listen"] += 1
        self._signal(member, signal.SIGKILL)
        member.process.wait(10)

    def pause(self, name: str) -> None:
        """It stands still and knows nothing of it."""
        self._signal(self.members[name], signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """It runs again."""
        self._signal(self.members[name], signal.SIGCONT)

    def fallen(self) -> list[str]:
        """Who has ended without being told."""
        return [m.name for m in self.members.values() if m.wanted and not m.alive]

    def last_words(self, name: str, size_bytes: int = 2000) -> str:
        """The end of its log."""
        return (self.folder / "logs" / f"{name}.log").read_bytes()[-size_bytes:].decode(errors="replace")

    @staticmethod
    def _signal(member: Member, what: signal.Signals) -> None:
        if member.alive:
            os.killpg(member.pid, what)


async def until(condition: Callable[[], bool], what: str, *, within_s: float, every_s: float = 0.1) -> float:
    """Wait for what only the outside knows; how long it took. Raises TimeoutError with `what`."""
    start_s = time.monotonic()
    while not condition():
        if time.monotonic() - start_s > within_s:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        await asyncio.sleep(every_s)
    return time.monotonic() - start_s
