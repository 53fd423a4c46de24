"""The Python face: one class a task, with the habits that people know."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from unrolled import Classifier, Tagger, console
from unrolled.api import model_class
from unrolled.data.examples import Example, LabelledText, Pair, Question, TaggedTokens
from unrolled.errors import BadData, BadModel, BadOption, UnknownName

SMALL: dict[str, Any] = {"hidden_size": 4, "word_size": 4, "characters": "none", "epochs": 2, "checks": 2}
PUBLIC = {
    "Answerer", "Captioner", "Classifier", "Composer", "Forecaster", "LanguageModel", "Regressor", "Tagger",
    "Transcriber", "Translator",
}  # fmt: skip


def texts(count: int = 24) -> list[LabelledText]:
    words = ("fine", "dull")
    return [LabelledText(text=f"a {words[k % 2]} film {k}", label=("pos", "neg")[k % 2]) for k in range(count)]


def sentences(count: int = 24) -> list[TaggedTokens]:
    return [TaggedTokens(tokens=("the", f"dog{k}", "barks"), tags=("DET", "NOUN", "VERB")) for k in range(count)]


@pytest.fixture(scope="module")
def classifier() -> Any:
    return Classifier(**SMALL).fit(texts())


@pytest.fixture(scope="module")
def tagger() -> Any:
    return Tagger(**SMALL).fit(sentences())


def write_conllu(path: Path, count: int = 24) -> Path:
    tags = ("DET", "NOUN", "VERB")
    with path.open("w") as file:
        for k in range(count):
            for n, (token, tag) in enumerate(zip(("the", f"dog{k}", "barks"), tags, strict=True), 1):
                file.write("\t".join([str(n), token, "_", tag, tag.lower(), *"_____"]) + "\n")
            file.write("\n")
    return path


# ---------------------------------------------------------------------------------------------- names


def test_the_public_names_are_these() -> None:
    assert set(unrolled._kinds().values()) == PUBLIC
    shown = {name for name in dir(unrolled) if name[0].isupper()} - {"TYPE_CHECKING", "Any"}
    assert shown == PUBLIC
    assert unrolled.__version__.count(".") == 2


def test_a_class_is_the_same_each_time_and_says_what_it_is() -> None:
    assert Tagger is unrolled.Tagger is model_class("tagger")
    assert "A tag for each token, or for each step of numbers." in (Tagger.__doc__ or "")
    assert (Tagger.__name__, Tagger.__module__) == ("Tagger", "unrolled")


def test_a_name_that_is_not_there_says_which_are() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'unrolled' has no attribute 'Tager'; the tasks are Answerer, Captioner, "
    ):
        unrolled.Tager  # noqa: B018
    with pytest.raises(AttributeError, match="module 'unrolled' has no attribute 'nothing'"):
        unrolled.nothing  # noqa: B018


# ---------------------------------------------------------------------------------------------- fit, predict


def test_fit_gives_itself_and_learns_what_is_easy() -> None:
    model = Classifier(hidden_size=8, word_size=8, embedding_dropout=0.0, dropout=0.0, word_dropout=0.0)
    assert model.fit(texts(60), epochs=12, learning_rate=0.02) is model
    assert [e.label for e in model.predict(["a fine film 99", "a dull film 99"])] == ["pos", "neg"]
    assert model.evaluate(texts(10))["metrics"]["accuracy"] == 1.0


def test_the_same_seed_gives_the_same_model() -> None:
    a, b, c = (Classifier(**SMALL).fit(texts(), seed=seed).predict("a fine film") for seed in (1, 1, 2))
    assert a.probabilities == b.probabilities != c.probabilities


def test_one_or_many_texts_tokens_or_examples_are_predicted(classifier: Any, tagger: Any) -> None:
    one = classifier.predict("a fine film")
    assert isinstance(one, LabelledText)
    assert one.probabilities == classifier.predict(LabelledText(text="a fine film")).probabilities
    assert [e.label for e in classifier.predict(["a fine film"])] == [one.label]
    sentence = tagger.predict("the dog barks")
    assert len(sentence.tags) == len(sentence.confidence) == 3
    many = tagger.predict(["the dog barks", ["the", "dog", "barks"], TaggedTokens(tokens=("the", "dog", "barks"))])
    assert {e.tags for e in many} == {sentence.tags}
    assert classifier.predict([]) == []
    assert [e.label for e in classifier.predict(np.array(["a fine film"]))] == [one.label]
    assert classifier.predict("a fine film", batch_rows=1) == one


def test_validation_examples_can_be_given() -> None:
    model = Classifier(**SMALL).fit(texts(20), texts(4))
    assert model.evaluate(texts(4))["examples"] == 4


def test_what_is_not_trained_says_what_to_call() -> None:
    for use in (lambda m: m.predict("x"), lambda m: m.evaluate(texts()), lambda m: m.save("nowhere")):
        with pytest.raises(BadOption, match="this Tagger is not trained yet: call fit, train or from_pretrained"):
            use(Tagger())
    assert repr(Tagger()) == "Tagger(not trained)"


def test_options_are_checked_before_anything_is_done() -> None:
    with pytest.raises(BadOption, match="unknown option 'hiden_size'; did you mean 'hidden_size'"):
        Tagger(hiden_size=3).fit(sentences())
    with pytest.raises(BadOption, match="unknown option 'epoch'; did you mean 'epochs'"):
        Tagger.train("nowhere", epoch=3)
    with pytest.raises(BadData, match="no training examples"):
        Tagger().fit([], sentences())
    with pytest.raises(BadData, match="0 different examples cannot be split in 2"):
        Tagger().fit([])


# ---------------------------------------------------------------------------------------------- files


def test_train_takes_a_path_and_columns(tmp_path: Path) -> None:
    model = Tagger.train(write_conllu(tmp_path / "all.conllu"), output=tmp_path / "m", tags="xpos", **SMALL)
    assert isinstance(model, Tagger)
    assert set(model.task.vocabularies["tags"]) == {"det", "noun", "verb"}
    again = Tagger.from_pretrained(tmp_path / "m")
    assert again.reading == {"tags": "xpos"}
    assert set(again.evaluate(tmp_path / "all.conllu")["metrics"]) >= {"accuracy"}
    assert again.evaluate(tmp_path / "all.conllu", tags="upos", unseen="count")["metrics"]["accuracy"] == 0.0
    with pytest.raises(BadData, match=r"all\.conllu:1: unknown tag 'DET'"):
        again.evaluate(tmp_path / "all.conllu", tags="upos")


def test_evaluate_says_what_it_cannot_do(classifier: Any, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="unseen is 'refuse' or 'count', not 'ignore'"):
        classifier.evaluate(texts(), unseen="ignore")
    with pytest.raises(BadData, match="there are no examples to evaluate on"):
        classifier.evaluate([])
    with pytest.raises(BadData, match="a text without a label"):
        classifier.evaluate([LabelledText(text="x")])
    (tmp_path / "blank.tsv").write_text("text\na film\n")
    with pytest.raises(UnknownName, match="unknown column 'label'"):
        classifier.evaluate(tmp_path / "blank.tsv")
    (tmp_path / "train.tsv").write_text("text\tlabel\na film\tpos\n")
    with pytest.raises(BadData, match="this folder has no test file; name a file"):
        classifier.evaluate(tmp_path)
    with pytest.raises(BadOption, match="unknown option of reading 'lable'; did you mean 'label'"):
        classifier.evaluate(tmp_path / "train.tsv", lable="x")


def test_a_file_is_predicted_into_another(classifier: Any, tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text("id\ttext\n7\ta fine film\n")
    found = classifier.predict_file(tmp_path / "in.tsv", tmp_path / "out.tsv")
    assert len(found) == 1
    header, row = (tmp_path / "out.tsv").read_text().splitlines()
    assert header == "id\ttext\tlabel\tconfidence"
    assert row.split("\t")[:3] == ["7", "a fine film", found[0].label]
    with pytest.raises(UnknownName, match=r"unknown file suffix '\.xyz'"):
        classifier.predict_file(tmp_path / "in.tsv", tmp_path / "out.xyz")


def test_the_format_of_the_training_files_holds_only_where_a_suffix_tells_none(tmp_path: Path) -> None:
    data = tmp_path / "words.dat"
    data.write_text("".join(f"dog{k} N\nruns V\n\n" for k in range(20)))
    model = Tagger.train(data, format="conll", **SMALL)
    assert model.evaluate(data)["examples"] == 20
    (tmp_path / "new.txt").write_text("dog1 runs\n")
    (found,) = model.predict_file(tmp_path / "new.txt")
    assert found.tokens == ("dog1", "runs")


# ---------------------------------------------------------------------------------------------- files of pairs


class Shouting:
    """Stands in for a task whose examples are of two texts: it answers with the first, in capitals."""

    def __init__(self, example: type[Example]) -> None:
        self.example = example

    def encode(self, example: Any) -> None:
        pass

    def predict(self, examples: Any) -> list[Any]:
        given = {Pair: "source", Question: "question"}[self.example]
        return [replace(e, **{self.example.blank: getattr(e, given).upper(), "score": -0.5}) for e in examples]

    def signatures(self) -> dict[str, str]:
        return {}

    def verdict(self, figures: Any) -> None:
        return None

    def measure(self, examples: Any) -> dict[str, float]:
        return self.score(self.predict(examples), examples)

    def score(self, predicted: Any, gold: Any) -> dict[str, float]:
        right = sum(one == other for one, other in zip(predicted, gold, strict=True))
        return {"accuracy": right / len(gold)}


def shouting(monkeypatch: pytest.MonkeyPatch, example: type[Example], **reading: str) -> Any:
    """A model of that task, which is known under the name of another."""
    monkeypatch.setattr("unrolled.tasks.classifier.Classifier.example", example)
    monkeypatch.setattr("unrolled.tasks.classifier.Classifier.reads", ())
    return Classifier(Shouting(example), reading=reading)


def write_pairs(folder: Path, name: str, *sources: str) -> Path:
    for language, change in (("en", str), ("de", str.upper), ("fr", str.lower)):
        (folder / f"{name}.{language}").write_text("".join(change(source) + "\n" for source in sources))
    return folder / name


def test_parallel_text_is_evaluated_by_folder_common_name_and_other_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = shouting(monkeypatch, Pair, source="en", target="de")
    for name in ("train", "test", "test_2016"):
        path = write_pairs(tmp_path, name, *[name] * len(name))
    found = [model.evaluate(data) for data in (tmp_path, path, f"{path}.en", f"{path}.de")]
    assert [(each["examples"], each["metrics"]["accuracy"]) for each in found] == [(4, 1.0), *[(9, 1.0)] * 3]
    assert model.evaluate(path, target="fr")["metrics"] == {"accuracy": 0.0}
    with pytest.raises(UnknownName, match=r"test_2016: unknown language 'es'; there are: de, en, fr"):
        model.evaluate(path, source="es")
    (tmp_path / "test.de").unlink()
    (tmp_path / "test.fr").unlink()
    (tmp_path / "test.en").unlink()
    with pytest.raises(BadData, match=r"this folder has no test file; name a file, such as test_2016\.de$"):
        model.evaluate(tmp_path)
    with pytest.raises(BadData, match=r"test_2017: there is no such file"):
        model.evaluate(tmp_path / "test_2017")


def test_sources_are_predicted_into_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shouting(monkeypatch, Pair, source="en", target="de")
    path = write_pairs(tmp_path, "x", "one", "two")
    (tmp_path / "x.de").unlink()
    for source in (path, f"{path}.en"):
        found = model.predict_file(source, tmp_path / "out.de")
        assert found == [Pair(source="one", target="ONE"), Pair(source="two", target="TWO")]
        assert (tmp_path / "out.de").read_text() == "ONE\nTWO\n"
    model.predict_file(path, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "ONE\nTWO\n"
    model.predict_file(tmp_path / "out.txt", tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text().splitlines()[:2] == ["en\tde\tscore", "ONE\tONE\t-0.5000"]
    with pytest.raises(UnknownName, match=r"out\.fr: no format is named: unknown file suffix '\.fr'"):
        model.predict_file(path, tmp_path / "out.fr")


def test_the_command_line_prints_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    model = shouting(monkeypatch, Pair)
    path = write_pairs(tmp_path, "x", "one", "zwö")
    console.predict(model, str(path), None, {"source": "en", "target": "de"}, as_json=False)
    assert capfdbinary.readouterr().out == "ONE\nZWÖ\n".encode()
    console.predict(model, f"{path}.en", tmp_path / "x.de", {"source": "en", "target": "de"}, as_json=False)
    assert (tmp_path / "x.de").read_text() == "ONE\nZWÖ\n"
    console.predict(model, str(path), None, {"source": "en", "target": "fr"}, as_json=True)
    assert json.loads(capfdbinary.readouterr().out.splitlines()[0]) == {"en": "one", "fr": "ONE", "score": -0.5}
    with pytest.raises(BadData, match=r"nothing: there is no such file"):
        console.predict(model, str(tmp_path / "nothing"), None, {"source": "en"}, as_json=False)


def test_a_model_of_stories_reads_stories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shouting(monkeypatch, Question, format="babi")
    (tmp_path / "qa1_train.txt").write_text("1 A.\n2 b?\tB?\n")
    (tmp_path / "qa1_test.txt").write_text("1 A.\n2 b?\tB?\t1\n3 c?\td\t1\n")
    (tmp_path / "test.tsv").write_text("question\tanswer\nb?\tB?\n")
    assert [model.evaluate(data)["metrics"]["accuracy"] for data in (tmp_path, tmp_path / "test.tsv")] == [0.5, 1.0]
    model.predict_file(tmp_path / "qa1_test.txt", tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "1 A.\n2 b?\tB?\t1\n3 c?\tC?\t1\n"
    found = model.predict_file(tmp_path / "qa1_test.txt", tmp_path / "lines.txt", format="babi")
    assert found == model.predict_file(tmp_path / "lines.txt")
    (tmp_path / "plain.txt").write_text("why?\n")
    assert model.predict_file(tmp_path / "plain.txt", format="text")[0].answer == "WHY?"


# ---------------------------------------------------------------------------------------------- saving


def test_saved_and_loaded_it_is_the_same(classifier: Any, tmp_path: Path) -> None:
    classifier.save_pretrained(tmp_path / "m")
    again = Classifier.from_pretrained(tmp_path / "m")
    assert type(again) is Classifier
    assert again.predict("a fine film").probabilities == classifier.predict("a fine film").probabilities
    assert (
        repr(again)
        == repr(classifier)
        == f"Classifier(lstm, {sum(p.numel() for p in again.task.parameters())} weights)"
    )


def test_the_short_names_do_the_same(tagger: Any, tmp_path: Path) -> None:
    tagger.save(tmp_path / "m")
    assert Tagger.load(tmp_path / "m").predict("the dog").tags == tagger.predict("the dog").tags


def test_what_lay_beside_a_model_is_saved_again_with_it(classifier: Any, tmp_path: Path) -> None:
    classifier.save(tmp_path / "a")
    Classifier.load(tmp_path / "a").save(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes(), path.name
    figures = json.loads((tmp_path / "b" / "metrics.json").read_text())
    assert set(figures["validation"]) == {"accuracy", "macro_f1", "matthews", "auroc", "auprc"}
    assert "training.toml" not in {path.name for path in (tmp_path / "b").iterdir()}, "there was no file to train on"


def test_another_kind_of_model_is_refused(tagger: Any, tmp_path: Path) -> None:
    tagger.save(tmp_path / "m")
    with pytest.raises(BadModel, match=r"m holds a tagger, not a classifier"):
        Classifier.from_pretrained(tmp_path / "m")
    with pytest.raises(BadModel, match="there is no folder "):
        Classifier.from_pretrained(tmp_path / "nothing")
