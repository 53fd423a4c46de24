"""Forecasts on the command line: whether they beat what need not learn is said in words, wherever figures are shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from unrolled import api, cli
from unrolled.doctor import Report, doctor
from unrolled.recipe import build
from unrolled.tasks._backtest import verdict

SMALL = [f"--set={o}" for o in ("hidden_size=4", "epochs=1", "checks=1", "conformal=no", "season=1", "horizon=4")]


def run(*words: str) -> None:
    cli.app(list(words), standalone_mode=False)


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random walk, of which nobody can say more than its last value."""
    path = tmp_path_factory.mktemp("prices") / "prices.csv"
    walk = 100 + np.cumsum(np.random.default_rng(3).normal(size=200))
    path.write_text("value\n" + "".join(f"{value!r}\n" for value in walk.tolist()))
    return path


@pytest.fixture(scope="module")
def model(prices: Path) -> Path:
    folder = prices.parent / "model"
    run("train", "forecaster", "--data", str(prices), "--output", str(folder), *SMALL)
    return folder


def held_out(model: Path) -> str:
    """What is to be said of the figures on the part that was held out."""
    return verdict(json.loads((model / "metrics.json").read_text())["test"])


def test_the_end_of_a_training_says_it(prices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "forecaster", "--data", str(prices), *SMALL]
    run(*words, "--output", str(tmp_path / "a"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", "validation:", "held", "verdict", "next"]
    assert lines[3] == f"verdict  {held_out(tmp_path / 'a')}"
    run(*words, "--output", str(tmp_path / "b"), "--json")
    assert json.loads(capsys.readouterr().out)["verdict"] == held_out(tmp_path / "a")


def test_an_evaluation_says_it(model: Path, prices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate", str(model), "--data", str(prices), "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == verdict(told["metrics"])
    assert " better than the " in told["verdict"]
    run("evaluate", str(model), "--data", str(prices))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split(maxsplit=1) == ["verdict", told["verdict"]]


def test_the_model_s_card_and_its_facts_say_it(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads((model / "metrics.json").read_text())["verdict"] == held_out(model)
    assert f"\nVerdict: {held_out(model)}.\n" in (model / "README.md").read_text()
    assert api.load(model).verdict == held_out(model)
    run("info", str(model))
    assert held_out(model) in capsys.readouterr().out


def test_a_prediction_says_it_beside_its_results(model: Path, prices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("predict", str(model), str(prices))
    seen = capsys.readouterr()
    assert seen.err == f"as measured in training: {held_out(model)}\n"
    assert len(seen.out.splitlines()) == 1 + 200 + 4


def test_in_a_folder_with_its_own_test_the_validation_says_it(
    prices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = prices.read_text().splitlines(keepends=True)
    (tmp_path / "train.csv").write_text("".join(lines[:160]))
    (tmp_path / "test.csv").write_text("".join([lines[0], *lines[160:]]))
    run("train", "forecaster", "--data", str(tmp_path), "--output", str(tmp_path / "m"), *SMALL)
    validation = json.loads((tmp_path / "m" / "metrics.json").read_text())["validation"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f"verdict  {verdict(validation)}"
    assert [line.split()[:3] for line in lines[3:]] == [
        ["next", "unrolled", "evaluate"],
        ["unrolled", "predict", str(tmp_path / "m")],
    ]


def test_of_what_never_changed_nothing_is_claimed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "same.csv").write_text("value\n" + "5\n" * 60)
    run("train", "forecaster", "--data", str(tmp_path / "same.csv"), "--output", str(tmp_path / "m"), *SMALL)
    figures = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert not {"skill", "mase"} & {*figures["validation"], *figures["test"]}
    assert "\nverdict  whether it beats the naive forecasts is not known: MASE is not" in capsys.readouterr().out
    small = dict(option.removeprefix("--set=").split("=") for option in SMALL)
    (report,) = [e for e in doctor(build("forecaster", str(tmp_path / "same.csv"), small)) if isinstance(e, Report)]
    assert "smape" in report.plain.scores
