"""The report on the command line: its files, and what is said of mistakes in their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from unrolled import cli, reporting
from unrolled.data.examples import LabelledText
from unrolled.model import model_class
from unrolled.tasks.classifier import Classifier


def trained(folder: Path) -> tuple[Path, Path]:
    """A model and the folder of its data."""
    data = folder / "data"
    data.mkdir()
    for split in ("train", "valid", "test"):
        rows = [f"{'good' if k % 2 else 'bad'} film {k % 5} {split}\t{'up' if k % 2 else 'down'}\n" for k in range(40)]
        (data / f"{split}.tsv").write_text("text\tlabel\n" + "".join(rows))
    small = ["--set", "epochs=2", "--set", "hidden_size=8", "--set", "word_size=8", "--set", "checks=2"]
    run("train", "classifier", "--data", str(data), "--output", str(folder / "model"), *small)
    return folder / "model", data


def run(*words: str) -> None:
    cli.app(list(words), standalone_mode=False)


def test_the_command_writes_page_and_pictures_and_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = trained(tmp_path)
    capsys.readouterr()
    run("inspect", "report", str(model), "--data", str(data), "--output", str(tmp_path / "a.html"),
        "--png", str(tmp_path / "png"), "--json")  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert told["title"] == "Classifier model"
    assert told["facts"]["examples"] == "40"
    assert len(told["history"]) == 2
    assert told["calibration"]["fitted"] == 40
    names = {"training", "gradient_flow", "memory", "confusion", "calibration"}
    assert {path.stem for path in (tmp_path / "png").iterdir()} == names
    assert "Classifier model" in (tmp_path / "a.html").read_text()
    # Of a file alone the validation split is that of the training, which the model's folder tells of.
    run("inspect", "report", str(model), "--data", str(data / "test.tsv"), "--json")
    assert json.loads(capsys.readouterr().out)["calibration"] == told["calibration"]
    with pytest.raises(SystemExit):
        run("inspect", "report", str(model), "--data", str(data), "--output", str(tmp_path / "a.pdf"))
    assert "must end in .html" in capsys.readouterr().err


def test_mistakes_in_the_names_of_files_are_found_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    examples = [LabelledText(text="a b", label="up"), LabelledText(text="c", label="down")]
    model_class("classifier")(Classifier.prepare(examples, hidden_size=3, word_size=2)).save_pretrained(
        tmp_path / "model"
    )
    path = tmp_path / "nothing.tsv"
    monkeypatch.setattr(reporting, "report", None)
    (tmp_path / "file").write_text("")
    for option, value, told in (
        ("--output", "a.pdf", "must end in .html"),
        ("--output", "no/a.html", "there is no folder"),
        ("--png", "file", "cannot write into"),
    ):
        with pytest.raises(SystemExit):
            run("inspect", "report", str(tmp_path / "model"), "--data", str(path), option, str(tmp_path / value))
        assert told in capsys.readouterr().err
