"""Lines of text from files."""

from __future__ import annotations

import gzip
import lzma

import pytest

from unrolled.data.lines import bare, encode, fits_a_line, read_lines, split_blanks, suffix, without_end
from unrolled.errors import BadData


def test_only_a_line_feed_ends_a_line(file):
    path = file("a.txt", "one\r\ntwo\rtwo\u2028two\x85two\x0ctwo\n\nlast")
    assert list(read_lines(path)) == ["one\r\n", "two\rtwo\u2028two\x85two\x0ctwo\n", "\n", "last"]
    assert [without_end(line) for line in ("a\r\n", "a\n", "a", "a\r", "\n")] == ["a", "a", "a", "a\r", ""]


def test_one_byte_order_mark_is_dropped_and_others_are_text(file):
    assert list(read_lines(file("a.txt", "\ufeff\ufeffone\n\ufefftwo\n"))) == ["\ufeffone\n", "\ufefftwo\n"]
    assert b"".join(encode(["", "\ufeffone\n", "\ufefftwo\n"], "")).decode() == "\ufeff\ufeffone\n\ufefftwo\n"


def test_a_nul_byte_is_named(file):
    with pytest.raises(BadData) as caught:
        list(read_lines(file("a.txt", "one\ntw\0o\n")))
    assert str(caught.value).endswith("a.txt:2: a NUL byte at position 3 (is the file UTF-16 or binary?)")
    with pytest.raises(BadData, match=r"^out: cannot write 'a\\x00': it holds a NUL character$"):
        list(encode(["a\0"], "out"))


@pytest.mark.parametrize("raw", [b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"])
def test_only_strict_utf8_is_taken(file, raw):
    with pytest.raises(BadData, match=rf":2: not UTF-8: byte 0x{raw[0]:02x} at position 3$"):
        list(read_lines(file("a.txt", b"one\nab" + raw + b"\n")))


def test_half_a_character_cannot_be_written():
    with pytest.raises(BadData, match=r"^out: cannot write 'a\\udc80b': U\+DC80 is half a character"):
        list(encode(["fine", "a\udc80b"], "out"))


def test_damage_inside_a_compressed_file_is_named(file):
    content = "".join(f"line {k}\n" for k in range(50_000)).encode()
    for name, raw in (("a.gz", gzip.compress(content)), ("a.xz", lzma.compress(content))):
        damaged = bytearray(raw)
        damaged[len(raw) // 2] ^= 0xFF
        with pytest.raises(BadData, match=rf"{name}: the \.{name[-2:]} file is truncated or damaged after line \d+: "):
            list(read_lines(file(name, bytes(damaged))))


def test_a_name_that_the_system_cannot_take_is_a_mistake():
    with pytest.raises(BadData, match="it cannot be read"):
        list(read_lines("a\0b"))


def test_suffixes_are_those_before_compression():
    assert [suffix(name) for name in ("a.TSV", "b.x/a.tsv.gz", "a.tsv.XZ", "a", "a.gz", ".tsv")] == [
        ".tsv",
        ".tsv",
        ".tsv",
        "",
        "",
        "",
    ]


def test_a_name_is_bare_without_its_compression():
    names = ("a.tsv", "a.tsv.gz", "a.en.XZ", ".gz", "a", "a.gz.xz")
    assert [bare(name) for name in names] == ["a.tsv", "a.tsv", "a.en", ".gz", "a", "a.gz"]


def test_a_text_fits_a_line_if_it_comes_back():
    assert all(fits_a_line(text) for text in ("a", " a ", "a\rb", "\u2028", "\u3000"))
    assert not any(fits_a_line(text) for text in ("", " \t", "a\nb", "a\r", "\r"))


def test_only_blanks_tabs_and_line_ends_separate():
    assert split_blanks(" a\u00a0b \t c\u3000\r\n") == ("a\u00a0b", "c\u3000")
