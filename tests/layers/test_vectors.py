"""Vector files: what is found, in which case, and what is said of files that are not what they should be."""

from __future__ import annotations

import gzip
import lzma
import tracemalloc

import pytest
import torch

from unrolled.errors import BadData
from unrolled.layers.vectors import LONGEST_LINE, load_vectors

GLOVE = "the 0.5 -1 2e-1\n, 1 1 1\nParis 3 2 1\nparis 9 9 9\n"


def written(folder, text, name="vectors.txt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_glove_rows_stand_in_the_order_of_the_symbols(tmp_path):
    rows, found = load_vectors(written(tmp_path, GLOVE), ["Paris", "xyzzy", "the"])
    assert rows.dtype == torch.float32
    assert torch.equal(rows, torch.tensor([[3, 2, 1], [0, 0, 0], [0.5, -1, 0.2]]))
    assert found.tolist() == [True, False, True]


def test_a_header_line_is_no_vector(tmp_path):
    # fastText ends its lines with a blank, word2vec does not.
    path = written(tmp_path, "2 3\nthe 1 2 3 \n2 4 5 6\n", "wiki.vec")
    rows, found = load_vectors(path, ["2", "the"])
    assert rows.tolist() == [[4, 5, 6], [1, 2, 3]]
    assert found.all()


@pytest.mark.parametrize("order", [("the 1\nTHE 2\n"), ("THE 2\nthe 1\n")])
def test_a_symbols_own_case_comes_before_its_lower_case(tmp_path, order):
    rows, found = load_vectors(written(tmp_path, order), ["THE", "The", "the"])
    assert rows[:, 0].tolist() == [2, 1, 1]
    assert found.all()


def test_a_lower_case_symbol_does_not_take_another_case(tmp_path):
    _, found = load_vectors(written(tmp_path, "Paris 1 2\n"), ["paris"])
    assert not found.any()


def test_of_two_lines_with_one_word_the_first_counts(tmp_path):
    rows, _ = load_vectors(written(tmp_path, "a 1 1\na 2 2\n"), ["a", "A"])
    assert rows.tolist() == [[1, 1], [1, 1]]


def test_a_word_may_have_blanks_inside(tmp_path):
    text = "the 1 2\n. . . 3 4\nat name@domain.com 5 6\n\xa0 7 8\n"
    rows, found = load_vectors(written(tmp_path, text), [". . .", "at name@domain.com", "at", "\xa0"])
    assert rows.tolist() == [[3, 4], [5, 6], [0, 0], [7, 8]]
    assert found.tolist() == [True, True, False, True]


@pytest.mark.parametrize("ending", ["\r\n", "\n\n"])
def test_line_ends_of_other_systems_and_empty_lines_do_no_harm(tmp_path, ending):
    rows, found = load_vectors(written(tmp_path, GLOVE.replace("\n", ending)), ["the", ","])
    assert found.all()
    assert rows[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("name", "pack"), [("v.txt.gz", gzip.compress), ("v.txt.xz", lzma.compress)])
def test_compressed_files_are_read_as_they_are(tmp_path, name, pack):
    rows, _ = load_vectors(written(tmp_path, pack(GLOVE.encode()), name), ["Paris"])
    assert rows.tolist() == [[3, 2, 1]]


@pytest.mark.parametrize(("name", "pack"), [("v.txt.gz", gzip.compress), ("v.txt.xz", lzma.compress)])
def test_a_compressed_file_that_was_cut_off_is_said_so(tmp_path, name, pack):
    path = written(tmp_path, pack(GLOVE.encode() * 1000)[:-30], name)
    with pytest.raises(BadData, match=rf"{name}:\d+: damaged or cut off \("):
        load_vectors(path, ["Paris"])


def test_a_file_that_only_claims_to_be_compressed_is_said_so(tmp_path):
    for name in ("v.gz", "v.xz"):
        with pytest.raises(BadData, match=rf"{name}:1: damaged or cut off"):
            load_vectors(written(tmp_path, GLOVE, name), ["Paris"])


BAD = [
    ("", None, r"vectors\.txt: no vectors: the file is empty"),
    ("0 3\n", None, r"vectors\.txt: no vectors after the first line"),
    ("the\n", None, r"vectors\.txt:1: a word without values"),
    ("the 1 2\na 1\n", None, r"vectors\.txt:2: 1 values where 2 are expected"),
    ("the 1 2\na 1 2 3\n", None, r"vectors\.txt:2: 3 values where 2 are expected"),
    ("the 1 2 3\na 1 2\n", None, r"vectors\.txt:2: 2 values where 3 are expected"),
    ("the 1 2\nParis 1 x\n", None, r"vectors\.txt:2: value 2 is 'x', not a number"),
    ("the 1 2\nParis nan 1\n", None, r"vectors\.txt:2: value 1 is nan, not a finite number"),
    ("the 1 2\nParis 1 1e99\n", None, r"vectors\.txt:2: value 2 is 1e\+99, not a finite number"),
    (b"the 1 2\n\xff\xfe 1 2\n", None, r"vectors\.txt:2: the word is not valid UTF-8 \(byte 1 of the line\)"),
    ("the 1 2\n", 3, r"vectors\.txt:1: vectors of 2 values where 3 are wanted"),
    ("1 2\nthe 1 2\n", 3, r"vectors\.txt:1: vectors of 2 values where 3 are wanted"),
    ("3 2\nthe 1 2\n", None, r"vectors\.txt: 1 vectors where the first line announces 3 \(cut off\? else correct"),
    (b"x" * (LONGEST_LINE + 1), None, r"vectors\.txt:1: a line of more than 1048576 bytes is no vector"),
]


@pytest.mark.parametrize(("text", "features", "message"), BAD)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, features, message):
    with pytest.raises(BadData, match=message):
        load_vectors(written(tmp_path, text), ["the", "Paris"], features=features)


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(BadData, match=r"none\.txt: cannot be read: No such file"):
        load_vectors(tmp_path / "none.txt", ["the"])


def test_memory_is_that_of_the_result(tmp_path):
    line = " ".join(["0.123456"] * 100)
    path = written(tmp_path, "".join(f"word{k} {line}\n" for k in range(20_000)))
    assert path.stat().st_size > 18_000_000
    tracemalloc.start()
    load_vectors(path, ["word3", "word19999"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
