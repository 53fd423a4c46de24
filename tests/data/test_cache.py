"""What can be made again: where it lies, and that it is made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unrolled.data import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def never() -> Any:
    pytest.fail("it was made again")


def test_a_value_is_made_once_for_all_that_it_depends_on(folder: Path) -> None:
    value = {"symbols": ["ä", "\n"], "counts": [1, 2**40], "scores": {"a": -0.1}}
    assert cache.remembered("values", {"a": 1, "b": [2]}, lambda: value) == value
    assert cache.remembered("values", {"b": [2], "a": 1}, never) == value
    assert cache.remembered("values", {"b": [2], "a": 2}, lambda: 7) == 7
    assert cache.remembered("others", {"a": 1, "b": [2]}, lambda: None) is None
    assert cache.remembered("others", {"a": 1, "b": [2]}, never) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_what_is_damaged_is_made_anew(folder: Path, damage: Callable[[Path], Any]) -> None:
    cache.remembered("values", {}, lambda: [1, 1])
    (path,) = (folder / "values").iterdir()
    damage(path)
    assert cache.remembered("values", {}, lambda: [1, 3]) == [1, 3]


def test_what_cannot_be_kept_is_made_each_time(folder: Path) -> None:
    folder.write_text("a file where a folder would be")
    assert [cache.remembered("values", {}, lambda k=k: k) for k in range(3)] == [0, 1, 2]


def test_what_was_not_made_is_not_kept(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.remembered("values", {}, lambda: 1 / 0)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"UNROLLED_CACHE": "/a/b", "XDG_CACHE_HOME": "/c"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/unrolled"),
        ({"HOME": "/home/ann"}, "/home/ann/.cache/unrolled"),
    ],
)
def test_where_the_cache_is(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("UNROLLED_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cache.folder()) == expected
