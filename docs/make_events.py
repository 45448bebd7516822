"""Write docs/events.md and docs/events.schema.json from contracts/: `python docs/make_events.py`.

A test keeps both current. Run by itself it writes docs/asyncapi.json and docs/asyncapi.md too, for events are part
of what the wire carries.
"""

from __future__ import annotations

import json
from pathlib import Path

from contracts.envelope import event_schemas
from contracts.event_types import EVENT_TYPES, EventData

HEAD = """# Events

Made by `python docs/make_events.py` from [contracts/event_types.py](../contracts/event_types.py);
a test fails when the two differ. Amounts are integer fen, weights grams, durations carry their unit.
The `ledger` lane is never dropped; `telemetry` is bounded and says what it dropped. The envelope around each
is described in [wire.md](wire.md); the same as JSON Schema 2020-12:
[events.schema.json](events.schema.json).

| type | lane | privacy | fields | |
|---|---|---|---|---|
"""


def row(name: str, cls: type[EventData]) -> str:
    """One line of the table."""
    fields = ", ".join(f"`{field}`" for field in cls.__struct_fields__) or "–"
    said = (cls.__doc__ or "").strip().split("\n")[0]
    return f"| `{name}` | {cls.LANE} | {cls.PRIVACY} | {fields} | {said} |"


def document() -> str:
    """The whole page."""
    return HEAD + "\n".join(row(name, cls) for name, cls in sorted(EVENT_TYPES.items())) + "\n"


def schemas() -> str:
    """JSON Schema of every type, by name."""
    return json.dumps(event_schemas(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("events.md").write_text(document())
    Path(__file__).with_name("events.schema.json").write_text(schemas())
    import make_asyncapi

    make_asyncapi.write()
