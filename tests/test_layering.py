"""Imports point down, files and functions stay short: `docs/design.md` says why, this test reads the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src"
PACKAGE = "unrolled"

# Top to bottom. A part may import from the lines below its own, never from its own line, where neighbours stand apart
# by "|". Modules joined by "+" are one part. "." is the package's own `__init__`.
LINES = """
. | __main__
cli+cli_inspect+cli_make+cli_options + console+console_training+console_language+console_doctor + demos | server
api + model + recipe + card + doctor + looking + reporting
training | inspection | export | bundle | hub
tasks
layers | decoding | data | metrics
nn
unroll
kernels
cells
state + lookup + errors + files
"""

LONGEST_FILE, LONGEST_FUNCTION = 400, 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "misc", "common"}


def table(lines: str = LINES) -> dict[str, tuple[int, frozenset[str]]]:
    """Each module or folder of the package: its line, counted from the bottom, and the part that it belongs to."""
    found: dict[str, tuple[int, frozenset[str]]] = {}
    for height, line in enumerate(reversed(lines.strip().splitlines())):
        for part in line.split("|"):
            members = frozenset(part.replace("+", " ").split())
            found.update(dict.fromkeys(members, (height, members)))
    return found


def imports(source: str, module: str, *, is_package: bool, exists: set[str]) -> list[tuple[int, str]]:
    """What a module imports from the package, as (line, full name); `from unrolled import state` is unrolled.state."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if is_package else module.split(".")[:-1]
                above = here[: len(here) - (node.level - 1)]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.append((node.lineno, name if name in exists else base))
    return [(line, name) for line, name in found if name.split(".")[0] == PACKAGE]


def part_of(module: str) -> str:
    """unrolled.data.formats.tsv -> data; unrolled -> "." """
    names = module.split(".")
    return names[1] if len(names) > 1 else "."


def offences(source: str, module: str, *, is_package: bool = False, exists: set[str] | None = None) -> list[str]:
    """Every import of a module that does not point down, said in words."""
    known = table()
    here = part_of(module)
    if here not in known:
        return [f"{module} is on no line of the table in tests/test_layering.py: put it where docs/design.md has it"]
    found = []
    for line, imported in imports(source, module, is_package=is_package, exists=exists or set()):
        there = part_of(imported)
        if there not in known:
            found.append(f"{module}:{line} imports {imported}, which is on no line of the table")
        elif there in known[here][1]:
            continue
        elif known[there][0] == known[here][0]:
            found.append(f"{module}:{line} imports {imported}: {here} and {there} are neighbours, which never meet")
        elif known[there][0] > known[here][0]:
            found.append(f"{module}:{line} imports {imported}, which points up: {there} stands above {here}")
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


MODULES = python_files("src")
EVERYTHING = python_files("src", "tests", "examples", "benchmarks")


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_imports_point_down(path: Path) -> None:
    exists = {module_name(each) for each in MODULES}
    found = offences(path.read_text(), module_name(path), is_package=path.name == "__init__.py", exists=exists)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", EVERYTHING, ids=shown)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    length = len(path.read_text().splitlines())
    assert length <= LONGEST_FILE, f"{shown(path)} has {length} lines, above {LONGEST_FILE}: split it"


@pytest.mark.parametrize("path", EVERYTHING, ids=shown)
def test_a_function_fits_a_screen(path: Path) -> None:
    found = long_functions(path.read_text())
    assert not found, "\n".join(f"{shown(path)}:{problem}" for problem in found)


def long_functions(source: str) -> list[str]:
    return [
        f"{node.lineno}: {node.name} has {length} lines, above {LONGEST_FUNCTION}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_a_module_says_by_its_name_what_it_is(path: Path) -> None:
    found = FORBIDDEN_NAMES & set(module_name(path).split("."))
    assert not found, f"{shown(path)}: the name {found.pop()!r} says nothing; call it after what it does"


def test_there_is_something_to_test() -> None:
    assert "unrolled.cells.lstm" in {module_name(path) for path in MODULES}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("unrolled.layers.recurrent", "from unrolled.unroll import scan\nfrom unrolled import state as states"),
        ("unrolled.cells.gru", "from unrolled.cells.base import Cell\nimport unrolled.errors\nimport torch"),
        ("unrolled.data.formats.tsv", "from unrolled.data.examples import Example\nfrom ..examples import Example"),
        ("unrolled.training.fit", "from . import clip\nfrom .clip import norm"),
        ("unrolled.api", "from unrolled.recipe import Recipe\nfrom unrolled import bundle"),
        ("unrolled.files", "from unrolled.errors import CannotWrite"),
        ("unrolled", "from unrolled.api import train"),
        ("unrolled.cells.gru", "import unrolledish\nfrom . import base\nfrom os import path"),
    ],
)
def test_an_import_that_points_down_is_let_pass(module: str, source: str) -> None:
    exists = {"unrolled.state", "unrolled.bundle", "unrolled.unroll.scan", "unrolled.cells.base"}
    assert offences(source, module, exists=exists, is_package=module == "unrolled") == []


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        (
            "unrolled.cells.gru",
            "\nfrom unrolled.layers.recurrent import Stack",
            "unrolled.cells.gru:2 imports unrolled.layers.recurrent, which points up: layers stands above cells",
        ),
        (
            "unrolled.layers.recurrent",
            "import unrolled.data.examples",
            "unrolled.layers.recurrent:1 imports unrolled.data.examples: layers and data are neighbours, "
            "which never meet",
        ),
        (
            "unrolled.training.fit",
            "def f():\n    from unrolled import bundle",
            "unrolled.training.fit:2 imports unrolled.bundle: training and bundle are neighbours, which never meet",
        ),
        (
            "unrolled.cells.gru",
            "from ..unroll import scan",
            "unrolled.cells.gru:1 imports unrolled.unroll.scan, which points up: unroll stands above cells",
        ),
        (
            "unrolled.api",
            "from unrolled import Tagger",
            "unrolled.api:1 imports unrolled, which points up: . stands above api",
        ),
        (
            "unrolled.state",
            "from .cells.base import Cell",
            "unrolled.state:1 imports unrolled.cells.base, which points up: cells stands above state",
        ),
        (
            "unrolled.things.spoon",
            "",
            "unrolled.things.spoon is on no line of the table in tests/test_layering.py: put it where docs/design.md "
            "has it",
        ),
        (
            "unrolled.api",
            "import unrolled.things.spoon",
            "unrolled.api:1 imports unrolled.things.spoon, which is on no line of the table",
        ),
    ],
)
def test_an_import_that_points_elsewhere_is_named(module: str, source: str, message: str) -> None:
    exists = {"unrolled.bundle", "unrolled.unroll.scan"}
    assert offences(source, module, exists=exists) == [message]


def test_a_function_above_a_screen_is_named() -> None:
    body = "    pass\n" * (LONGEST_FUNCTION - 1)
    assert long_functions(f"def f():\n{body}") == []
    assert long_functions(f"\nasync def f():\n{body}    pass\n") == ["2: f has 61 lines, above 60"]
