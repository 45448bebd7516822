"""`config.reload`: what of a new `store.toml` can take effect while the store runs, and what needs a restart.

fails its checks      nothing changes; the keys that are wrong are told, never their values
identical             nothing is touched at all
only LIVE keys        they are taken over, and the cloud is told what the store looks like now
any other key         the LIVE ones are taken over; the others are named, and wait for a restart
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from edge.commands.records import Result
from edge.config import ConfigError, StoreConfig, load_store, missing_ports, refusal
from edge.sessions.policy import Policy, load_policy

LIVE = frozenset({"name_zh", "name_en", "region", "staff"})
MAX_NAMED_CHARS = 240
log = logging.getLogger("zhanggui.commands")


class Reloader:
    """Owns the question what runs and what is written down. `take_over(config)` makes the live keys true."""

    def __init__(
        self,
        path: Path | None,
        config: StoreConfig,
        *,
        check: Callable[[StoreConfig], Iterator[tuple[str, str]]],
        take_over: Callable[[StoreConfig], Awaitable[None]],
    ) -> None:
        """`check` yields (key, what is wrong) of what would stop the agent at its next start."""
        self._path, self._running, self._check, self._take_over = path, config, check, take_over
        self._policy: Policy = load_policy(config.policy)

    async def reload(self) -> Result:
        """Read the file again and take over what can be. Raises nothing that a file can cause."""
        if self._path is None:
            return Result("failed", "no_file")
        try:
            fresh, policy = await asyncio.to_thread(self._read, self._path)
        except ConfigError as error:
            log.warning("store.toml was not taken over:\n%s", error)
            if not error.keys:
                return Result("failed", "bad_config")
            return Result("failed", "bad_config", {"field": error.keys[0][:200], "problems": len(error.keys)})
        changed = list(_changed(self._running, fresh))
        waiting = [key for key in changed if key.split(".")[0] not in LIVE]
        if policy != self._policy:
            waiting.append("policy")
        live = sorted({key.split(".")[0] for key in changed} & LIVE)
        if live:
            updated = self._running.model_copy(update={key: getattr(fresh, key) for key in live})
            await self._take_over(updated)
            self._running = updated
        found: dict[str, str | int] = {}
        if live:
            found["applied"] = ",".join(live)
        if waiting:
            found["restart_needed"] = _named(waiting)
        return Result("done", "restart_needed" if waiting else "applied" if live else "unchanged", found)

    def _read(self, path: Path) -> tuple[StoreConfig, Policy]:
        fresh = load_store(path)
        known = {bus.port for bus in self._running.bus}  # one that is unplugged just now is no mistake of the file
        absent = [(key, what) for key, what in missing_ports(fresh) if _port(fresh, key) not in known]
        if wrong := [*absent, *self._check(fresh)]:
            raise refusal(path, wrong)
        return fresh, load_policy(fresh.policy)


def _port(config: StoreConfig, key: str) -> str:
    return next(bus.port for bus in config.bus if key == f"bus.{bus.id}.url")


def _changed(old: StoreConfig, new: StoreConfig) -> Iterator[str]:
    """The keys that differ; of a list of named things, which of them."""
    for key in StoreConfig.model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        if isinstance(before, tuple) and isinstance(after, tuple):
            names = _by_name(before), _by_name(after)
            different = sorted(n for n in names[0].keys() | names[1].keys() if names[0].get(n) != names[1].get(n))
            yield from (f"{key}.{name}" for name in different) if different else (key,)
        else:
            yield key


def _by_name(things: tuple[Any, ...]) -> dict[str, Any]:
    return {str(getattr(thing, "id", None) or thing.sku): thing for thing in things}


def _named(keys: list[str]) -> str:
    """As many keys as fit, and how many more there are."""
    text = ""
    for number, key in enumerate(keys):
        more = f"{text},{key}" if text else key
        if len(more) > MAX_NAMED_CHARS:
            return f"{text},+{len(keys) - number}"
        text = more
    return text
