"""Reads of a sequencing machine and their qualities, by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from unrolled.data.examples import LabelledText, Passage
from unrolled.data.formats.fastq import FASTQ
from unrolled.errors import BadData


def read(content: str, held=LabelledText, **options):
    return list(FASTQ(held, **options).read_stream(io.BytesIO(content.encode()), "a.fq"))


def written(examples) -> str:
    return b"".join(FASTQ(type(examples[0])).write_stream(examples)).decode()


# A quality may begin with '@' or '+': lines are told by their number alone.
READS = "@r.1 label=host\nACGTN\n+\n@II9!\n@r.2\nGGG\n+\n+++\n"


def test_a_record_is_four_lines_and_comes_back_as_it_was():
    examples = read(READS)
    assert examples == [LabelledText(text="ACGTN", label="host"), LabelledText(text="GGG")]
    assert [example.origin.line for example in examples] == [1, 5]
    assert written(examples) == READS
    assert written(read(READS, Passage)) == READS


def test_the_header_may_stand_behind_the_plus():
    assert written(read("@r.1 x\nA\n+r.1 x\nI\n")) == "@r.1 x\nA\n+\nI\n"


def test_a_sequence_without_qualities_has_the_lowest():
    assert written([LabelledText(text="ACG")]) == "@1\nACG\n+\n!!!\n"
    assert written([replace(read(READS)[1], text="GG")]) == "@r.2\nGG\n+\n!!\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (">r\nA\n+\nI\n", r"a\.fq:1: '>r' where a header is expected, which begins with '@'$"),
        ("@r\nA\n+\n", r"a\.fq:1: the file ends within the record that begins here: '@r'$"),
        ("@r\nA1\n+\nII\n", r"a\.fq:2: '1' at position 2 where a letter of a sequence is expected$"),
        ("@r\nAC\nGT\nIIII\n", r"a\.fq:3: 'GT' where '\+' is expected, alone or with the header$"),
        ("@r\nA\n+q\nI\n", r"a\.fq:3: '\+q' where"),
        ("@r\nAC\n+\nI\n", r"a\.fq:4: 1 qualities for 2 letters$"),
        ("@r\n\n+\n\n", r"a\.fq:4: 0 qualities for 0 letters$"),
        ("@r\nAC\n+\nI \n", r"a\.fq:4: ' ' at position 2 is no quality$"),
        ("@r\nA\n+\nI\n\n@q\nAC\n+\nI\n", r"a\.fq:9: 1 qualities for 2 letters$"),
    ],
)
def test_what_is_no_read_is_named_with_its_line(content, message):
    with pytest.raises(BadData, match=message):
        read(content)
