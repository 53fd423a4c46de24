"""The documentation is true: its examples run, its links lead somewhere, and what is made from the code is fresh."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomlkit

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")),
]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def blocks(page: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def loaded(path: Path) -> Any:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are shown on the usual sites."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def examples() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, block in enumerate(blocks(page)):
            if block.startswith((">>>", "# runs")):
                found.append((f"{page.name}-{number}", block))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in LINK.findall(without_code(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: there is no {target}"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target} names no heading"


@pytest.mark.parametrize(("name", "block"), examples(), ids=lambda value: value if "\n" not in value else "")
def test_an_example_runs(name: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    if block.startswith("# runs"):
        exec(compile(block, name, "exec"), {"__name__": name})
        return
    test = doctest.DocTestParser().get_doctest(block, {}, name, None, None)
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)


def test_the_page_of_equations_is_what_the_cells_say():
    made = loaded(ROOT / "docs" / "equations.py")
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "docs/equations.md is stale: make docs"


def test_each_dependency_has_its_reason():
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    reasons = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in reasons.splitlines() if line.startswith("|"))
    for requirement in wanted:
        name = re.split(r"[<>=\[ ]", requirement)[0]
        assert re.search(rf"\b{name}\b", rows), f"docs/dependencies.md does not say what {name} is for"


def test_every_direct_dependency_is_pinned():
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.split(r"[<>=\[ ]", requirement)[0].replace("_", "-")
        assert re.search(rf"^{name}==[\w.]+(;|$)", pins, flags=re.M), f"{name} is not in constraints.txt: make lock"


def test_the_commands_that_are_shown_exist():
    from unrolled.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {str(group.name) for group in app.registered_groups}
    shown = {
        word
        for page in PAGES
        for block in blocks(page, "")
        for word in re.findall(r"(?:^|\| )unrolled ([a-z]+)", block, flags=re.M)
    }
    assert shown
    assert shown <= known


@pytest.mark.parametrize(
    ("name", "package", "laws"),
    [
        ("mgu", "cells", "test_every_cell.py"),
        ("sms", "data/formats", "test_every_format.py"),
        ("digits", "data/tokenisers", "test_every_tokeniser.py"),
    ],
)
def test_what_a_stranger_adds_is_found_and_obeys_the_laws(name: str, package: str, laws: str, tmp_path: Path):
    written = []
    for block in blocks(ROOT / "docs" / "extending.md"):
        first, _, rest = block.partition("\n")
        path = first.removeprefix("# ")
        if Path(path).stem.removeprefix("test_") == name:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(rest, encoding="utf-8")
            written.append(path)
    assert written == [f"src/unrolled/{package}/{name}.py", f"tests/{package}/test_{name}.py"]
    for shared in ("conftest.py", laws):
        shutil.copy(ROOT / "tests" / shared, tmp_path / "tests")
    # The folder beside the package's own is what putting the file into the checkout would be.
    module = f"unrolled.{package.replace('/', '.')}"
    folder = tmp_path / "src" / "unrolled" / package
    (tmp_path / "stranger.py").write_text(f"import {module} as package\n\npackage.__path__.append({str(folder)!r})\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "stranger", "-c", str(ROOT / "pyproject.toml"), "-k", name]
    search = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path / "tests")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    own = (tmp_path / written[1]).read_text(encoding="utf-8").count("\ndef test_")
    assert int(passed[1]) > own, "no law ran on it"


SCRIPTS = [*sorted((ROOT / "docs" / "textbook").glob("*.py")), *sorted((ROOT / "examples").glob("*.py"))]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_page_is_what_its_script_makes(script: Path, tmp_path: Path):
    """The script runs, which asserts what it claims; the page holds its words and code. Of what it prints the words are
    compared: numbers may differ by rounding from machine to machine, and in how many digits fill their columns.
    """
    made = loaded(ROOT / "docs" / "textbook.py")
    copy = tmp_path / script.name
    shutil.copy(script, copy)
    command = [sys.executable, "-W", "error", copy.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert all((script.parent / left.name).exists() for left in tmp_path.iterdir())
    page = script.with_suffix(".md").read_text(encoding="utf-8")
    fresh = made.page(script, done.stdout)
    words = [re.sub(r" *[-+.\de]+", "#", text) for text in (page, fresh)]
    assert words[0] == words[1], "run docs/textbook.py"
