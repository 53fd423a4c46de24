"""A label per step of numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from unrolled import Tagger as Model
from unrolled import state as states
from unrolled.cli import app
from unrolled.data import reading
from unrolled.data.examples import Origin, TaggedTokens
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.errors import BadData, BadOption
from unrolled.inspection.saliency import saliency
from unrolled.tasks import _step_streams
from unrolled.tasks.tagger import Tagger

TASK = "tagger"


def examples() -> list[TaggedSteps]:
    """For the laws of `test_every_task`: of different lengths, and three of one length."""
    rng = np.random.default_rng(3)
    tags = ("up up down", "down up up", "rest", "up down down rest rest rest up up down", "rest rest up", "up down")
    each = [tuple(row.split()) for row in tags]
    return [TaggedSteps(values=rng.normal(5, 2, (len(row), 2)), tags=row) for row in each]


def made(given: list[TaggedSteps] | None = None, **options: Any) -> Tagger:
    small = {"hidden_size": 5, "layers": 1, "dropout": 0.0, **options}
    return Tagger.prepare(examples() if given is None else given, **small).eval()


def waves(count: int, seed: int) -> list[TaggedSteps]:
    """Where a wave rises and where it falls, which no step tells by itself; and a noise that has no part in it."""
    rng = np.random.default_rng(seed)
    found = []
    for length in rng.integers(12, 40, count):
        angle = 6.3 * rng.random() + np.arange(length) * rng.uniform(0.3, 0.6)
        tags = tuple("rising" if slope > 0 else "falling" for slope in np.cos(angle))
        found.append(TaggedSteps(values=np.stack([np.sin(angle), rng.normal(0, 1, length)], 1), tags=tags))
    return found


def test_numbers_of_each_step_get_a_tag_with_its_probability() -> None:
    for example in made().predict(examples()):
        assert example.tags is not None
        assert len(example.tags) == len(example.confidence) == len(example.values)
        assert all(1 / 3 - 1e-6 <= sure <= 1 for sure in example.confidence)


@pytest.mark.parametrize("decoder", ["softmax", "crf"])
@pytest.mark.parametrize("directions", ["both", "forward"])
def test_each_tag_is_that_of_its_own_step(decoder: str, directions: str) -> None:
    """What is learnt by heart comes back step by step, whatever stands in the batch beside it."""
    torch.manual_seed(1)
    task = made(decoder=decoder, directions=directions, hidden_size=16, label_smoothing=0.0).train()
    batch = task.collate([task.encode(e) for e in examples()])
    engine = torch.optim.Adam(task.parameters(), 0.05)
    for _ in range(120):
        engine.zero_grad()
        task.loss(batch).total.backward()
        engine.step()
    found = task.eval().predict([replace(e, tags=None) for e in examples()])
    assert [e.tags for e in found] == [e.tags for e in examples()]
    alone = [task.predict([e])[0] for e in examples()]
    assert [e.tags for e in alone] == [e.tags for e in found]
    for one, other in zip(alone, found, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_spans_of_steps_are_valid_spans_and_are_scored_as_such() -> None:
    given = [replace(e, tags=tuple("O" if t == "rest" else "B-x" for t in e.tags or ())) for e in examples()]
    task = made(given)
    assert task.options["decoder"] == "crf"
    assert task.metric == "f1"
    assert {"accuracy", "macro_f1", "f1"} <= set(task.score(given, given))


def test_the_figures_are_of_all_steps_together() -> None:
    gold = [TaggedSteps(values=np.zeros((3, 2)), tags=("up", "up", "down")), examples()[2]]
    said = [replace(gold[0], tags=("up", "down", "down")), gold[1]]
    found = made().score(said, gold)
    assert found["accuracy"] == 3 / 4
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)  # up: P 1, R 1/2; down: P 1/2, R 1; rest: 1


def test_steps_whose_tag_is_not_known_are_neither_learnt_nor_counted() -> None:
    given = [replace(e, tags=tuple("-" if t == "rest" else t for t in e.tags or ())) for e in examples()]
    task = made(given, ignored_tag="-")
    assert set(task.tags.symbols) == {"up", "down"}
    batch = task.collate([task.encode(e) for e in given])
    known = sum(tag != "-" for e in given for tag in e.tags or ())
    assert task.loss(batch).count == known
    assert len(task.chances(batch)[1]) == known
    wrong = [replace(e, tags=tuple("up" if t == "-" else t for t in e.tags or ())) for e in given]
    assert task.score(wrong, given)["accuracy"] == 1.0


def test_that_a_number_is_missing_is_told() -> None:
    values = examples()[0].values.copy()
    values[1, 0] = np.nan
    task = made([replace(examples()[0], values=values), *examples()[1:]])
    assert task.options["missing"] == "told"
    assert len(task.predict([values])[0].tags) == 3
    with pytest.raises(BadData, match="a missing number at step 2; in training there was none"):
        made().predict([values])


BAD: dict[str, tuple[Any, str]] = {
    "few tags": ({"tags": ("up", "up")}, "2 tags where 3 are expected, one a step"),
    "many tags": ({"tags": ("up",) * 4}, "4 tags where 3 are expected, one a step"),
    "an empty tag": ({"tags": ("up", "", "up")}, "the tag of step 2 is empty"),
    "another width": ({"values": np.zeros((3, 4))}, "4 numbers a step where training had 2"),
    "infinite": ({"values": np.full((3, 2), np.inf)}, "an infinite number at step 1"),
    "flat": ({"values": np.zeros(3)}, r"shape \(3,\): numbers of \(steps, features\) expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_it_does_not_read_is_named_with_its_place(case: str) -> None:
    changed, message = BAD[case]
    example = replace(examples()[0], **changed, origin=Origin("a.npz", 7))
    with pytest.raises(BadData, match=rf"a\.npz:7: .*{message}"):
        made().encode(example)
    with pytest.raises(BadData, match=rf"a\.npz:7: .*{message}"):
        made([*examples(), example])


def test_a_tag_never_seen_and_no_tags_are_named() -> None:
    with pytest.raises(BadData, match="unknown tag 'off'"):
        made().encode(replace(examples()[2], tags=("off",)))
    with pytest.raises(BadData, match="numbers without tags"):
        made([replace(examples()[0], tags=None)])


def test_texts_and_numbers_are_told_apart() -> None:
    words = [TaggedTokens(tokens=("a", "b"), tags=("X", "Y")), TaggedTokens(tokens=("c",), tags=("X",))]
    with pytest.raises(BadData, match="a text, where this model reads numbers"):
        made().predict(words)
    with pytest.raises(BadData, match="a text, where this model reads numbers"):
        made().predict(["a text"])
    with pytest.raises(BadData, match="numbers, where this model reads texts"):
        Tagger.prepare(words, hidden_size=4, word_size=4).predict([examples()[0]])
    with pytest.raises(BadData, match="numbers among texts"):
        Tagger.prepare([*words, examples()[0]], hidden_size=4, word_size=4)


@pytest.mark.parametrize("option", [{"word_size": 7}, {"characters": "cnn"}, {"cut": "words"}, {"minimum_count": 2}])
def test_options_of_texts_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match="is an option for texts; numbers have none"):
        made(**option)


def test_options_of_numbers_are_refused_for_texts_and_of_dna_for_numbers() -> None:
    words = [TaggedTokens(tokens=("a", "b"), tags=("X", "Y"))]
    with pytest.raises(BadOption, match="missing is an option for numbers; texts have none"):
        Tagger.prepare(words, missing="told")
    with pytest.raises(BadOption, match="strands is an option for DNA"):
        made(strands="both")


def test_what_a_step_weighs_for_another_ones_tag_is_told() -> None:
    found = saliency(made(), examples()[0], place=1)
    assert found.gradients.shape == (3,)
    assert abs(found.gap) < 0.01


def test_a_model_learns_phases_and_says_them_after_it_was_saved(tmp_path: Path) -> None:
    model = Model(hidden_size=16, layers=1).fit(waves(60, 1), waves(20, 2), epochs=8, batch_rows=4, seed=1)
    figures = model.evaluate(waves(20, 3))["metrics"]
    assert figures["accuracy"] > 0.9
    assert figures["macro_f1"] > 0.9
    model.save_pretrained(tmp_path / "model")
    values = waves(1, 4)[0].values
    assert Model.from_pretrained(tmp_path / "model").predict(values).tags == model.predict(values).tags


def told(*words: Any, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


COLUMNS = ("--set", "series=run", "--set", "values=x", "--set", "tags=phase")


def test_the_command_line_trains_on_a_table_whose_rows_are_steps(tmp_path: Path) -> None:
    columns = {"series": "run", "values": "x", "tags": "phase"}
    (tmp_path / "data").mkdir()
    for name, count, seed in (("train", 40, 1), ("valid", 10, 2), ("test", 10, 3)):
        reading.write(tmp_path / "data" / f"{name}.csv", waves(count, seed), columns=columns)
    model, test = str(tmp_path / "model"), tmp_path / "data" / "test.csv"
    small = ("--set", "hidden_size=12", "--set", "layers=1", "--set", "batch_rows=4", "--set", "epochs=8")
    told("train", "tagger", "--data", str(tmp_path / "data"), *COLUMNS, *small, "--output", model)
    figures = json.loads(told("evaluate", model, "--data", str(test), "--json"))["metrics"]
    assert figures["accuracy"] > 0.8
    said = tmp_path / "said.csv"
    told("predict", model, str(test), "--output", str(said))
    rows, given = said.read_text().splitlines(), test.read_text().splitlines()
    assert rows[0] == given[0] + ",confidence"
    assert len(rows) == len(given)
    assert {row.split(",")[3] for row in rows[1:]} == {"rising", "falling"}
    assert [row.split(",")[:3] for row in rows] == [row.split(",")[:3] for row in given]
    assert reading.read(said, TaggedSteps, columns=columns) == Model.from_pretrained(model).predict(
        reading.read(test, TaggedSteps, columns=columns)
    )


def test_archives_and_arrays_are_predicted_and_mistakes_are_told_step_by_step(tmp_path: Path) -> None:
    model = Model(hidden_size=6, layers=1).fit(waves(8, 1), waves(4, 2), epochs=1, seed=1)
    model.save_pretrained(tmp_path / "model")
    given = waves(5, 3)
    reading.write(tmp_path / "a.npz", given)
    predicted = model.predict(given)
    lines = told("predict", tmp_path / "model", tmp_path / "a.npz").splitlines()
    assert lines == [" ".join(e.tags) for e in predicted]
    np.save(tmp_path / "a.npy", given[0].values)
    assert told("predict", tmp_path / "model", tmp_path / "a.npy").split() == list(predicted[0].tags)
    told("predict", tmp_path / "model", tmp_path / "a.npz", "--output", tmp_path / "b.npz")
    assert reading.read(tmp_path / "b.npz", TaggedSteps) == predicted
    page = tmp_path / "page.html"
    told("inspect", "report", tmp_path / "model", "--data", tmp_path / "a.npz", "--output", page)
    assert re.search(rf"step \d+ of ({'|'.join(str(len(e.values)) for e in given)})\b", page.read_text())


def test_what_is_wrong_in_a_table_stops_a_training_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("run,x,phase\n1,0.5,up\n1,0.7,\n1,0.8,up\n")
    result = CliRunner().invoke(app, ["train", "tagger", "--data", str(tmp_path / "a.csv"), *COLUMNS])
    assert isinstance(result.exception, BadData) or result.exit_code == 2
    assert "a.csv:3: an empty cell in the column 'phase'" in (result.output + str(result.exception))


def test_the_command_line_answers_at_each_line_of_numbers(tmp_path: Path) -> None:
    model = Model(hidden_size=6, layers=1, directions="forward").fit(waves(8, 1), waves(4, 2), epochs=1, seed=1)
    model.save_pretrained(tmp_path / "model")
    values = waves(1, 3)[0].values
    result = CliRunner().invoke(app, ["stream", str(tmp_path / "model"), "--json"], input=lines_of(values))
    assert result.exit_code == 0, result.output
    fits([json.loads(line) for line in result.stdout.splitlines()], model.predict(values))


def lines_of(values: np.ndarray) -> str:
    return "".join(",".join("" if one != one else repr(float(one)) for one in step) + "\n" for step in values)


def answered(task: Tagger, pieces: list[Any], saved: Any = None) -> list[dict[str, Any]]:
    streamer = task.stream(saved)
    found = [answer for piece in pieces for answer in streamer.read(piece)]
    return found + list(streamer.finish())


def fits(answers: list[dict[str, Any]], example: TaggedSteps) -> None:
    assert [answer["tag"] for answer in answers] == list(example.tags or ())
    assert [answer["confidence"] for answer in answers] == pytest.approx(example.confidence, abs=1e-5)


@pytest.mark.parametrize("connections", ["plain", "skip"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_says_at_each_line_what_a_whole_recording_gets(size: int, connections: str) -> None:
    task = made(directions="forward", connections=connections, missing="told")
    given = [e.values.copy() for e in examples()]
    given[3][4, 1] = np.nan
    text = "\n".join(lines_of(values) for values in given).removesuffix("\n")  # an empty line between two, no last end
    answers = answered(task, [text[k : k + size] for k in range(0, len(text), size)])
    for example in task.predict(given):
        fits(answers[: len(example.values)], example)
        del answers[: len(example.values)]
    assert not answers


def test_arrays_are_streamed_in_chunks_and_go_on_from_a_kept_state(tmp_path: Path) -> None:
    task, values = made(directions="forward"), examples()[3].values
    (whole,) = task.predict([values])
    answers = answered(task, [values[:4], values[4:5], values[5:]])
    assert [answer["element"] for answer in answers] == [str(step) for step in range(1, 10)]
    fits(answers, whole)
    first = task.stream()
    before = list(first.read(lines_of(values[:4])))
    states.save(first.state, tmp_path / "kept")
    fits(before + answered(task, [lines_of(values[4:])], states.load(tmp_path / "kept")), whole)
    with pytest.raises(BadOption, match="another model"):
        made(directions="forward", hidden_size=6).stream(first.state)
    with pytest.raises(BadOption, match="no state of a stream of numbers"):
        task.stream({"carried": ()})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,x", "'x' where a number is expected"),
        ("1 2 3", "3 numbers a step where training had 2"),
        ("1,", "a missing number at step 1; in training there was none"),
        ("1,inf", "an infinite number"),
    ],
)
def test_a_line_that_is_no_step_is_named_after_the_answers_before_it(line: str, message: str) -> None:
    answers = made(directions="forward").stream().read(f"1,2\n3 4\n{line}\n5,6\n")
    assert [next(answers)["element"] for _ in range(2)] == ["1,2", "3 4"]
    with pytest.raises(BadData, match=f"the stream:3: {message}"):
        next(answers)


def test_what_cannot_stream_says_so() -> None:
    with pytest.raises(BadOption, match="read in both directions cannot stream"):
        made().stream()
    with pytest.raises(BadOption, match="a CRF needs the whole"):
        made(directions="forward", decoder="crf").stream()


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_step_streams, "LONGEST", 5)
    with pytest.raises(BadData, match="the stream:1: a line of more than 5 characters"):
        list(made(directions="forward").stream().read("1234567"))
