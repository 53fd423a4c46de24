"""Recordings by their files' suffixes: sound, pictures, arrays, each a file of its own (`media/`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unrolled.data.media.base import Medium, Recorded
from unrolled.errors import BadData, UnknownName
from unrolled.lookup import find, names

_PACKAGE = "unrolled.data.media"


def suffixes() -> dict[str, str]:
    """Every file suffix by which a medium is recognised -> the medium's name."""
    return {ending: name for name in names(_PACKAGE, Medium) for ending in find(_PACKAGE, name, Medium, "").suffixes}


def recorded(given: str | Path, beside: str | Path | None = None) -> Recorded:
    """What a file holds.

    Args:
        given: its path.
        beside: of a table that names it, from whose folder on a relative path goes.

    Raises:
        BadData: there is no such file, or it is no recording.
        UnknownName: its suffix is none of a recording.
        MissingExtra: the library that reads it is not installed.
    """
    known = suffixes()
    path = located(given, beside, known, "suffix of a recording")
    return find(_PACKAGE, known[path.suffix.lower()], Medium, "medium")().read(path)


def located(given: str | Path, beside: str | Path | None, known: Iterable[str], kind: str) -> Path:
    """The path of a file that is there, and whose suffix is a known one. given, beside: as `recorded`; kind: of suffix.

    Raises `BadData` and `UnknownName`.
    """
    path = Path(given) if beside is None else Path(beside).parent / given
    ending = path.suffix.lower()
    if ending not in known:
        raise UnknownName(kind, ending, known, str(path))
    if not path.is_file():
        raise BadData("a folder where a file is expected" if path.is_dir() else "there is no such file", path)
    return path
