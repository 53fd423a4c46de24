"""CoNLL-U, against the library `conllu` and the treebanks themselves."""

from __future__ import annotations

import io
import lzma
from dataclasses import replace

import conllu
import pytest

from unrolled.data.examples import TaggedTokens
from unrolled.data.formats.conllu import CoNLLU
from unrolled.data.reading import read as read_file
from unrolled.errors import BadData, BadOption, UnknownName

SENTENCES = """\
# sent_id = 1
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
1\tvamos\tir\tVERB\tv\tNumber=Plur|Person=1\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tp\t_\t1\tobj\t_\tA=b|Confidence=0.1|C=d
2.1\tal\t_\tADP\t_\t_\t_\t_\t1:x\t_
3\tparque central\t_\tNOUN\tn\t_\t1\tobl\t_\t_

1\t_\t_\tPUNCT\t_\t_\t0\troot\t_\t_

"""


def read(content: str, **options):
    return list(CoNLLU(TaggedTokens, **options).read_stream(io.BytesIO(content.encode()), "a.conllu"))


def written(examples, **options) -> str:
    return b"".join(CoNLLU(TaggedTokens, **options).write_stream(examples)).decode()


def test_words_are_read_and_all_else_is_kept():
    examples = read(SENTENCES)
    assert examples == [
        TaggedTokens(tokens=("vamos", "nos", "parque central"), tags=("VERB", "PRON", "NOUN")),
        TaggedTokens(tokens=("_",), tags=("PUNCT",)),
    ]
    assert [e.origin.line for e in examples] == [4, 9] == [e.origin.line for e in read(SENTENCES.rstrip())]
    assert written(examples) == SENTENCES


def test_any_column_can_be_the_tags_or_a_feature():
    first, _ = read(SENTENCES, columns={"tags": "FEATS"}, features={"lemma": "lemma"})
    assert first.tags == ("Number=Plur|Person=1", "_", "_")
    assert first.features == {"lemma": ("ir", "nosotros", "_")}
    assert read(SENTENCES, columns={"tags": "xpos"})[0].tags == ("v", "p", "n")
    assert read(SENTENCES, columns={"tags": "xpos"})[1].tags is None
    assert read(SENTENCES, columns={"tokens": "lemma"})[0].tokens == ("ir", "nosotros", "_")


def test_a_prediction_changes_its_column_and_misc_and_nothing_else():
    example = read(SENTENCES)[0]
    predicted = replace(example, tags=("X", "Y", "Z"), confidence=(0.5, 0.25, 1.0))
    lines = SENTENCES.split("\n\n")[0].split("\n")
    lines[3] = "1\tvamos\tir\tX\tv\tNumber=Plur|Person=1\t0\troot\t_\tConfidence=0.5000"
    lines[4] = "2\tnos\tnosotros\tY\tp\t_\t1\tobj\t_\tA=b|C=d|Confidence=0.2500"
    lines[6] = "3\tparque central\t_\tZ\tn\t_\t1\tobl\t_\tConfidence=1.0000"
    assert written([predicted]) == "\n".join(lines) + "\n\n"
    assert written([replace(example, tags=None)]).count("\t_\t") > written([example]).count("\t_\t")
    assert read(written([replace(example, tags=None)])) == [replace(example, tags=None)]


def test_an_example_from_elsewhere_gets_lines_of_its_own():
    example = TaggedTokens(tokens=("New York", "#"), tags=("PROPN", "SYM"), features={"lemma": ("ny", "#")})
    assert written([example], features={"lemma": "lemma"}) == (
        "1\tNew York\tny\tPROPN\t_\t_\t_\t_\t_\t_\n2\t#\t#\tSYM\t_\t_\t_\t_\t_\t_\n\n"
    )


def test_tokens_that_were_changed_are_written():
    example = read(SENTENCES)[1]
    assert written([replace(example, tokens=("!",))]) == "1\t!\t_\tPUNCT\t_\t_\t0\troot\t_\t_\n\n"
    longer = replace(example, tokens=("!", "?"), tags=("A", "B"))
    assert read(written([longer])) == [longer]


GOOD = "1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "2\tdog dog\tNOUN\tNN\t_\t0\troot\t_\t_",
            "9 columns where CoNLL-U has 10 (a tab is missing after 'FORM'?)",
        ),
        ("2 dog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", "9 columns where CoNLL-U has 10 (a tab is missing after 'ID'?)"),
        ("2\tdog\tdog\tNOUN\tNN _\t0\troot\t_\t_", "9 columns where CoNLL-U has 10 (a tab is missing after 'UPOS'?)"),
        ("2\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_ _", "9 columns where CoNLL-U has 10 (a tab is missing after 'HEAD'?)"),
        ("2\tdog\tdog\tNOUN", "4 columns where CoNLL-U has 10 (a tab is missing after 'UPOS'?)"),
        (
            "2 dog dog NOUN NN _ 0 root _ _",
            "1 column where CoNLL-U has 10 (are the columns separated by blanks instead of tabs?)",
        ),
        ("2\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_\t_", "11 columns where CoNLL-U has 10 (is there a tab too many?)"),
        ("x\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", "ID 'x' is no word (1), multiword token (1-2) or empty node (1.1)"),
        ("1\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", "ID 1 where 2 is expected (is a blank line missing before it?)"),
        ("2\t\tdog\tNOUN\tNN\t_\t0\troot\t_\t_", "FORM is empty; '_' stands for nothing"),
        (
            "2\tdog\tdog\t_\tNN\t_\t0\troot\t_\t_",
            "a token without a tag: UPOS is '_' here, and given for other words of the sentence",
        ),
    ],
)
def test_a_broken_line_is_named(line, message):
    with pytest.raises(BadData) as caught:
        read(f"{GOOD}\n# comment\n{GOOD}{line}\n\n")
    assert str(caught.value) == f"a.conllu:5: {message}"


def test_comments_alone_are_no_sentence():
    with pytest.raises(BadData, match=r"^a\.conllu:3: a sentence without words$"):
        read(f"{GOOD}\n# comment\n\n{GOOD}\n")


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (TaggedTokens(tokens=("a\tb",)), "a cell holds a tab or a line break"),
        (TaggedTokens(tokens=("a\nb",)), "a cell holds a tab or a line break"),
        (TaggedTokens(tokens=("a",), tags=("_",)), "the tag '_' means in CoNLL-U that there is none"),
        (TaggedTokens(tokens=("a",), tags=("",)), "tags 1 of 1 is empty"),
    ],
)
def test_what_it_cannot_hold_is_refused(example, message):
    with pytest.raises(BadData, match=message):
        written([example])


def test_wrong_columns_are_refused():
    with pytest.raises(UnknownName, match=r"unknown CoNLL-U column 'upo'; did you mean 'upos'\?"):
        CoNLLU(TaggedTokens, {"tags": "upo"})
    with pytest.raises(UnknownName, match=r"unknown CoNLL-U column 'id'"):
        CoNLLU(TaggedTokens, {"tags": "id"})
    with pytest.raises(BadOption, match=r"the tags' column, UPOS, is asked for as input too"):
        CoNLLU(TaggedTokens, {}, {"pos": "upos"})


@pytest.mark.parametrize(
    ("path", "sentences", "words"),
    [
        ("ud_en_ewt/train", 12_544, 204_577),
        ("ud_en_ewt/dev", 2001, 25_147),
        ("ud_en_ewt/test", 2077, 25_094),
        ("ud_fr_sequoia/train", 2231, 50_502),
        ("ud_fr_sequoia/dev", 412, 9999),
        ("ud_fr_sequoia/test", 456, 10_044),
        ("ud_hu_szeged/test", 449, 10_448),
        ("ud_ug_udt/test", 900, 10_330),
        ("ud_vi_vtb/train", 1400, 20_215),
        ("ud_vi_vtb/dev", 1123, 26_162),
        ("ud_vi_vtb/test", 800, 11_692),
    ],
)
def test_treebanks_are_as_large_as_published_and_come_back_byte_for_byte(shared_data, path, sentences, words):
    file = shared_data / f"{path}.conllu.xz"
    found = read_file(file, TaggedTokens, filled=True)
    assert (len(found), sum(len(e.tokens) for e in found)) == (sentences, words)
    assert written(found).encode() == lzma.decompress(file.read_bytes())


@pytest.mark.parametrize("name", ["ud_fr_sequoia", "ud_vi_vtb"])
@pytest.mark.parametrize("column", ["upos", "feats"])
def test_words_and_tags_are_those_of_the_conllu_library(shared_data, name, column):
    file = shared_data / name / "test.conllu.xz"
    with lzma.open(file, "rt", encoding="utf-8") as opened:
        parsers = {"feats": lambda line, i: line[i]}
        reference = [
            [(token["form"], token[column]) for token in sentence if isinstance(token["id"], int)]
            for sentence in conllu.parse(opened.read(), field_parsers=parsers)
        ]
    found = read_file(file, TaggedTokens, columns={"tags": column})
    assert [list(zip(e.tokens, e.tags, strict=True)) for e in found] == reference
