"""Tab-separated values, and what all tables share: columns by name, the rest kept."""

from __future__ import annotations

import csv
import io
import lzma
from dataclasses import replace

import pytest

from unrolled.data.examples import LabelledText, Pair, Question, TaggedTokens
from unrolled.data.formats.tsv import TSV
from unrolled.data.reading import read as read_file
from unrolled.errors import BadData, BadOption, UnknownName


def read(content: str, held=LabelledText, **options):
    return list(TSV(held, **options).read_stream(io.BytesIO(content.encode()), "a.tsv"))


def written(examples, **options) -> str:
    return b"".join(TSV(type(examples[0]), **options).write_stream(examples)).decode()


def test_columns_are_chosen_by_name_and_the_others_come_back_in_their_order():
    content = "id\tsentiment\treview\tstars\n7\tgood\tfine\t5\n8\tbad\tdull\t1\n"
    columns = {"text": "review", "label": "sentiment"}
    examples = read(content, columns=columns)
    assert examples == [LabelledText(text="fine", label="good"), LabelledText(text="dull", label="bad")]
    assert written(examples, columns=columns) == content


def test_quotation_marks_are_characters():
    assert read('label\ttext\ngood\t"fine\nbad\t"dull"\n') == [
        LabelledText(text='"fine', label="good"),
        LabelledText(text='"dull"', label="bad"),
    ]


def test_it_reads_what_the_csv_module_reads_without_quoting():
    content = "label\ttext\ngood\t\"a\" 'b' \\ c\n\nbad\td, e\n"
    reference = list(csv.DictReader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [{"label": e.label, "text": e.text} for e in read(content)] == reference


def test_a_file_without_labels_is_to_be_predicted():
    (example,) = read("id\ttext\n7\tfine\n")
    assert example.label is None
    predicted = replace(example, label="good", probabilities={"bad": 0.25, "good": 0.75})
    assert written([predicted]) == "id\ttext\tlabel\tconfidence\n7\tfine\tgood\t0.7500\n"
    assert read(written([predicted])) == [predicted]


def test_an_older_confidence_is_replaced_in_its_place():
    (example,) = read("confidence\ttext\tlabel\n0.1\tfine\tbad\n")
    again = replace(example, label="good", probabilities={"good": 1.0})
    assert written([again]) == "confidence\ttext\tlabel\n1.0000\tfine\tgood\n"
    assert written([example]) == "confidence\ttext\tlabel\n0.1\tfine\tbad\n"


def test_the_confidence_may_have_a_column_of_another_name():
    predicted = LabelledText(text="fine", label="good", probabilities={"good": 0.5})
    assert written([predicted], columns={"confidence": "p"}) == "text\tlabel\tp\nfine\tgood\t0.5000\n"


def test_an_empty_label_is_none():
    assert read("label\ttext\n\tfine\n") == [LabelledText(text="fine")]


def test_several_labels_stand_between_separators():
    content = "text\tlabel\nfine\tgood|short\ndull\t\n"
    examples = read(content, label_separator="|")
    assert [e.label for e in examples] == [("good", "short"), ()]
    assert written(examples, label_separator="|") == content
    predicted = replace(examples[0], probabilities={"good": 0.9, "short": 0.6, "long": 0.1})
    assert written([predicted], label_separator="|").splitlines()[1] == "fine\tgood|short\t0.9000|0.6000"


def test_tokens_and_tags_are_separated_by_blanks():
    content = "tokens\tslots\tintent\nplay a  song\tO O B-item\tPlay\n"
    (example,) = read(content, TaggedTokens, columns={"tags": "slots"})
    assert example == TaggedTokens(tokens=("play", "a", "song"), tags=("O", "O", "B-item"))
    assert written([example], columns={"tags": "slots"}) == content.replace("  ", " ")
    predicted = replace(example, confidence=(1.0, 0.5, 0.25))
    assert written([predicted], columns={"tags": "slots"}).splitlines()[1].endswith("\tPlay\t1.0000 0.5000 0.2500")


def test_tokens_may_have_nothing_between_them():
    content = "id\tsequence\tss3\n1es5\tMKVA\tCE-H\n"
    options = {"columns": {"tokens": "sequence", "tags": "ss3"}, "spacing": "none"}
    (example,) = read(content, TaggedTokens, **options)
    assert example == TaggedTokens(tokens=("M", "K", "V", "A"), tags=("C", "E", "-", "H"))
    assert written([example], **options) == content
    predicted = replace(example, confidence=(1.0, 0.5, 0.25, 0.5))
    assert written([predicted], **options).splitlines()[1].endswith("\tCE-H\t1.0000 0.5000 0.2500 0.5000")
    with pytest.raises(BadData, match=r"^a\.tsv:2: 4 tokens but 3 tags$"):
        read("tokens\ttags\nMKVA\tCEH\n", TaggedTokens, spacing="none")
    with pytest.raises(
        BadData, match=r"^cannot write 'NOUN' with nothing between it and others: it is not one character"
    ):
        written([TaggedTokens(tokens=("M",), tags=("NOUN",))], spacing="none")
    with pytest.raises(BadOption, match=r"^spacing=none is for tokens of a cell or a line, which are not here$"):
        TSV(LabelledText, spacing="none")


def test_features_are_further_columns_of_one_value_a_token():
    content = "tokens\ttags\tpos\na b\tX Y\tN V\n"
    (example,) = read(content, TaggedTokens, features={"part": "pos"})
    assert example.features == {"part": ("N", "V")}
    assert written([example], features={"part": "pos"}) == content
    with pytest.raises(BadData, match=r"a\.tsv:2: 2 tokens but 1 part"):
        read("tokens\ttags\tpos\na b\tX Y\tN\n", TaggedTokens, features={"part": "pos"})
    with pytest.raises(BadData, match=r"an example without the feature 'part'"):
        written([TaggedTokens(tokens=("a",))], features={"part": "pos"})


def test_a_pair_is_two_columns_and_a_source_may_have_several_targets():
    content = "word\tphones\nread\tR EH1 D\nread\tR IY1 D\n"
    columns = {"source": "word", "target": "phones"}
    examples = read(content, Pair, columns=columns)
    assert examples == [Pair(source="read", target="R EH1 D"), Pair(source="read", target="R IY1 D")]
    assert examples[0].content == examples[1].content
    assert written(examples, columns=columns) == content
    (example,) = read("id\tsource\n7\ta\n", Pair)
    predicted = replace(example, target="b", score=-0.25, alternatives=(("c", -1.5),))
    assert written([predicted]) == "id\tsource\ttarget\tscore\n7\ta\tb\t-0.2500\n"
    assert read(written([predicted]), Pair) == [predicted]
    assert written([predicted], columns={"score": "log"}).startswith("id\tsource\ttarget\tlog\n")


def test_a_question_may_have_a_column_of_contexts_and_need_not():
    content = "story\tquestion\tanswer\nA dog barks.\tWho?\ta dog\n\tWhy?\t\n"
    columns = {"context": "story"}
    examples = read(content, Question, columns=columns)
    assert examples == [
        Question(question="Who?", context="A dog barks.", answer="a dog"),
        Question(question="Why?"),
    ]
    assert written(examples, columns=columns) == content
    (example,) = read("id\tcontext\tquestion\n7\tA dog barks.\tWho?\n", Question)
    assert written([replace(example, context=None)]) == "id\tcontext\tquestion\n7\t\tWho?\n"
    (example,) = read("topic\tquestion\nai\tWhy?\n", Question)
    assert example == Question(question="Why?")
    assert (
        written([replace(example, answer="so", score=-1.0)])
        == "topic\tquestion\tanswer\tscore\nai\tWhy?\tso\t-1.0000\n"
    )
    with pytest.raises(UnknownName, match=r"^a\.tsv: unknown column 'context'; there are: question, topic$"):
        read("topic\tquestion\nai\tWhy?\n", Question, columns={"context": "context"})


def test_answers_of_which_any_is_right_stand_between_separators():
    content = "question\tanswer\nWhere?\tBrazil | Canada\nWhen?\tnow\nWhy?\t\n"
    examples = read(content, Question, label_separator=" | ")
    assert [example.answer for example in examples] == [("Brazil", "Canada"), "now", None]
    assert written(examples, label_separator=" | ") == content
    assert [example.answer for example in read(content, Question)] == ["Brazil | Canada", "now", None]
    with pytest.raises(BadData, match=r"^several answers to a question: say label_separator, or write jsonl instead$"):
        written(examples)
    with pytest.raises(BadData, match=r"^the answer 'Brazil' could not be read again$"):
        written(examples, label_separator="z")


def test_a_prediction_may_be_empty_and_is_then_an_empty_cell():
    assert written([Pair(source="a", target=""), Pair(source="b", target="x")]) == "source\ttarget\na\t\nb\tx\n"
    assert written([Question(question="a", answer="")]) == "question\tanswer\na\t\n"


def test_rows_share_their_header_where_they_hold_nothing_else():
    first, second = read("target\tsource\na\tb\nc\td\n", Pair)
    assert first.rest is second.rest
    assert written([second, first]) == "target\tsource\nc\td\na\tb\n"
    first, second = read("target\tsource\tid\na\tb\t1\nc\td\t2\n", Pair)
    assert written([second, first]) == "target\tsource\tid\nc\td\t2\na\tb\t1\n"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("label\ttxt\n", {}, "a.tsv: unknown column 'text'; did you mean 'txt'?"),
        ("label\treview\n", {}, "a.tsv: unknown column 'text'; there are: label, review"),
        ("text\n", {"columns": {"text": "texts"}}, "a.tsv: unknown column 'texts'; did you mean 'text'?"),
        ("text\tlabe\n", {"filled": True}, "a.tsv: unknown column 'label'; did you mean 'labe'?"),
        ("word\tphones\n", {"held": Pair}, "a.tsv: unknown column 'source'; there are: phones, word"),
        ("source\tx\n", {"held": Pair, "filled": True}, "a.tsv: unknown column 'target'; there are: source, x"),
        ("questions\tx\n", {"held": Question}, "a.tsv: unknown column 'question'; did you mean 'questions'?"),
    ],
)
def test_a_column_that_is_not_there_is_named(content, options, message):
    with pytest.raises(UnknownName) as caught:
        read(content + "x\ty\n", **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "held", "message"),
    [
        ("label\ttext\ngood\n", LabelledText, "a.tsv:2: 1 column where the header has 2"),
        ("label\ttext\ngood\tfine\n\nbad\tx\ty\n", LabelledText, "a.tsv:4: 3 columns where the header has 2"),
        ("text\ttext\na\tb\n", LabelledText, "a.tsv:1: two columns are called 'text'"),
        ("text\tlabel\n", LabelledText, "a.tsv: the file holds no examples"),
        ("tokens\ttags\na b\tX\n", TaggedTokens, "a.tsv:2: 2 tokens but 1 tags"),
        ("tokens\ttags\n \tX\n", TaggedTokens, "a.tsv:2: an example without tokens"),
    ],
)
def test_a_broken_row_is_named_with_its_line(content, held, message):
    with pytest.raises(BadData) as caught:
        read(content, held)
    assert str(caught.value) == message


def test_a_label_missing_in_training_is_named_with_its_line():
    with pytest.raises(BadData) as caught:
        read("label\ttext\ngood\tfine\n\tdull\n", filled=True)
    assert str(caught.value) == "a.tsv:3: an example without label, which training and evaluation need"


def test_wrong_options_are_refused():
    with pytest.raises(UnknownName, match=r"unknown field 'txt'; did you mean 'text'\?"):
        TSV(LabelledText, {"txt": "a"})
    with pytest.raises(BadOption, match=r"the column 'label' is asked for twice"):
        TSV(LabelledText, {"text": "label"})
    with pytest.raises(BadOption, match=r"features are columns beside tokens; texts with labels have none"):
        TSV(LabelledText, {}, {"pos": "pos"})
    with pytest.raises(BadOption, match=r"the column 'answer' is asked for twice"):
        TSV(Question, {"context": "answer"})
    with pytest.raises(UnknownName, match=r"unknown field 'label'; there are: alternatives, score, source, target"):
        TSV(Pair, {"label": "a"})
    with pytest.raises(BadOption, match=r"label_separator must not be empty"):
        TSV(LabelledText, label_separator="")


@pytest.mark.parametrize(
    ("examples", "options", "message"),
    [
        ([LabelledText(text="a\tb")], {}, r"cannot write 'a\\tb' as TSV: it holds a tab; write csv or jsonl instead"),
        ([LabelledText(text="a\nb")], {}, r"cannot write 'a\\nb' as TSV: it holds a line break"),
        ([LabelledText(text="a\r")], {}, r"cannot write 'a\\r' as TSV: it ends in a carriage return"),
        ([LabelledText(text="")], {}, r"cannot write '' as TSV: the row is empty"),
        ([LabelledText(text="a", label="")], {}, r"the label '' could not be read again"),
        ([LabelledText(text="a", label=("x",))], {}, r"a set of labels where label_separator is None"),
        ([LabelledText(text="a", label="x")], {"label_separator": "|"}, r"one label where label_separator is '\|'"),
        ([LabelledText(text="a", label=("x|y",))], {"label_separator": "|"}, r"the label 'x\|y' could not be read"),
        (
            [LabelledText(text="a", label=()), LabelledText(text="a")],
            {"label_separator": "|"},
            "some examples have labels and some are not labelled",
        ),
        ([TaggedTokens(tokens=("New York",))], {}, "cannot write 'New York' between blanks, since it holds one"),
        ([TaggedTokens(tokens=("a", "b"), tags=("X",))], {}, "2 tokens but 1 tags"),
        ([TaggedTokens(tokens=("a", ""))], {}, "tokens 2 of 2 is empty"),
    ],
)
def test_what_a_table_cannot_hold_is_refused(examples, options, message):
    with pytest.raises(BadData, match=message):
        written(examples, **options)


def test_a_long_cell_is_read():
    text = "word " * 100_000
    assert read(f"label\ttext\ngood\t{text}\n")[0].text == text


@pytest.mark.parametrize(
    ("path", "examples", "tokens"),
    [
        ("sst2/train.tsv.xz", 6920, 133_555),
        ("sst2/dev.tsv", 872, 17_046),
        ("sst2/test.tsv", 1821, 35_023),
        ("trec_questions/train.tsv.xz", 5452, 55_635),
        ("trec_questions/test.tsv", 500, 3758),
        ("imdb/test.tsv.xz", 25_000, 5_712_457),
    ],
)
def test_real_texts_are_as_many_as_published(shared_data, path, examples, tokens):
    found = read_file(shared_data / path, LabelledText, filled=True)
    assert (len(found), sum(len(e.text.split()) for e in found)) == (examples, tokens)
    raw = (shared_data / path).read_bytes()
    assert written(found).encode() == (lzma.decompress(raw) if path.endswith(".xz") else raw)


def test_the_slots_of_snips_are_as_many_as_published(shared_data):
    path = shared_data / "snips_slots_intents" / "train.tsv.xz"
    found = read_file(path, TaggedTokens, columns={"tags": "slots"}, filled=True)
    assert (len(found), sum(len(e.tokens) for e in found)) == (13_084, 117_700)
    intents = read_file(path, LabelledText, columns={"text": "tokens", "label": "intent"}, filled=True)
    assert len({e.label for e in intents}) == 7


@pytest.mark.parametrize(
    ("path", "columns", "examples"),
    [
        ("cmudict_g2p/dev.tsv", {"source": "word", "target": "phones"}, 2_637),
        ("cmudict_g2p/train.tsv.xz", {"source": "word", "target": "phones"}, 120_350),
        ("sigmorphon2020_g2p/kor/train.tsv", {"source": "word", "target": "phones"}, 3_600),
        ("scan/length.test.tsv.xz", {"source": "commands", "target": "actions"}, 3_920),
    ],
)
def test_real_pairs_are_as_many_as_published(shared_data, path, columns, examples):
    found = read_file(shared_data / path, Pair, columns=columns, filled=True)
    assert len(found) == examples
    raw = (shared_data / path).read_bytes()
    assert written(found, columns=columns).encode() == (lzma.decompress(raw) if path.endswith(".xz") else raw)


def test_real_questions_are_as_many_as_published(shared_data):
    talk = shared_data / "chatterbot_en" / "train.tsv"
    assert len(read_file(talk, Question)) == 1_139
    with pytest.raises(BadData, match=r"train\.tsv:840: an example without answer"):  # its question is "n"
        read_file(talk, Question, filled=True)
    web = shared_data / "webquestions" / "test.tsv"
    every = read_file(web, Question, columns={"answer": "all_answers"}, label_separator=" | ", filled=True)
    first = read_file(web, Question, filled=True)
    assert len(every) == 2_032
    assert [example.answers[0] for example in every] == [example.answer for example in first]
    assert written(every, columns={"answer": "all_answers"}, label_separator=" | ").encode() == web.read_bytes()
