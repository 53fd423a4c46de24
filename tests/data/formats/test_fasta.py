"""Sequences and their headers, by hand."""

from __future__ import annotations

import io

import pytest

from unrolled.data.examples import LabelledText, Passage
from unrolled.data.formats.fasta import FASTA
from unrolled.errors import BadData, BadOption, UnknownName


def read(content: str, held=LabelledText, columns=None, **options):
    return list(FASTA(held, columns, **options).read_stream(io.BytesIO(content.encode()), "a.fasta"))


def written(examples, columns=None, **options) -> str:
    return b"".join(FASTA(type(examples[0]), columns, **options).write_stream(examples)).decode()


PROTEINS = """\
>P1 Chaperonin GroEL OS=Escherichia coli label=Cytoplasm
MAAKDVKFGN
DARVKMLR

>P2
gvnvLADAVK*
"""


def test_a_sequence_is_the_lines_below_its_header():
    first, second = read(PROTEINS)
    assert first == LabelledText(text="MAAKDVKFGNDARVKMLR", label="Cytoplasm")
    assert second == LabelledText(text="gvnvLADAVK*")
    assert [str(example.origin) for example in (first, second)] == ["a.fasta:1", "a.fasta:5"]


def test_records_are_written_as_they_were_but_for_blank_lines():
    assert written(read(PROTEINS)) == PROTEINS.replace("\n\n", "\n")
    assert written(read(PROTEINS, Passage)) == PROTEINS.replace("\n\n", "\n")


def test_a_sequence_of_no_file_has_a_number_and_sixty_letters_a_line():
    assert written([LabelledText(text="A" * 61, label="x"), LabelledText(text="C")]) == (
        f">1 label=x\n{'A' * 60}\nA\n>2\nC\n"
    )


@pytest.mark.parametrize(
    ("header", "column", "label"),
    [
        ("P1 OS=Homo sapiens OX=9606", "OS", "Homo sapiens"),
        ("P1 OS=Homo sapiens OX=9606", "OX", "9606"),
        ("label=in part x=1", "label", "in part"),
        ("P1 relabel=in", "label", None),
        ("P1 label= OX=1", "label", None),
        ("chr1_77|positive|test", "2", "positive"),
        ("Q9H400 Cell.membrane-U test", "2", "Cell.membrane-U"),
        ("Q9H400", "2", None),
    ],
)
def test_a_label_is_what_a_header_says_of_a_key_or_its_word_of_that_number(header, column, label):
    assert read(f">{header}\nACGT\n", columns={"label": column})[0].label == label


def test_a_prediction_takes_the_place_of_the_label_and_says_how_sure_it_is():
    for header, column, expected in [
        ("P1 label=in OX=1", "label", ">P1 label=out there OX=1 confidence=0.7500"),
        ("P1", "label", ">P1 label=out there confidence=0.7500"),
        ("P1|in|test", "2", ">P1|out|test confidence=0.7500"),
        ("P1", "2", ">P1 out confidence=0.7500"),
    ]:
        label = "out there" if column == "label" else "out"
        (example,) = read(f">{header}\nACGT\n", columns={"label": column})
        predicted = LabelledText(text="ACGT", label=label, probabilities={label: 0.75, "in": 0.25}, rest=example.rest)
        assert written([predicted], {"label": column}) == f"{expected}\nACGT\n"
        assert read(written([predicted], {"label": column}), columns={"label": column}) == [predicted]


def test_several_labels_stand_between_separators():
    content = ">P1 label=nucleus;cytosol\nMAAK\n>P2 label=\nMK\n"
    examples = read(content, label_separator=";")
    assert [example.label for example in examples] == [("nucleus", "cytosol"), ()]
    assert written(examples, label_separator=";") == content
    with pytest.raises(BadData, match=r"^a set of labels where label_separator is None$"):
        written(examples)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (">P1\nACG1T\n", r"a\.fasta:2: '1' at position 4 where a letter of a sequence is expected$"),
        (">P1\nACGT\nAC GT\n", r"a\.fasta:3: ' ' at position 3 where"),
        ("ACGT\n>P1\n", r"a\.fasta:1: 'ACGT' before the first header, which begins with '>'$"),
        (">P1\n>P2\nACGT\n", r"a\.fasta:1: no sequence below the header 'P1'$"),
        (">P1\nACGT\n>P2 last\n", r"a\.fasta:3: no sequence below the header 'P2 last'$"),
    ],
)
def test_what_is_no_sequence_is_named_with_its_line(content, message):
    with pytest.raises(BadData, match=message):
        read(content)


@pytest.mark.parametrize(
    ("example", "columns", "message"),
    [
        (LabelledText(text="AC GT"), {}, r"' ' at position 3 where a letter"),
        (LabelledText(text=""), {}, r"cannot write an empty sequence; its header is '1'"),
        (LabelledText(text="A", label="x y=z"), {}, r"the label 'x y=z' could not be read again from a header"),
        (LabelledText(text="A", label="x\r"), {}, r"the label 'x\\r' could not be read again from a header"),
        (LabelledText(text="A", label="x y"), {"label": "2"}, r"the label 'x y' could not be read again from a header"),
        (LabelledText(text="A", label="x"), {"label": "3"}, r"a header of 1 words has no place for 'x' as word 3: '1'"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(example, columns, message):
    with pytest.raises(BadData, match=message):
        written([example], columns)


def test_columns_are_keys_of_headers():
    with pytest.raises(BadOption, match=r"text=sequence: a file of sequences has no columns"):
        read(">a\nA\n", columns={"text": "sequence"})
    with pytest.raises(BadOption, match=r"'0' can be no key in a header, nor the number of a word of it"):
        read(">a\nA\n", columns={"label": "0"})
    with pytest.raises(UnknownName, match="unknown field 'labels'"):
        read(">a\nA\n", columns={"labels": "x"})
