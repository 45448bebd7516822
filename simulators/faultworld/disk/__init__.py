"""A faulty disk under the real SQLite: power cuts, full disks, failing and lying syncs, by plan and seed.

    with FaultyDisk(folder, plan=plan) as disk:        # now every SQLite file directly in `folder` lies on it
        ledger = await Ledger.open(folder / "edge.db", …)   # a plain path will do
        …
        disk.power_cut(random.Random(seed), into=other)     # what a real disk could hold now

The model, and where it comes from. SQLite says what it asks of a disk in "Atomic Commit In SQLite" and "Powersafe
Overwrite" (sqlite.org/atomiccommit.html, /psow.html), its own VFS (os_unix.c) what it asks of the system. A cut

- *keeps* everything that a successful sync of its file covers, and every name that a sync of the folder covers.
  SQLite syncs the folder with the first sync of a new journal or WAL, and when it deletes a journal that counts;
- *may lose* any later write, sector by sector (512 bytes, or as told) and in any order; may leave a sector torn
  inside a write; may leave a file at any size it had since its last sync, with zeros or stale blocks where data did
  not arrive; may undo creations, deletions and renames, the last first;
- *never changes* a byte that nothing wrote since the last sync. For whole files that is what every file system
  promises; for the other bytes of a sector being written it is "powersafe overwrite", which SQLite takes for granted
  on Unix. So a commit in the WAL may share its last sector with the next one. On a medium that spoils whole sectors
  (`powersafe=False`) SQLite has to be told by `psow=0`; it then pads each commit to the sector.

A failed sync leaves unknown how much came down, and the system forgets that the rest still has to: a later sync of the
same file does not bring it down unless it is written again (Linux). A sync that *lies* loses what it confirmed; nobody
can be safe from that, and our guarantee excludes it.

Deterministic: the plan sees every call with its number, and a cut takes its chances from the `Random` it is given.
Every connection that may write has to be opened while the disk stands; subfolders are not part of it.
"""

from simulators.faultworld.disk.faulty import Call, Fault, FaultyDisk, Kind, Plan, no_faults, write_files
from simulators.faultworld.disk.surface import Medium, Mode, Surface
from simulators.faultworld.disk.vfs import UnsupportedSqliteError

__all__ = [
    "Call",
    "Fault",
    "FaultyDisk",
    "Kind",
    "Medium",
    "Mode",
    "Plan",
    "Surface",
    "UnsupportedSqliteError",
    "no_faults",
    "write_files",
]
