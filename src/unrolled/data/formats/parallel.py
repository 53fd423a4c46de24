"""Parallel text: two files of which line n of one is the translation of line n of the other, `train.en` and `train.de`.

`columns={"source": "en", "target": "de"}` names the languages, which are the endings of the files; by default they are
`.source` and `.target`. A path is what the names have in common (`data/train`), or the file of the sources. Either file
may be compressed. Where there is no file of targets, or the path names the file of the sources, only sources are read,
to be predicted; training and evaluation read both.

Both files must have as many lines. A line that is empty in one of them alone is a mistake, since nobody can say what
became of its translation; a line that is empty in both is no example, and is kept on writing.

Onto a stream, and into the file of one language (`out.de`), one side is written: the targets, where they are known.
An example has its line there, were it an empty one. A common name (`out`) is written as two files, both or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

from unrolled.data.examples import Example, Origin, Pair
from unrolled.data.formats.base import TextFormat
from unrolled.data.formats.text import BlankLines, PlainText, answer_line
from unrolled.data.lines import COMPRESSED, bare, compress, encode, is_blank, one_line, read_lines, without_end
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.files import locate, must_have_folder, replace_files, write_whole

SIDES = ("source", "target")


class Parallel(TextFormat):
    """Two files, a language each, line by line."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    holds: ClassVar[tuple[type[Example], ...]] = (Pair,)

    @classmethod
    def claims(cls, path: Path, columns: Mapping[str, str]) -> bool:
        if not path.name:
            return False
        path, endings = path.with_name(bare(path.name)), _endings(columns)
        if any(path.name.endswith(ending) or _there(path, ending) for ending in endings):
            return True
        return not path.is_file() and len(languages(path)) > 1

    def _check(self) -> None:
        super()._check()
        source, target = _endings(self.columns)
        if source == target:
            raise BadOption(f"source and target are both {source[1:]!r}")

    def parse(self, lines: Iterator[str], where: str | Path) -> Iterator[Example]:
        return PlainText(Pair).parse(lines, where)

    def render(self, examples: Iterable[Example]) -> Iterator[str]:
        return PlainText(Pair).render(examples)

    def read(self, path: str | Path) -> Iterator[Example]:
        source, target = self._files(Path(path))
        if target is None:
            return super().read(source)
        return self._checked(self._pairs(source, target), path)

    def write(self, path: str | Path, examples: Iterable[Example]) -> None:
        path, examples = Path(path), list(examples)
        side = self._side(path)
        if side is not None:
            lines = _sources(examples) if side == "source" else _targets(examples)
            write_whole(path, compress(path, b"".join(encode(lines, path))))
            return
        must_have_folder(path)
        texts = {self._beside(path, "source"): _sources(examples)}
        if any(isinstance(example, Pair) and example.target is not None for example in examples):
            texts[self._beside(path, "target")] = _targets(examples, again="parallel text")
        contents = {file: compress(file, b"".join(encode(lines, file))) for file, lines in texts.items()}
        replace_files(path.parent, {file.name: content for file, content in contents.items()})

    def _pairs(self, source: Path, target: Path) -> Iterator[Example]:
        blank = number = 0
        for number, (one, other) in enumerate(zip_longest(read_lines(source), read_lines(target)), 1):
            if one is None or other is None:
                raise _uneven(*((source, target) if one is None else (target, source)), number)
            # A look at the first character is quick, and most lines need no other.
            if (one[:1] in " \t\r\n" or other[:1] in " \t\r\n") and (is_blank(one) or is_blank(other)):
                if is_blank(one) and is_blank(other):
                    blank += 1
                    continue
                empty, full = (source, target) if is_blank(one) else (target, source)
                raise BadData(f"an empty line, where {full.name} has a sentence", empty, number)
            rest, blank = BlankLines(blank) if blank else None, 0
            yield Pair(source=without_end(one), target=without_end(other), origin=Origin(source, number), rest=rest)
        if not number:
            raise BadData("the file is empty", source)

    def _side(self, path: Path) -> str | None:
        """The side that a path names by its ending; None for a common name."""
        name, endings = bare(path.name), _endings(self.columns)
        return next((side for side, end in zip(SIDES, endings, strict=True) if name.endswith(end)), None)

    def _beside(self, path: Path, side: str) -> Path:
        """The file of a side for a common name, compressed if that ends so: `a.xz` has `a.en.xz`."""
        name = bare(path.name)
        return path.with_name(name + _endings(self.columns)[SIDES.index(side)] + path.name[len(name) :])

    def _files(self, path: Path) -> tuple[Path, Path | None]:
        """The files of the sources and of the targets. Raises `BadData` or `UnknownName` for what is not there."""
        side, endings = self._side(path), _endings(self.columns)
        if side == "source" and not self.filled:
            return path, None
        start = path.with_name(bare(path.name)) if path.name else path
        if side is not None:
            start = path.with_name(start.name.removesuffix(endings[SIDES.index(side)]))
        if side == "target" and not self.filled:
            raise BadData(f"a file of targets; name that of the sources, {start.name}{endings[0]}", path)
        source, target = (_there(start, ending) for ending in endings)
        if source is None or (target is None and self.filled):
            if path.is_file() and side is None:
                raise BadData(f"the name ends in no language, and there is no {start.name}{endings[0]}", path)
            raise self._missing(start, "source" if source is None else "target")
        return source, target

    def _missing(self, path: Path, side: str) -> BadData | UnknownName:
        """Why there is no file of a side. path: the common name."""
        there, endings = languages(path), _endings(self.columns)
        ending = endings[SIDES.index(side)]
        if not there:
            found = "a folder where a file is expected" if path.is_dir() else "there is no such file"
            return BadData(f"{found}, nor {path.name}{ending}", path)
        if len(there) > 1 and not self.columns.keys() & SIDES:
            problem = f"parallel text in {', '.join(there)}: say which is the source and which the target, as in "
            return BadData(problem + f"--set source={there[0]} --set target={there[1]}", path)
        if side == "target" and [f".{language}" for language in there] == [endings[0]]:
            return BadData(f"it has no counterpart: there is no {path.name}{ending}", f"{path}{endings[0]}")
        return UnknownName("language", ending[1:], there, str(path))


def languages(path: Path) -> list[str]:
    """The endings of the files whose names are this one's, a dot, and an ending that holds none; sorted."""
    try:
        names = [bare(file.name) for file in path.parent.iterdir()]
    except (OSError, ValueError):
        return []
    start = path.name + "."
    endings = {name[len(start) :] for name in names if name.startswith(start)}
    return sorted(ending for ending in endings if ending and "." not in ending)


def _endings(columns: Mapping[str, str]) -> tuple[str, str]:
    return "." + columns.get("source", "source"), "." + columns.get("target", "target")


def _there(path: Path, ending: str) -> Path | None:
    """The file of a language, plain or compressed; None where there is none."""
    names = [f"{path.name}{ending}{compression}" for compression in ("", *COMPRESSED)]
    found = [file for file in (locate(path.parent, name) for name in names) if file.is_file()]
    if len(found) > 1:
        raise BadData(f"both {found[0].name} and {found[1].name} are there; keep one", path)
    return found[0] if found else None


def _sources(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        assert isinstance(example, Pair)
        yield _before(example) + one_line("source", example.source, "parallel text") + "\n"


def _targets(examples: Iterable[Example], again: str | None = None) -> Iterator[str]:
    """again: what the file is, where it is to be read again, so that no line of it may be empty."""
    for example in examples:
        assert isinstance(example, Pair)
        if example.target is None:
            raise example.problem("a pair without target, which a file of targets has no line for")
        line = answer_line(example) if again is None else one_line("target", example.target, again)
        yield _before(example) + line + "\n"


def _before(example: Pair) -> str:
    return "\n" * (example.rest.number if isinstance(example.rest, BlankLines) else 0)


def _uneven(short: Path, long: Path, number: int) -> BadData:
    if number == 1:
        return BadData("the file is empty", short)
    problem = f"the file ends here, and {long.name} has a line {number}: both must have as many"
    return BadData(problem, short, number - 1)
