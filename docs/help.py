"""Write help.md: the help of every command. Run by `make docs`; a test fails when it is stale."""

from __future__ import annotations

from pathlib import Path

import typer.main

from unrolled.cli import app

PAGE = Path(__file__).with_name("help.md")
WIDTH = 100
HEAD = """# The command line

What `unrolled COMMAND --help` says, made by `make docs`.

Results go to standard output and progress to standard error; `--json` prints results for machines. The exit code is 0
where all is well, 1 where a check failed or a training diverged, and 2 for a mistake of yours, said in one message.
"""


def page() -> str:
    """The page's text."""
    group, width = typer.main.get_command(app), {"terminal_width": WIDTH}
    with group.make_context("unrolled", [], resilient_parsing=True, **width) as above:
        sections = [_section("unrolled", above.get_help())]
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            with command.make_context(name, [], parent=above, resilient_parsing=True, **width) as within:
                sections.append(_section(f"unrolled {name}", within.get_help()))
                for inner, below in getattr(command, "commands", {}).items():
                    with below.make_context(inner, [], parent=within, resilient_parsing=True, **width) as deepest:
                        sections.append(_section(f"unrolled {name} {inner}", deepest.get_help()))
    return "\n".join([HEAD, *sections])


def _section(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## `{title}`\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.name}")
