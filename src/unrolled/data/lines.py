"""Lines of UTF-8 text from plain, gzip and xz files, with messages that name the line and the byte.

Only "\\n" ends a line ("\\r\\n" is taken as one): other characters that Unicode counts as line ends may stand in a
text.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import BinaryIO, cast

from unrolled.errors import BadData

BYTE_ORDER_MARK = "\ufeff"
COMPRESSED = (".gz", ".xz")
_TOKEN = re.compile(r"[^ \t\r\n]+")


def read_lines(path: str | Path) -> Iterator[str]:
    """The lines of a file, each with its line end, one at a time. Raises `BadData` for all that is wrong with it."""
    return decode(read_bytes(path), path)


def decode(lines: Iterable[bytes], where: str | Path) -> Iterator[str]:
    """Lines of bytes as text; a byte order mark at the start is dropped."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            hint = " (is the file UTF-16?)" if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
            byte, position = line[error.start], error.start + 1
            raise BadData(f"not UTF-8: byte 0x{byte:02x} at position {position}{hint}", where, number) from None
        if "\0" in text:
            position = line.index(b"\0") + 1
            raise BadData(f"a NUL byte at position {position} (is the file UTF-16 or binary?)", where, number)
        yield text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text


def encode(texts: Iterable[str], where: str | Path) -> Iterator[bytes]:
    """The reverse of `decode`. Raises `BadData` for what could not be read again."""
    first = True
    for text in texts:
        if first and text.startswith(BYTE_ORDER_MARK):
            text = BYTE_ORDER_MARK + text  # reading drops one
        first = first and not text
        if "\0" in text:
            raise BadData(f"cannot write {_start(text)}: it holds a NUL character", where)
        try:
            yield text.encode("utf-8")
        except UnicodeEncodeError as error:
            code = f"U+{ord(text[error.start]):04X}"
            raise BadData(
                f"cannot write {_start(text)}: {code} is half a character (a lone surrogate)", where
            ) from None


def without_end(line: str) -> str:
    """A line without its line end."""
    if line.endswith("\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith("\n") else line


def fits_a_line(text: str) -> bool:
    """Whether a text, written as a line, is read again as it is, and not as a blank line."""
    return "\n" not in text and not text.endswith("\r") and not is_blank(text)


def one_line(what: str, text: str, kind: str) -> str:
    """The text. Raises `BadData` where it does not fit a line. what, kind: of text and of file, for the message."""
    if not fits_a_line(text):
        found = "nothing to read again" if is_blank(text) else "a line break"
        raise BadData(f"cannot write the {what} {text[:40]!r} as {kind}: it holds {found}")
    return text


def is_blank(line: str) -> bool:
    """Whether a line holds nothing but blanks and tabs (and its line end)."""
    return not line.strip(" \t\r\n")


def below_blanks(lines: Iterable[str], above: int = 0) -> Iterator[tuple[int, int, str]]:
    """The lines that are not blank, each with its number, from 1 on, and how many blank ones stand right above it.

    above: blank lines that stand before the first.

    >>> list(below_blanks(["a", "", "", "b", ""], above=1))
    [(1, 1, 'a'), (4, 2, 'b')]
    """
    for number, line in enumerate(lines, 1):
        if is_blank(line):
            above += 1
            continue
        yield number, above, line
        above = 0


def split_blanks(text: str) -> tuple[str, ...]:
    """The parts between blanks, tabs and line ends. Other white space (a no-break space, say) stays inside a part."""
    return tuple(_TOKEN.findall(text))


def suffix(path: str | Path) -> str:
    """A file name's suffix in lower case, with that of a compression taken off: `.tsv` of `train.TSV.gz`."""
    name = PurePath(path)
    return (name.with_suffix("") if name.suffix.lower() in COMPRESSED else name).suffix.lower()


def bare(name: str) -> str:
    """A file's name without the suffix of a compression: `train.tsv` of `train.tsv.gz`."""
    return name[: -len(PurePath(name).suffix)] if PurePath(name).suffix.lower() in COMPRESSED else name


def compress(path: str | Path, content: bytes) -> bytes:
    """The content as the path's suffix asks for; the same bytes each time."""
    kind = PurePath(path).suffix.lower()
    if kind == ".gz":
        return gzip.compress(content, mtime=0)
    return lzma.compress(content) if kind == ".xz" else content


def read_bytes(path: str | Path) -> Iterator[bytes]:
    """The lines of a file as bytes, decompressed. Raises `BadData` for what cannot be opened or decompressed."""
    path = Path(path)
    kind = path.suffix.lower()
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise BadData("there is no such file", path) from None
    except IsADirectoryError:
        raise BadData("a folder where a file is expected", path) from None
    except (OSError, ValueError) as error:
        raise BadData(f"it cannot be read: {getattr(error, 'strerror', None) or error}", path) from None
    number = 0
    with file:
        try:
            for line in _decompressed(file, kind):
                number += 1
                yield line
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
            problem = f"the {kind} file is truncated or damaged after line {number}: {error}"
            raise BadData(problem, path) from None
        except OSError as error:
            raise BadData(f"it cannot be read: {error.strerror or error}", path, number + 1) from None


def _decompressed(file: BinaryIO, kind: str) -> BinaryIO:
    # What decompresses iterates in Python, a buffer before it in C.
    if kind == ".gz":
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=file, mode="rb")))
    return cast(BinaryIO, io.BufferedReader(lzma.LZMAFile(file))) if kind == ".xz" else file


def _start(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
