"""CoNLL columns."""

from __future__ import annotations

import io
import lzma
from dataclasses import replace

import pytest

from unrolled.data.examples import TaggedTokens
from unrolled.data.formats.conll import CoNLL
from unrolled.data.reading import read as read_file
from unrolled.errors import BadData, BadOption

CHUNKS = "The DT B-NP\ndog NN I-NP\n\nIt PRP B-NP\nbarks VBZ B-VP\n\n"


def read(content: str, **options):
    return list(CoNLL(TaggedTokens, **options).read_stream(io.BytesIO(content.encode()), "a.conll"))


def written(examples, **options) -> str:
    return b"".join(CoNLL(TaggedTokens, **options).write_stream(examples)).decode()


def test_the_first_column_is_the_token_and_the_last_the_tag():
    examples = read(CHUNKS)
    assert examples == [
        TaggedTokens(tokens=("The", "dog"), tags=("B-NP", "I-NP")),
        TaggedTokens(tokens=("It", "barks"), tags=("B-NP", "B-VP")),
    ]
    assert [e.origin.line for e in examples] == [1, 4]
    assert written(examples) == CHUNKS


def test_columns_are_numbered_from_1_and_from_the_end():
    first, _ = read(CHUNKS, columns={"tags": "2"}, features={"chunk": "-1"})
    assert first == TaggedTokens(tokens=("The", "dog"), tags=("DT", "NN"), features={"chunk": ("B-NP", "I-NP")})
    predicted = replace(first, tags=("X", "Y"))
    assert written([predicted], columns={"tags": "2"}) == "The X B-NP\ndog Y I-NP\n\n"


def test_tabs_separate_where_there_are_tabs_and_cells_may_then_hold_blanks():
    assert read("New York\tB-LOC\nsleeps\tO\n\n") == [TaggedTokens(tokens=("New York", "sleeps"), tags=("B-LOC", "O"))]


def test_one_column_is_to_be_predicted_and_the_tag_is_appended():
    (example,) = read("The\ndog\n")
    assert example == TaggedTokens(tokens=("The", "dog"))
    assert written([replace(example, tags=("DT", "NN"))]) == "The\tDT\ndog\tNN\n\n"


def test_a_file_whose_last_column_is_a_feature_is_to_be_predicted():
    features = {"pos": "2"}
    (example,) = read("The DT\ndog NN\n", features=features)
    assert example == TaggedTokens(tokens=("The", "dog"), features={"pos": ("DT", "NN")})
    tagged = written([replace(example, tags=("B", "I"))], features=features)
    assert tagged == "The DT B\ndog NN I\n\n"
    assert read(tagged, features=features)[0].tags == ("B", "I")
    assert read("The DT\n", columns={"tags": "3"})[0].tags is None


def test_a_hash_begins_a_token():
    content = "# # B-NP\n5 CD I-NP\n\n#nfl NN O\n# # O\n\n"
    assert [e.tokens for e in read(content)] == [("#", "5"), ("#nfl", "#")]
    assert written(read(content)) == content
    assert [e.tokens for e in read("#\tO\n\n#\tO\n")] == [("#",), ("#",)]


def test_metadata_before_a_sentence_is_kept_and_is_no_token():
    content = (
        "-DOCSTART- -X- O\n\n# sent_id = 1\n# text = The dog\nThe DT B\ndog NN I\n\n"
        "# id 17 x\n-DOCSTART- O\n\n# newdoc\n# a = b\n# # B\n\n"
    )
    examples = read(content)
    assert [e.tokens for e in examples] == [("The", "dog"), ("#",)]
    assert [e.origin.line for e in examples] == [5, 13]
    assert written(examples) == content


def test_metadata_may_begin_the_file_in_any_layout():
    assert read("# id 7\tdomain=en\nrobert _ _ B-PER\n") == [TaggedTokens(tokens=("robert",), tags=("B-PER",))]
    assert read("# sent = 7\nrobert\n") == [TaggedTokens(tokens=("robert",))]
    assert read("New\tX\n\n# a = b\tX\n")[1].tokens == ("# a = b",)
    assert read("# O\n") == [TaggedTokens(tokens=("#",), tags=("O",))]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("The DT\ndog\n", {}, "a.conll:2: a token without a tag ('dog')"),
        ("The\tDT\ndog\t\n", {}, "a.conll:2: a token without a tag ('dog')"),
        ("The\tDT\n\tNN\n", {}, "a.conll:2: a line without a token"),
        ("The DT B\n\ndog NN\n", {}, "a.conll:3: 2 columns where line 1 has 3"),
        ("The\ndog NN\n", {}, "a.conll:2: 2 columns where line 1 has 1"),
        ("The DT\n", {"features": {"pos": "3"}}, "a.conll:1: 2 columns, so there is no column 3 for pos"),
        ("The DT\n", {"columns": {"tags": "5"}}, "a.conll:1: 2 columns, so there is no column 5 for tags"),
        ("The\n", {"columns": {"tokens": "-2"}}, "a.conll:1: 1 column, so there is no column -2 for tokens"),
        (
            "The DT\n",
            {"columns": {"tags": "-2"}},
            "a.conll:1: two of the columns asked for are one, in a file of 2",
        ),
    ],
)
def test_a_broken_line_is_named(content, options, message):
    with pytest.raises(BadData) as caught:
        read(content, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("column", ["0", "word", "", "1.5", "+1"])
def test_a_column_is_a_number(column):
    with pytest.raises(BadOption, match=r"the column of tags is a number: 1 is the first, -1 the last, not"):
        CoNLL(TaggedTokens, {"tags": column})


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([TaggedTokens(tokens=("a\tb",), tags=("X",))], "a cell holds a separator or a line break"),
        ([TaggedTokens(tokens=("a\nb",), tags=("X",))], "a cell holds a separator or a line break"),
        ([TaggedTokens(tokens=("New York",))], "a cell holds a separator or a line break"),
        ([TaggedTokens(tokens=("-DOCSTART-",))], "cannot write a sentence that begins with the token '-DOCSTART-'"),
        (
            [TaggedTokens(tokens=("a",), tags=("X",)), TaggedTokens(tokens=("b",))],
            r"examples of 2 and of 1 columns cannot stand in one file \(are some without tags\?\)",
        ),
    ],
)
def test_what_it_cannot_hold_is_refused(examples, message):
    with pytest.raises(BadData, match=message):
        written(examples)


def test_examples_from_elsewhere_get_the_columns_asked_for():
    example = TaggedTokens(tokens=("a", "b"), tags=("X", "Y"), features={"pos": ("N", "V")})
    assert written([example], features={"pos": "2"}) == "a\tN\tX\nb\tV\tY\n\n"
    assert written([example], features={"pos": "4"}) == "a\t_\t_\tN\tX\nb\t_\t_\tV\tY\n\n"
    assert written([example], columns={"tokens": "2", "tags": "1"}) == "X\ta\nY\tb\n\n"
    assert written([example], columns={"tags": "-2"}) == "a\tX\t_\nb\tY\t_\n\n"
    with pytest.raises(BadData, match="two of the columns asked for are one"):
        written([example], columns={"tags": "1"})
    with pytest.raises(BadData, match="an example without the feature 'lemma'"):
        written([example], features={"lemma": "2"})


def test_tags_taken_away_are_gone():
    (example,) = read("The DT B\n\n", features={"pos": "2"})
    blank = replace(example, tags=None)
    assert written([blank], features={"pos": "2"}) == "The\tDT\n\n"


@pytest.mark.parametrize(
    ("path", "sentences", "tokens", "spans"),
    [
        ("conll2000_chunking/train.conll.xz", 8936, 211_727, 106_978),
        ("conll2000_chunking/test.conll.xz", 2012, 47_377, 23_852),
        ("wnut17_ner/train.conll.xz", 3394, 62_730, 1975),
        ("wnut17_ner/dev.conll", 1009, 15_733, 836),
        ("wnut17_ner/test.conll", 1287, 23_394, 1079),
    ],
)
def test_real_sets_are_as_large_as_published_and_come_back_byte_for_byte(shared_data, path, sentences, tokens, spans):
    file = shared_data / path
    found = read_file(file, TaggedTokens, filled=True)
    begun = sum(tag.startswith("B-") for e in found for tag in e.tags)
    assert (len(found), sum(len(e.tokens) for e in found), begun) == (sentences, tokens, spans)
    raw = file.read_bytes()
    assert written(found).encode() == (lzma.decompress(raw) if path.endswith(".xz") else raw)
