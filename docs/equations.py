"""Write equations.md: what every file in `cells/` says of itself. Run by `make docs`; a test fails when it is stale."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from unrolled.cells.base import Cell
from unrolled.lookup import find, names

PAGE = Path(__file__).with_name("equations.md")
HEAD = """# Equations

Every cell, as its file says it. This page is made from the docstrings in `cells/` by `make docs`.

In all of them `x_t` is the input at step t, `h_t` the hidden state (which is the output), `*` the product of two
vectors element by element, `W x` and `U h` products of a matrix and a vector. `W`, `U`, `b` and `d` are the cell's
`weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`; an index names a block of their rows, in the order of `blocks`.
"""


def page() -> str:
    """The page's text."""
    return "\n".join([HEAD, *(_section(name) for name in names("unrolled.cells", Cell))])


def _section(name: str) -> str:
    cell = find("unrolled.cells", name, Cell, "cell")
    text = inspect.getdoc(sys.modules[cell.__module__]) or ""
    return f"## `{name}`\n\n{text}\n\nSource: [cells/{name}.py](../src/unrolled/cells/{name}.py)\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.name}")
