"""Which machine this is: what binds a ledger to its box, so that a cloned disk is told apart."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from contracts.ids import new_uuid

MACHINE_ID = Path("/etc/machine-id")


def machine_instance(beside: Path, machine_id: Path = MACHINE_ID) -> str:
    """16 hex digits: a hash of the machine's id (the id itself stays private), or a random one kept in `beside`."""
    try:
        known = machine_id.read_text().strip()
    except OSError:
        known = ""
    if not known:
        with contextlib.suppress(FileNotFoundError):
            known = beside.read_text().strip()
    if not known:  # an empty file would be the same machine on every box
        known, made = new_uuid(), beside.with_name(beside.name + ".new")
        with made.open("w") as file:
            file.write(known)
            file.flush()
            os.fsync(file.fileno())
        made.replace(beside)
    return hashlib.sha256(b"zhanggui instance " + known.encode()).hexdigest()[:16]
