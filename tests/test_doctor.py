"""The doctor on small real trainings: what is healthy is called so, what was made ill is found, treated, and better."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled import console_doctor, recipe
from unrolled.cli import main
from unrolled.doctor import Diagnosis, Report, doctor
from unrolled.inspection.diagnosis import Finding
from unrolled.training.events import Check, Looked, Step


@pytest.fixture
def recalled(tmp_path: Path) -> Path:
    """Texts of 30 words, of which the first says the label: what is asked for at the end stood at the beginning."""
    draw = random.Random(1)
    for split, count in (("train", 300), ("valid", 60)):
        texts = [draw.choices("ab", k=1) + draw.choices("abcdef", k=29) for _ in range(count)]
        rows = [f"{' '.join(words)}\t{'one' if words[0] == 'a' else 'two'}" for words in texts]
        (tmp_path / f"{split}.tsv").write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    return tmp_path


PLAIN = {
    "directions": "forward",
    "pooling": "last",
    "layers": 1,
    "hidden_size": 16,
    "word_size": 8,
    "characters": "none",
}
PLAIN |= {"dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0, "checks": 2}


def consulted(
    data: Path, *, treat: bool = False, distance: int | None = None, **options: Any
) -> tuple[list[Any], Report]:
    asked = recipe.build("classifier", str(data), {**PLAIN, "epochs": 2, **options})
    *events, report = doctor(asked, treat=treat, distance=distance)
    assert isinstance(report, Report)
    return events, report


def test_a_healthy_training_is_called_healthy(recalled: Path) -> None:
    events, report = consulted(recalled, forget_bias=4.0)
    assert report.is_healthy
    assert report.remedies == ()
    whens = [event.when for event in events if isinstance(event, Diagnosis)]
    assert whens[:3] == ["data", "before", "while"]
    assert whens[-1] == "after"
    assert any(isinstance(event, Looked) for event in events)
    assert len(report.plain.norms) == sum(isinstance(event, Step) for event in events)
    assert report.plain.scores == max((e.scores for e in events if isinstance(e, Check)), key=lambda s: s["accuracy"])


def test_a_gradient_that_vanishes_is_found_and_the_treatment_cures_it(recalled: Path) -> None:
    _, report = consulted(recalled, treat=True, forget_bias=-2.0, epochs=40, learning_rate=0.02)
    assert {finding.kind for finding in report.plain.diagnoses[1].findings} == {"vanishing"}
    assert [remedy.name for remedy in report.remedies[:2]] == ["chrono", "forget"]
    assert report.treated is not None
    assert report.treated.recipe.model["chrono"] == 29
    assert (report.plain.recipe.training.epsilon, report.treated.recipe.training.epsilon) == (1e-8, 1e-12)
    assert report.treated.diagnoses[1].verdict == "healthy"
    assert report.plain.scores["accuracy"] < 0.75
    assert report.treated.scores["accuracy"] > 0.95


def test_a_named_distance_decides_how_far_is_far_enough(recalled: Path) -> None:
    _, near = consulted(recalled, forget_bias=0.0, epochs=0.1, distance=2)
    _, far = consulted(recalled, forget_bias=0.0, epochs=0.1, distance=25)
    assert near.plain.diagnoses[1].verdict == "healthy"
    assert far.plain.diagnoses[1].verdict == "vanishing"
    assert far.remedies[0].options == {"chrono": 25, "epsilon": 1e-12}


def test_gradients_that_epsilon_outweighs_are_found_and_the_treatment_lets_them_count(recalled: Path) -> None:
    _, report = consulted(recalled, treat=True, forget_bias=2.0, epsilon=1, epochs=20)
    (finding,) = report.plain.findings
    assert (finding.where, finding.kind) == ("training", "faint")
    assert "% of the gradients of reader.stack.layers.0.cell." in finding.because
    assert finding.because.endswith("are smaller than 1, the epsilon of the optimizer")
    assert [dict(remedy.options) for remedy in report.remedies] == [{"epsilon": 1e-12}]
    assert report.treated is not None
    assert report.is_healthy
    assert report.treated.scores["accuracy"] > 0.95 > 0.75 > report.plain.scores["accuracy"]


def test_gates_that_saturate_where_no_gradient_came_are_told_of_and_not_treated(
    recalled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saturated = Finding("reader.stack.layers.0.cell", "saturated", "as a training ended", ("layernorm",))
    monkeypatch.setattr("unrolled.doctor._of_training", lambda course: [saturated])
    _, ill = consulted(recalled, forget_bias=-2.0, epochs=0.1)
    assert ill.plain.diagnoses[1].verdict == "vanishing"
    assert saturated in ill.plain.findings
    assert [remedy.name for remedy in ill.remedies] == ["chrono", "forget"]
    _, well = consulted(recalled, forget_bias=4.0, epochs=0.1)
    assert well.plain.diagnoses[1].verdict == "healthy"
    assert [remedy.name for remedy in well.remedies] == ["layernorm"]


def test_a_plain_network_is_offered_gates(recalled: Path) -> None:
    _, report = consulted(recalled, cell="elman", initialisation="uniform", epochs=0.1)
    assert report.plain.diagnoses[1].verdict == "vanishing"
    assert [dict(remedy.options) for remedy in report.remedies] == [{"cell": "lstm"}, {"initialisation": "orthogonal"}]


def test_a_label_that_training_never_sees_is_told_of_and_the_rest_is_looked_at(recalled: Path) -> None:
    with open(recalled / "valid.tsv", "a") as file:
        file.write("a b c d\tthree\n")
    events, report = consulted(recalled, forget_bias=4.0, epochs=0.1)
    assert [(f.kind, f.because) for f in report.plain.findings] == [
        ("labels", "labels of the validation data that training never sees: three")
    ]
    assert [event.when for event in events if isinstance(event, Diagnosis)][:2] == ["data", "before"]


def test_another_cell_is_tried_without_the_options_of_the_one_before(recalled: Path) -> None:
    options = {"cell": "elman", "cell_options": {"nonlinearity": "tanh"}, "initialisation": "uniform", "epochs": 0.1}
    _, report = consulted(recalled, treat=True, **options)
    assert report.treated is not None
    assert report.treated.broke is None
    assert (report.treated.recipe.model["cell"], "cell_options" in report.treated.recipe.model) == ("lstm", False)
    assert report.remedies[0].what.endswith("; without cell_options, which are of the present one")


def test_a_treatment_that_cannot_be_tried_does_not_cost_the_report(
    recalled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unrolled.inspection import remedies

    impossible = remedies.Remedy("gated", "a cell that is none", {"cell": "lstn"})
    monkeypatch.setitem(remedies.MAKERS, "gated", lambda given: impossible)
    _, report = consulted(recalled, treat=True, cell="elman", initialisation="uniform", epochs=0.1)
    assert report.plain.diagnoses[-1].when == "after"
    assert report.treated is not None
    assert "lstn" in (report.treated.broke or "")
    assert "the treatment cannot be tried: unknown cell 'lstn'" in console_doctor._report(report)


def test_a_loss_that_is_not_finite_ends_the_training_and_is_traced(
    recalled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unrolled.training import fit as fitting

    original = fitting._Run._gradient

    def poisoned(self: Any, piece: Any) -> Any:
        if self.counters["step"] == 3:
            with torch.no_grad():
                self.task.reader.words.weight.fill_(math.nan)
        return original(self, piece)

    monkeypatch.setattr(fitting._Run, "_gradient", poisoned)
    _, report = consulted(recalled)
    last = report.plain.diagnoses[-1]
    assert (last.verdict, last.step) == ("not finite", 4)
    (finding,) = last.findings
    assert finding.because.startswith(
        "the output of reader.words is the first that is not finite, at step 1; its weights"
    )
    assert report.plain.broke is not None
    assert not report.is_healthy


def test_the_same_seed_gives_the_same_report(recalled: Path) -> None:
    first, second = (consulted(recalled, epochs=0.5)[1].to_json() for _ in range(2))
    for report in (first, second):
        for looked in report["plain"]["diagnoses"]:
            looked.pop("step")
        report["plain"]["diagnoses"] = [d for d in report["plain"]["diagnoses"] if d["when"] != "while"]
        for seen in ("updates", "faint"):
            report["plain"].pop(seen)  # how often is looked depends on the clock
    assert first == second


def test_an_unreadable_example_is_told_of_before_anything_is_trained(recalled: Path) -> None:
    path = recalled / "train.jsonl"
    rows = [{"text": "a b", "label": "one"}, {"text": " ", "label": "two"}] * 5
    path.write_text("\n".join(map(json.dumps, rows)))
    (recalled / "train.tsv").unlink()
    events, report = consulted(recalled)
    assert not any(isinstance(event, Step) for event in events)
    assert report.plain.findings[0].kind == "unreadable"


def test_the_command_line_says_it_in_words_and_as_json(recalled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [word for name, value in {**PLAIN, "epochs": 0.2}.items() for word in ("--set", f"{name}={value}")]
    command = ["doctor", "classifier", "--data", str(recalled), *options]

    def run(*more: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main_with([*command, *more])
        return int(end.value.code or 0), *capsys.readouterr()

    code, out, err = run("--set", "forget_bias=-2", "--treat")
    assert code in (0, 1)
    assert out.startswith("verdict  vanishing\n")
    assert "remedy   chrono initialisation: gates that begin by remembering for up to 29 steps: --set chrono=29 " in out
    assert "treated" in out
    assert "before training: vanishing" in err
    code, out, _ = run("--set", "forget_bias=4", "--json")
    assert code == 0
    assert json.loads(out)["verdict"] == "healthy"


def main_with(arguments: list[str]) -> None:
    import sys
    from unittest import mock

    with mock.patch.object(sys, "argv", ["unrolled", *arguments]):
        main()


def test_a_trained_model_is_examined_as_it_is(
    recalled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from unrolled import api

    model = tmp_path / "model"
    asked = recipe.build("classifier", str(recalled), {**PLAIN, "epochs": 0.1, "forget_bias": -2.0}, output=model)
    list(api.train(asked))
    with pytest.raises(SystemExit) as end:
        main_with(["doctor", str(model), "--data", str(recalled / "valid.tsv")])
    assert end.value.code == 1
    assert capsys.readouterr().out.startswith("after training: vanishing\n  reader.stack.layers.0.cell: vanishing;")
    with pytest.raises(SystemExit) as end:
        main_with(["doctor", str(model), "--data", str(recalled / "valid.tsv"), "--treat"])
    assert end.value.code == 2
    assert "--treat and --minutes are of a training: name the task" in capsys.readouterr().err


def test_a_language_model_is_looked_at_in_its_windows(tmp_path: Path) -> None:
    draw = random.Random(1)
    for split, count in (("train", 200), ("valid", 60)):
        lines = [" ".join(draw.choices("abcdef", k=12)) for _ in range(count)]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    options = {"hidden_size": 8, "word_size": 8, "layers": 1, "epochs": 1, "checks": 1, "window": 20}
    *events, report = doctor(recipe.build("language_model", str(tmp_path), options))
    assert isinstance(report, Report)
    before = next(event for event in events if isinstance(event, Diagnosis) and event.when == "before")
    assert before.examination is not None
    (facts,) = before.examination.cells
    assert (facts.layer, facts.steps) == ("network.stack.layers.0.cell", 20)
    assert facts.flows[0].felt.min() == 1  # each element is asked for the next
