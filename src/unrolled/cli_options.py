"""Options that several commands of the command line have, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from unrolled.errors import BadOption

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="A model's folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option, as often as needed; `unrolled info TASK` lists them."),
]
Reading = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A column or the format of the file, where not as in training."),
]
Data = Annotated[str, typer.Option(metavar="PATH", help="A file, or a folder with a test file.")]


def pairs(options: list[str] | None) -> dict[str, Any]:
    """Of `--set name=value`. Raises `BadOption` for what is not of that form."""
    wrong = [option for option in options or [] if "=" not in option]
    if wrong:
        raise BadOption(f"--set takes name=value, not {wrong[0]!r}")
    return {name.strip(): value for name, value in (option.split("=", 1) for option in options or [])}
