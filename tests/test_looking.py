"""What is seen inside a model: the same from Python and the command line, in words and as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from unrolled import api, looking
from unrolled.cli import main
from unrolled.cli_inspect import inspect
from unrolled.data import reading
from unrolled.data.examples import LabelledText, Pair, TaggedTokens
from unrolled.errors import BadOption, NoElement
from unrolled.inspection.gates import Gates, gates
from unrolled.model import model_class
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.tagger import Tagger
from unrolled.tasks.translator import Translator

TEXTS = [("a good film , 9", "up"), ("not so Good .", "down"), ("a film", "up"), ("so dull , so long", "down")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that was not trained, and a file."""
    torch.manual_seed(0)
    examples = [LabelledText(text=text, label=label) for text, label in TEXTS]
    task = Classifier.prepare(examples, tokens="blanks", hidden_size=5, word_size=4, layers=1, directions="forward")
    model_class("classifier")(task).save_pretrained(tmp_path / "model")
    (tmp_path / "texts.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in TEXTS))
    return tmp_path


def test_the_reports_that_are_listed_are_those_of_the_command_line() -> None:
    assert list(api.described("reports")) == list(looking.REPORTS)
    assert set(looking.REPORTS) == {command.name for command in inspect.registered_commands}


LAYER = "reader.stack.layers.0.cell"


def test_the_gates_are_told_by_kind_of_element(folder: Path) -> None:
    model = api.load(folder / "model")
    report = looking.gate_report(model, folder / "texts.tsv")
    forget = next(mean for mean in report.means if (mean.layer, mean.name) == (LAYER, "f"))
    assert {name: count for name, (_, count) in forget.kinds.items()} == {
        "capitalised": 1,
        "number": 1,
        "punctuation": 3,
        "word": 11,
    }
    values = [v for _, rows in gates(model.task, [text for text, _ in TEXTS]).of(LAYER, "f") for v in rows.mean(axis=1)]
    assert forget.mean == pytest.approx(sum(values) / len(values), rel=1e-5)
    assert {mean.name for mean in report.means} == {"i", "f", "g", "o", "c", "h"}
    assert len(str(report).splitlines()) == 7


def test_units_that_tell_what_a_pattern_matches(folder: Path) -> None:
    model = api.load(folder / "model")
    report = looking.gate_report(model, folder / "texts.tsv", pattern=r"film|so")
    assert 0 < len(report.units) <= 10
    areas = [abs(unit.area - 0.5) for _, _, unit in report.units]
    assert areas == sorted(areas, reverse=True)
    with pytest.raises(BadOption, match="says the same of every element"):
        looking.gate_report(model, folder / "texts.tsv", pattern="zzz")
    with pytest.raises(BadOption, match="is no regular expression"):
        looking.gate_report(model, folder / "texts.tsv", pattern="(")


def test_what_only_one_of_two_sides_holds_is_told_by_its_units(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pairs = [Pair(source="a b c", target="x y"), Pair(source="b a", target="y")]
    model = model_class("translator")(
        Translator.prepare(pairs, hidden_size=4, source_tokens="words", target_tokens="words")
    )
    reading.write(tmp_path / "pairs.tsv", pairs)
    report = looking.gate_report(model, tmp_path / "pairs.tsv", pattern="c")
    assert any("decoder" in mean.layer for mean in report.means)
    assert report.units
    assert not any("decoder" in layer for layer, *_ in report.units)


def test_a_model_whose_cells_read_no_elements_has_no_gates() -> None:
    with pytest.raises(BadOption, match="no cell of this model reads the examples element by element"):
        list(looking.means_of(Gates(((), ()))))


def test_without_a_file_or_a_text_there_is_nothing_to_look_at(folder: Path) -> None:
    with pytest.raises(BadOption, match="nothing to look at: give a file or a text"):
        looking.memory_report(api.load(folder / "model"), None)


def test_examples_that_are_too_short_for_a_place_are_left_out_and_counted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows = [("a", "b", "c"), ("a",), ("b", "c", "a"), ("c", "b")]
    tagged = [TaggedTokens(tokens=row, tags=row) for row in rows]
    model = model_class("tagger")(Tagger.prepare(tagged, hidden_size=4, word_size=3, characters="none"))
    (tmp_path / "test.jsonl").write_text("".join(json.dumps({"tokens": row, "tags": row}) + "\n" for row in rows))
    report = looking.saliency_report(model, tmp_path / "test.jsonl", place=2)
    assert [one.elements for one in report.answers] == [rows[0], rows[2]]
    assert report.left_out == report.to_json()["left_out"] == 2
    assert str(report).endswith("\n\ntoo short for that place, and left out: 2")
    assert "left out" not in str(looking.saliency_report(model, tmp_path / "test.jsonl"))
    with pytest.raises(NoElement, match="there is no element -4 among 3"):
        looking.saliency_report(model, tmp_path / "test.jsonl", place=-4)


def run(*words: str) -> None:
    with mock.patch.object(sys, "argv", ["unrolled", *words]), pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


@pytest.mark.parametrize(
    ("report", "options", "key"),
    [
        ("gradients", [], "flows"),
        ("gates", ["--where", "film", "--text", "so good"], "means"),
        ("saliency", ["--examples", "2", "--answer", "up"], "answers"),
        ("memory", [], "moved"),
    ],
)
def test_each_report_is_printed_and_is_json(
    folder: Path, capsys: pytest.CaptureFixture[str], report: str, options: list[str], key: str
) -> None:
    command = ["inspect", report, str(folder / "model"), "--data", str(folder / "texts.tsv"), *options]
    run(*command)
    assert len(capsys.readouterr().out.splitlines()) >= 3
    run(*command, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found[key]
