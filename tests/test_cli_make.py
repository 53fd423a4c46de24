"""Data that put a memory to the test, made, learnt from and looked into on the command line."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import pytest

from unrolled import api, cli

SMALL = ("--set", "hidden_size=16", "--set", "epochs=3", "--set", "checks=1")


def run(*words: str) -> None:
    cli.app(list(words), standalone_mode=False)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of a mistake."""
    with pytest.raises(SystemExit) as stopped:
        run(*words)
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("adding")
    run("make", "adding", "--output", str(place / "data"), "--length", "8", "--train", "300", "--test", "40")
    return place


def test_it_says_how_to_train_on_what_it_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("make", "copy", "--output", str(folder / "copy"), "--length", "4", "--train", "40", "--test", "9")
    told = shlex.split(capsys.readouterr().out)
    assert told[:3] == ["unrolled", "train", "tagger"]
    run(*told[1:], "--output", str(folder / "tagger"), *SMALL, "--set", "word_size=8")
    assert api.info(folder / "tagger")["task"] == "tagger"


def test_numbers_are_trained_on_measured_predicted_and_looked_into(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model = str(folder / "data"), str(folder / "model")
    run("train", "regressor", "--data", data, "--output", model, "--set", "directions=forward", *SMALL)
    run("evaluate", model, "--data", data, "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["examples"] == 40
    run("predict", model, f"{data}/test.npz")
    found = capsys.readouterr().out.splitlines()
    assert [len(line.split("\t")) for line in found] == [1] * 40
    assert all(float(line) == float(line) for line in found)
    run("predict", model, f"{data}/test.npz", "--json")
    every = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["label"] for e in every] == found
    assert len(every[0]["values"]) == 8
    run("predict", model, f"{data}/test.npz", "--output", str(folder / "found.npz"))
    again = api.load(model).examples(folder / "found.npz")
    assert [e.label for e in again] == found
    run("check", model, "--data", data)
    assert "FAILS" not in capsys.readouterr().out
    run("inspect", "gradients", model, "--data", data, "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])
    run("doctor", model, "--data", data)
    assert "reader.stack" in capsys.readouterr().out


def test_numbers_in_json_lines_are_known_by_their_first_line(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = [{"values": [[k / 10, 1.0]] * (1 + k % 3), "label": "high" if k > 15 else "low"} for k in range(30)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run("train", "classifier", "--data", str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "m"), *SMALL)
    assert api.info(tmp_path / "m")["options"]["inputs"] == 2
    run("predict", str(tmp_path / "m"), str(tmp_path / "a.jsonl"))
    assert {json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()[-30:]} <= {"high", "low"}


def test_labels_of_numbers_come_with_their_probability(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f'{{"values": [[{k}]], "label": "{"ab"[k % 2]}"}}\n' for k in range(20))
    (tmp_path / "a.jsonl").write_text(lines)
    run("train", "classifier", "--data", str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "m"), *SMALL)
    run("predict", str(tmp_path / "m"), str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "b.npz"))
    capsys.readouterr()
    run("predict", str(tmp_path / "m"), str(tmp_path / "b.npz"))
    for line in capsys.readouterr().out.splitlines():
        label, sure = line.split("\t")
        assert label in "ab"
        assert 0.5 <= float(sure) <= 1
    monkeypatch.setattr("sys.stdin", io.StringIO("a text\n"))
    assert "the format text holds" in refused(capsys, "predict", str(tmp_path / "m"), "-", "--set", "format=text")


def test_an_array_of_another_name_is_asked_for_by_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "evaluate", str(folder / "model"), "--data", str(folder / "data"), "--set", "values=x")
    assert "unknown array 'x'" in told
    assert "label, values" in told


def test_images_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "make", "pixels", "--output", str(tmp_path / "out"), "--images", str(tmp_path))
    assert "train-images-idx3-ubyte: there is no such file" in told
    assert not (tmp_path / "out").exists()
