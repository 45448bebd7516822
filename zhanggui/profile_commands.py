"""`zhanggui device profile …`: Modbus devices of one's own as a TOML file, checked before a store uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zhanggui.errors import UserError

app = typer.Typer(no_args_is_help=True)


@app.command(epilog="Example:  zhanggui device profile check my-fridge.toml")
def check(
    profile: Annotated[str, typer.Argument(metavar="FILE", help="The profile, or the name of a shipped one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Check a profile: each problem with its field and the fix, exit 2; or what it holds and which kinds it serves."""
    from device_drivers.errors import MisconfiguredError
    from device_drivers.modbus_rtu import load_profile, read_profile
    from device_drivers.modbus_rtu.profile import shipped_names
    from edge.config.profiles import kinds_of

    try:
        found = load_profile(profile) if profile in shipped_names() else read_profile(Path(profile))
    except MisconfiguredError as error:
        raise UserError(str(error)) from error
    kinds = kinds_of(found)
    if as_json:
        print(
            json.dumps({
                "profile": found.name, "title": found.device.title, "title_zh": found.device.title_zh,
                "template": found.device.template, "values": sorted(found.values),
                "commands": sorted(found.commands), "kinds": kinds,
            }, ensure_ascii=False, indent=2)
        )  # fmt: skip
        return
    print(f"{found.name}: {found.device.title} / {found.device.title_zh}")
    print(f"{len(found.values)} values: {', '.join(found.values)}")
    if found.commands:
        print(f"commands: {', '.join(found.commands)}")
    print(f"serves kind = {', '.join(kinds)}" if kinds else "serves no kind: none of them finds all that it needs")
    if found.device.template:
        print("a template: its addresses are an example; copy it, fill them in, and set template = false")


@app.command(epilog="Example:  zhanggui device profile schema")
def schema() -> None:
    """Print the JSON Schema of a profile, for an editor that completes TOML."""
    from device_drivers.modbus_rtu.profile import json_schema

    print(json.dumps(json_schema(), ensure_ascii=False, indent=2))
