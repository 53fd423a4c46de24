"""GenBank: sequences, what is said of them, and features as tags."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.examples import LabelledText, Passage, TaggedTokens
from unrolled.data.formats.genbank import GenBank
from unrolled.errors import BadData, BadOption, MissingExtra

pytest.importorskip("Bio", reason="the extra `biology` is not installed")

RECORD = """\
LOCUS       U49845                    42 bp    DNA     linear   PLN 29-OCT-2018
DEFINITION  Saccharomyces cerevisiae TCP1-beta gene, partial cds.
ACCESSION   U49845
VERSION     U49845.1
KEYWORDS    .
SOURCE      Saccharomyces cerevisiae (baker's yeast)
  ORGANISM  Saccharomyces cerevisiae
            Eukaryota; Fungi.
FEATURES             Location/Qualifiers
     source          1..42
                     /organism="Saccharomyces cerevisiae"
                     /strain="S288C"
     gene            3..20
                     /gene="AXL2"
     CDS             join(3..8,12..14)
                     /gene="AXL2"
     CDS             complement(30..35)
                     /gene="REV7"
ORIGIN
        1 gatcctccat atacaacggt atctccacct caggtttaga tc
//
"""
SEQUENCE = "GATCCTCCATATACAACGGTATCTCCACCTCAGGTTTAGATC"
TAGS = "OOCCCCCCOOOCCCOOOOOOOOOOOOOOOCCCCCCOOOOOOO"


SPECIES = st.sampled_from(["Homo sapiens", "E. coli", None])


def read(content: str, held=LabelledText, columns=None, **options):
    return list(GenBank(held, columns, **options).read_stream(io.BytesIO(content.encode()), "a.gb"))


def written(examples, columns=None) -> str:
    return b"".join(GenBank(type(examples[0]), columns).write_stream(examples)).decode()


def test_a_label_is_what_the_record_says_under_a_name():
    (example,) = read(RECORD)
    assert example == LabelledText(text=SEQUENCE, label="Saccharomyces cerevisiae")
    assert read(RECORD, columns={"label": "strain"})[0].label == "S288C"
    assert read(RECORD, columns={"label": "nothing"})[0].label is None
    with pytest.raises(BadData, match="an example without label"):
        read(RECORD, columns={"label": "nothing"}, filled=True)


def test_the_tag_of_a_base_is_the_feature_in_which_it_lies():
    (example,) = read(RECORD, TaggedTokens)
    assert "".join(example.tokens) == SEQUENCE
    assert "".join(tag[0] for tag in example.tags) == TAGS
    both = read(RECORD, TaggedTokens, {"tags": "CDS,gene"})[0].tags
    assert both[8:11] == ("gene",) * 3
    assert both[11:14] == ("CDS",) * 3
    assert read(RECORD, TaggedTokens, {"tags": "gene,CDS"})[0].tags[11:14] == ("gene",) * 3


def test_what_was_read_is_written_again():
    for held in (LabelledText, Passage):
        (example,) = read(RECORD, held)
        (again,) = read(written([example]), held)
        assert again == example
        assert written([again]) == written([example])
    text = written(read(RECORD))
    for part in ("complement(30..35)", '/gene="AXL2"', "TCP1-beta", "29-OCT-2018"):
        assert part in text


def test_predicted_tags_are_features_in_place_of_the_old_ones():
    (example,) = read(RECORD, TaggedTokens)
    tags = ("CDS",) * 5 + ("O",) * 30 + ("CDS",) * 7
    text = written([replace(example, tags=tags)])
    assert [line.split() for line in text.splitlines() if line.startswith("     CDS")] == [
        ["CDS", "1..5"],
        ["CDS", "36..42"],
    ]
    assert "     gene            3..20" in text
    assert read(text, TaggedTokens)[0].tags == tags
    with pytest.raises(BadData, match="the tag 'exon' could not be read again: tags are CDS"):
        written([replace(example, tags=("exon",) * 42)])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text("ACGTN", min_size=1, max_size=90), SPECIES), min_size=1, max_size=3))
def test_sequences_of_no_file_are_read_as_they_were_written(rows):
    examples = [LabelledText(text=text, label=label) for text, label in rows]
    assert read(written(examples)) == examples
    tagged = [
        TaggedTokens(tokens=tuple(text), tags=tuple("CDS" if c == "A" else "O" for c in text)) for text, _ in rows
    ]
    assert read(written(tagged), TaggedTokens) == tagged


def test_several_records_are_told_by_their_lines():
    assert [example.origin.line for example in read(RECORD + RECORD)] == [1, RECORD.count("\n") + 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RECORD[:400], r"^a\.gb:\d+: not GenBank: "),
        (RECORD.replace("30..35", "30..x"), r"^a\.gb:1: not GenBank: Could not parse feature location"),
        (RECORD.replace("gatcctccat", "gat1ctccat"), r"^a\.gb:1: '1' at position 4 where a letter of a sequence"),
        ("no such thing\n", r"^a\.gb: the file holds no examples$"),
        (
            RECORD.replace("ORIGIN", "CONTIG      join(A:1..42)").split("        1 gatc")[0] + "//\n",
            r"has no sequence$",
        ),
    ],
)
def test_what_is_no_genbank_is_named(content, message):
    with pytest.raises(BadData, match=message):
        read(content)


def test_what_it_cannot_hold_is_refused():
    with pytest.raises(BadData, match="cannot write an empty sequence: example 1"):
        written([LabelledText(text="")])
    with pytest.raises(BadData, match="'1' at position 2"):
        written([LabelledText(text="A1")])
    with pytest.raises(BadData, match="cannot write several labels of a sequence as GenBank; write jsonl instead"):
        written([LabelledText(text="A", label=("x", "y"))])
    with pytest.raises(BadData, match="a token of GenBank is one letter"):
        written([TaggedTokens(tokens=("AC",), tags=("O",))])
    with pytest.raises(BadOption, match="text=sequence: a GenBank file has no columns"):
        GenBank(LabelledText, {"text": "sequence"})


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "Bio.SeqIO", None)
    with pytest.raises(MissingExtra, match=r"needs the package biopython: pip install 'unrolled\[biology\]'$"):
        read(RECORD)
