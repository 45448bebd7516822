"""`docs/soak.md`, each part written by the soak it is of: a part stands between two comments and is replaced whole.

The storm writes its own when it is over; by hand: `python -m tests.processes.report result.json docs/soak.md`.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.processes.run import NO_SMALL_DISK, Result

_WORDS = {
    "kill_store": "SIGKILL of a store's process",
    "kill_broker": "SIGKILL of Mosquitto",
    "kill_bridge": "SIGKILL of a bridge",
    "kill_pages": "SIGKILL of the bridge that shows",
    "stop_bridge": "a bridge told to end, and started again",
    "add_bridge": "a bridge added, if there was room for one",
    "restart_database": "PostgreSQL shut down at once (SIGQUIT) and started",
    "fill_disk": "a store's file system filled to the last byte",
    "pause_store": "a store's process stopped for a while (SIGSTOP)",
    "pause_broker": "Mosquitto stopped for a while",
    "pause_bridge": "a bridge stopped for a while",
    "fell_bridge": "a bridge that ended by itself (no database when it started) and was started again",
    "fell_pages": "the bridge that shows ended by itself (the same) and was started again",
    "did_not_listen": "a process that did not end within 15 s of being told, and was killed",
    "proxy_connections_accepted": "connections made through the bad network",
    "proxy_connections_cut": "connections it cut",
    "proxy_connections_refused": "connections it refused",
    "proxy_connections_unreachable": "connections that found no broker",
}


HEAD = "# The last soak\n\nWritten by `make soak`; not by hand.\n"


def put(document: Path, part: str, text: str) -> None:
    """Write one part of the document: between its comments if it is there, else at the end."""
    begin, end = f"<!-- {part} -->", f"<!-- /{part} -->"
    whole = document.read_text() if document.exists() else HEAD
    block = f"{begin}\n\n{text.strip()}\n\n{end}"
    found, times = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: block, whole, flags=re.DOTALL)
    document.write_text(found if times else f"{whole.rstrip()}\n\n{block}\n")


def storm(result: Result, on: datetime) -> str:
    """The part of the real processes."""
    ledger, telemetry = result.lanes["ledger"], result.lanes["telemetry"]
    lines = [
        "## Real processes",
        "",
        "Real processes on one machine: stores that append at a rate, each behind a TCP proxy that is a bad network;",
        "one Mosquitto; bridges that take in, killed and added while stores send; one that shows; a PostgreSQL server.",
        "A seed decides who is killed, paused, cut off or filled up, and when. Then the faults stop, everything must",
        "arrive, and what the stores were told is compared with what the database holds, event by event.",
        "",
        "| | |",
        "|---|---|",
        f"| date | {on:%Y-%m-%d} |",
        f"| command | `{result.command}` |",
        f"| storm | {result.seconds:.0f} s, load of the machine {result.load:.1f} |",
        f"| Mosquitto's persistence | {'on' if result.persistence else 'off'} |",
        f"| ledger events accepted | {ledger['accepted']} |",
        f"| of them in the cloud, once, in order | {ledger['in_cloud']} |",
        f"| telemetry events accepted | {telemetry['accepted']} |",
        f"| of them in the cloud | {telemetry['in_cloud']} |",
        f"| telemetry declared dropped | {telemetry['declared']} |",
        f"| under way when a store was killed, and in the cloud | {ledger['unknown'] + telemetry['unknown']} |",
        f"| appends refused on the full file system, none of them in the cloud | {result.refused if result.small_disk else NO_SMALL_DISK} |",
        f"| everything had arrived | {result.converged_s:.1f} s after the storm |",
        f"| lost or doubled | {'0' if not result.problems else 'SEE BELOW'} |",
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {_said(name)} | {count} |" for name, count in sorted(result.faults.items())),
    ]
    if result.problems:
        lines += ["", "### Problems", "", *(f"- {problem}" for problem in result.problems)]
    return "\n".join(lines)


def _said(name: str) -> str:
    if name in _WORDS:
        return _WORDS[name]
    whose, _, kind = name.partition("_line_")
    return f"`{kind}` on the line of a {whose}"


if __name__ == "__main__":
    found = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Result)
    put(Path(sys.argv[2]), "storm", storm(found, datetime.now(UTC)))
