"""Examples from files and into files, the format found by its name or by the file's suffix.

All functions take the same options: `columns`, `features`, `label_separator`, `spacing`, `division` and `filled` are
those of `Format`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from unrolled.data.examples import Example
from unrolled.data.formats.base import Format, Spacing
from unrolled.data.lines import suffix
from unrolled.data.music import DIVISION
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.lookup import find, names

SomeExample = TypeVar("SomeExample", bound=Example)

_PACKAGE = "unrolled.data.formats"
STANDARD_STREAM = "-"


def suffixes() -> dict[str, str]:
    """Every file suffix by which a format is recognised -> the format's name."""
    return {ending: name for name in names(_PACKAGE, Format) for ending in _format(name).suffixes}


def format_name(
    path: str | Path,
    name: str | None = None,
    *,
    before: str | None = None,
    columns: Mapping[str, str] | None = None,
    example_type: type[Example] | None = None,
) -> str:
    """The name of the format: the one given, else by the path's suffix (before `.gz` or `.xz`); plain text for `-`.

    Args:
        path: of a file; or, for a format of several files, how the names of these begin.
        name: of the format, where it is known.
        before: the format of what was read before; taken where the path has a suffix that is usual for it.
        columns: see `Format`; parallel text is recognised by the languages that they name.
        example_type: formats that cannot hold it do not claim the path.

    Raises `UnknownName` where there is none.

    >>> format_name("reviews.tsv.xz"), format_name("words.dat", "conll"), format_name("-")
    ('tsv', 'conll', 'text')
    >>> format_name("test.de", columns={"source": "en", "target": "de"})
    'parallel'
    """
    if name is not None:
        _format(name)
        return name
    if str(path) == STANDARD_STREAM:
        return "text"
    known, ending = suffixes(), suffix(path)
    if before is not None and ending in _format(before).usual:
        return before
    if ending in known:
        return known[ending]
    if claimed := claiming(path, columns=columns, example_type=example_type):
        return claimed[0]
    raise UnknownName("file suffix", ending, known, f"{path}: no format is named")


def claiming(
    path: str | Path,
    name: str | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    example_type: type[Example] | None = None,
) -> list[str]:
    """The names of the formats that claim a path whose suffix tells none. Arguments as `format_name`."""
    return [
        each
        for each in (names(_PACKAGE, Format) if name is None else [name])
        if (example_type is None or example_type in _format(each).holds)
        and (_format(each).gathered or not Path(path).is_dir())
        and _format(each).claims(Path(path), columns or {})
    ]


def format_of(path: str | Path, name: str | None = None, **more: Any) -> type[Format]:
    """The class of that format; see `format_name`."""
    return _format(format_name(path, name, **more))


def for_machines(example_type: type[Example]) -> str:
    """The name of the format that `--json` asks for."""
    kinds = {name: _format(name) for name in names(_PACKAGE, Format)}
    return next(name for name, kind in kinds.items() if kind.machine_readable and example_type in kind.holds)


def stream(
    path: str | Path,
    example_type: type[SomeExample],
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    spacing: Spacing = "blanks",
    division: int = DIVISION,
    filled: bool = False,
) -> Iterator[SomeExample]:
    """A file's examples one at a time, in constant memory unless the file is one document (`Format.streamed`).

    Args:
        path: the file, plain, `.gz` or `.xz`; for parallel text, what the names of the files have in common.
        example_type: which examples to read.
        format: the format's name, where the suffix does not tell.
        columns, features, label_separator, spacing, division, filled: see `Format`.
    """
    try:
        kind = format_of(path, format, columns=columns, example_type=example_type)
    except UnknownName:
        if format is None and not Path(path).exists():
            raise BadData("there is no such file", path) from None
        raise
    try:
        reader = kind(
            example_type,
            columns,
            features,
            label_separator=label_separator,
            spacing=spacing,
            division=division,
            filled=filled,
        )
    except BadOption as error:
        raise BadOption(f"{path}: {error}") from None
    return cast("Iterator[SomeExample]", reader.read(path))


def read(path: str | Path, example_type: type[SomeExample], **options: Any) -> list[SomeExample]:
    """All examples of a file. Options as `stream`."""
    return list(stream(path, example_type, **options))


def read_stream(
    source: Iterable[str] | Iterable[bytes],
    example_type: type[SomeExample],
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    spacing: Spacing = "blanks",
    division: int = DIVISION,
) -> list[SomeExample]:
    """All examples of an open text or binary stream, such as `sys.stdin`; plain text where no format is named."""
    reader = format_of(STANDARD_STREAM, format)(
        example_type, columns, features, label_separator=label_separator, spacing=spacing, division=division
    )
    return cast("list[SomeExample]", list(reader.read_stream(_lines_of_bytes(source))))


def write(
    path: str | Path,
    examples: Iterable[Example],
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    spacing: Spacing = "blanks",
    division: int = DIVISION,
) -> None:
    """Write examples to a file, whole or not at all. The options are those that they were read with.

    Raises `BadData` for examples that the format cannot hold, `CannotWrite` for what the system refuses.
    """
    first, every = _first(examples, path)
    kind = format_of(path, format, columns=columns, example_type=type(first))
    writer = kind(type(first), columns, features, label_separator=label_separator, spacing=spacing, division=division)
    writer.write(path, every)


def write_stream(
    target: IO[Any],
    examples: Iterable[Example],
    *,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    features: Mapping[str, str] | None = None,
    label_separator: str | None = None,
    spacing: Spacing = "blanks",
    division: int = DIVISION,
) -> None:
    """Write examples to an open text or binary stream, such as `sys.stdout`; plain text where no format is named.

    It is UTF-8 whatever the encoding of a text stream is, where that has a binary stream under it.
    """
    kind = format_of(STANDARD_STREAM, format)
    first, every = _first(examples, "standard output")
    target.flush()
    below = getattr(target, "buffer", target)
    writer = kind(type(first), columns, features, label_separator=label_separator, spacing=spacing, division=division)
    for piece in writer.write_stream(every):
        below.write(piece.decode("utf-8") if isinstance(below, io.TextIOBase) else piece)
        below.flush()


def _first(examples: Iterable[Example], where: str | Path) -> tuple[Example, Iterable[Example]]:
    rest = iter(examples)
    for first in rest:
        return first, chain([first], rest)
    raise BadData("there are no examples to write", where)


def _lines_of_bytes(source: Iterable[str] | Iterable[bytes]) -> Iterator[bytes]:
    for line in getattr(source, "buffer", source):
        # What the stream could not decode stands in such a line as half characters; these are its bytes again.
        yield line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line


def _format(name: str) -> type[Format]:
    return find(_PACKAGE, name, Format, "format")
