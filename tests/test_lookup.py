from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from unrolled.cells.base import Cell
from unrolled.cells.lstm import LSTM
from unrolled.errors import UnknownName
from unrolled.lookup import find, modules, names


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """Make a package of the given modules, importable for the length of a test; its contract is `Thing`."""
    name = f"things_{request.node.name.replace('[', '_').replace(']', '')}"

    def make(**sources: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for module, source in sources.items():
            (folder / f"{module}.py").write_text(f"from {__name__} import Thing\n{source}")
        monkeypatch.setitem(sys.modules, __name__, sys.modules[Thing.__module__])
        monkeypatch.syspath_prepend(tmp_path)
        return name

    yield make
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        del sys.modules[module]


class Thing(ABC):
    @abstractmethod
    def act(self) -> None: ...


WHOLE = "class {}(Thing):\n    def act(self): pass\n"


def test_a_file_is_found_by_its_name() -> None:
    assert find("unrolled.cells", "lstm", Cell, "cell") is LSTM


def test_each_file_of_the_cells_is_listed_once() -> None:
    files = {path.stem for path in Path(sys.modules[LSTM.__module__].__file__).parent.glob("*.py")}
    listed = names("unrolled.cells", Cell)
    assert set(listed) == files - {"__init__", "base", "elementwise", "initialise"}
    assert list(listed) == sorted(listed)


def test_a_new_file_needs_no_list(package) -> None:
    name = package(spoon=WHOLE.format("Spoon"), fork=WHOLE.format("Fork"))
    assert names(name, Thing) == ("fork", "spoon")
    assert find(name, "spoon", Thing, "thing").__name__ == "Spoon"


def test_what_is_private_abstract_imported_or_of_another_contract_is_no_thing(package) -> None:
    name = package(
        whole=WHOLE.format("Whole"),
        half="class Half(Thing): pass\n",
        imported="from pathlib import Path\n",
        other="class Other: pass\n",
        hidden=WHOLE.format("_Hidden"),
        _private=WHOLE.format("Private"),
    )
    (Path(sys.path[0]) / name / "again.py").write_text(f"from {name}.whole import Whole\n")
    assert names(name, Thing) == ("whole",)
    assert modules(name) == ("again", "half", "hidden", "imported", "other", "whole")


def test_two_things_in_one_file_are_one_too_many(package) -> None:
    name = package(both=WHOLE.format("One") + WHOLE.format("Two"))
    with pytest.raises(TypeError, match="both defines 2 classes of Thing: one a file"):
        names(name, Thing)


@pytest.mark.parametrize(
    "name", ["lstn", "LSTM", "base", "elementwise", "initialise", "", "lstm.LSTM", "../cells/lstm", "os"]
)
def test_an_unknown_name_is_said_to_be_one(name: str) -> None:
    with pytest.raises(UnknownName, match=f"unknown cell {name!r}; (did you mean|there are)") as caught:
        find("unrolled.cells", name, Cell, "cell")
    assert "lstm" in str(caught.value)
    assert caught.value.kind == "cell"
    assert caught.value.known == list(names("unrolled.cells", Cell))


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(UnknownName, match=r"^unknown cell 'lstn'; did you mean 'lstm'\?$"):
        find("unrolled.cells", "lstn", Cell, "cell")
