"""The functions behind every face: training into a folder, what stands in the way, and what a folder says of itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled import api, bundle
from unrolled.errors import BadData, BadModel, BadOption, Busy, CannotWrite, NotFinite, UnknownName
from unrolled.inspection import laws
from unrolled.recipe import Recipe, build, from_toml
from unrolled.training.events import Check, Planned, Saved, Step

SMALL = {"hidden_size": 4, "word_size": 4, "characters": "none", "epochs": 2, "checks": 3, "batch_rows": 8}


def reviews(count: int, start: int = 0) -> str:
    rows = ["text\tlabel"]
    for k in range(start, start + count):
        good = (k * 7) % 3 > 0
        rows.append(f"the {'fine' if good else 'dull'} film number {k}\t{'pos' if good else 'neg'}")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for k, (name, count) in enumerate((("train", 32), ("valid", 10), ("test", 10))):
        (folder / f"{name}.tsv").write_text(reviews(count, 100 * k))
    return folder


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "model"
    run(recipe(data, folder))
    return folder


def recipe(data: Path, output: Path | None, **options: Any) -> Recipe:
    return build("classifier", data, {**SMALL, **options}, output=output)


def run(what: Recipe, **how: Any) -> api.Finished:
    last = list(api.train(what, **how))[-1]
    assert isinstance(last, api.Finished)
    return last


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return bundle.load(folder).state_dict()


def same(a: Path, b: Path) -> bool:
    return all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())


# ---------------------------------------------------------------------------------------------- training


def test_a_training_tells_its_plan_its_steps_its_checks_and_its_end(data: Path, tmp_path: Path) -> None:
    events = list(api.train(recipe(data, tmp_path / "m")))
    assert isinstance(events[0], Planned)
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 9))
    checks = [e for e in events if isinstance(e, Check)]
    assert len(checks) == 3
    assert any(isinstance(e, Saved) for e in events)
    end = events[-1]
    assert isinstance(end, api.Finished)
    assert end.folder == str(tmp_path / "m")
    assert end.scores in [dict(check.scores) for check in checks if check.best]
    assert end.test is None


def test_a_finished_folder_documents_itself(model: Path, data: Path) -> None:
    names = {path.name for path in model.iterdir()}
    assert names - {".lock"} == {
        *("config.json", "model.safetensors", "metrics.json", "reading.json", "history.csv", "training.toml"),
        *("training.png", "README.md", "vocabulary.words.json", "vocabulary.characters.json", "vocabulary.labels.json"),
    }
    figures = json.loads((model / "metrics.json").read_text())
    assert figures["finished"] is True
    assert figures["validation"]["accuracy"] == max(
        float(line.split(",")[5]) for line in (model / "history.csv").read_text().splitlines()[1:]
    )
    assert (model / "training.png").read_bytes()[:4] == b"\x89PNG"
    card = (model / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: unrolled\ntags: ["classifier", "recurrent", "lstm"]\n---\n')
    for words in (
        "# Classifier trained on ",
        "from unrolled import Classifier",
        "| hidden_size | 4 |",
        "| accuracy | ",
    ):
        assert words in card


def test_the_recipe_of_a_finished_run_gives_the_same_weights_bit_for_bit(model: Path, tmp_path: Path) -> None:
    again = from_toml(model / "training.toml")
    run(replace(again, output=str(tmp_path / "again")))
    assert same(model, tmp_path / "again")


def test_the_recipe_of_a_run_by_the_clock_gives_the_same_weights_too(data: Path, tmp_path: Path) -> None:
    timed = replace(recipe(data, tmp_path / "a", epochs=30), minutes=0.02)
    run(timed)
    again = from_toml(tmp_path / "a" / "training.toml")
    assert again.minutes is None
    assert again.training.epochs <= 30
    run(replace(again, output=str(tmp_path / "b")))
    assert same(tmp_path / "a", tmp_path / "b")


def test_the_recipe_of_a_run_whose_time_changed_its_plan_gives_the_same_weights_too(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unrolled.training.budget.epochs_for", lambda *_: (1000.0, 1.0))
    run(replace(recipe(data, tmp_path / "a"), minutes=0.02))
    text = (tmp_path / "a" / "training.toml").read_text()
    assert "\n# It was slower: up to the steps under [plans] other epochs were planned.\n" in text
    again = from_toml(tmp_path / "a" / "training.toml")
    assert again.plans[min(again.plans)] == 1000.0
    assert again.training.epochs < 1000.0
    run(replace(again, output=str(tmp_path / "b")))
    assert same(tmp_path / "a", tmp_path / "b")
    assert from_toml(tmp_path / "b" / "training.toml").plans == again.plans


def test_another_seed_gives_other_weights(model: Path, data: Path, tmp_path: Path) -> None:
    run(replace(recipe(data, tmp_path / "m"), seed=2))
    assert not same(model, tmp_path / "m")


def test_a_single_file_is_parted_and_its_last_part_measured_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "all.tsv").write_text(reviews(50))
    end = run(recipe(tmp_path / "all.tsv", tmp_path / "m"))
    assert end.test is not None
    assert set(end.test) == {"accuracy", "macro_f1", "matthews", "auroc", "auprc"}
    assert json.loads((tmp_path / "m" / "metrics.json").read_text())["test"] == end.test
    assert "on a part held out from training and choice" in (tmp_path / "m" / "README.md").read_text()


def test_without_an_output_nothing_is_written(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    end = run(recipe(data, None))
    assert end.folder is None
    assert list(tmp_path.iterdir()) == []
    assert end.model.predict("a fine film").label in ("pos", "neg")


# ---------------------------------------------------------------------------------------------- interrupted


def interrupt(events: Iterator[Any], step: int) -> None:
    for event in events:
        if isinstance(event, Saved) and event.step >= step:
            events.close()  # type: ignore[attr-defined]
            return
    raise AssertionError("it was over before")


def test_an_interrupted_run_goes_on_and_ends_as_if_nothing_had_been(model: Path, data: Path, tmp_path: Path) -> None:
    what = recipe(data, tmp_path / "m")
    interrupt(api.train(what), 2)
    kept = api.unfinished(tmp_path / "m")
    assert kept == what
    with pytest.raises(CannotWrite, match=r"m already holds an unfinished training: resume it, choose another output"):
        run(what)
    run(kept, resumed=True)
    assert same(model, tmp_path / "m")
    assert (tmp_path / "m" / "history.csv").read_text().count("\n") == (model / "history.csv").read_text().count("\n")
    assert api.unfinished(tmp_path / "m") is None
    with pytest.raises(CannotWrite, match="is finished; there is nothing to resume"):
        run(what, resumed=True)


def test_a_run_is_resumed_as_what_it_was_or_not_at_all(data: Path, tmp_path: Path) -> None:
    interrupt(api.train(recipe(data, tmp_path / "m", dropout=0.2)), 2)
    other = replace(recipe(data, tmp_path / "m", dropout=0.3, pooling="mean"), seed=2)
    with pytest.raises(BadOption) as raised:
        run(other, resumed=True)
    assert str(raised.value) == (
        "this run cannot be resumed with other options: "
        "seed was 1, is now 2; dropout was 0.2, is now 0.3; pooling was not given, is now 'mean'"
    )
    with pytest.raises(BadOption, match=r"weight_decay was .*, is now 0\.5"):
        run(recipe(data, tmp_path / "m", dropout=0.2, weight_decay=0.5), resumed=True)
    with pytest.raises(BadOption, match="resume goes on with a training and overwrite drops it: choose one"):
        run(other, resumed=True, overwrite=True)
    run(other, overwrite=True)


# ---------------------------------------------------------------------------------------------- in the way


def test_a_model_is_not_written_over_unasked(model: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    with pytest.raises(CannotWrite, match=r"m already holds a model: choose another output, or overwrite it"):
        run(recipe(data, tmp_path / "m", hidden_size=3))
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before
    run(recipe(data, tmp_path / "m", hidden_size=3), overwrite=True)
    assert bundle.load(tmp_path / "m").options["hidden_size"] == 3


def test_a_run_that_fails_leaves_the_model_that_was_there(model: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "m")
    bad = tmp_path / "bad"
    shutil.copytree(data, bad)
    (bad / "valid.tsv").write_text("text\tlabel\n\tpos\n")
    with pytest.raises(BadData, match=r"valid\.tsv:2: an empty text"):
        run(recipe(bad, tmp_path / "m"), overwrite=True)
    assert same(model, tmp_path / "m")
    assert not (tmp_path / "m" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("options", "files", "error"),
    [
        ({"word_size": 0}, {}, BadOption),
        ({}, {"train.tsv": ""}, BadData),
        ({}, {"valid.tsv": ""}, BadData),
        ({}, {"train.tsv": "text\tlabel\nx\n"}, BadData),
        ({}, {"valid.tsv": "text\tlabel\n\tpos\n"}, BadData),
        ({"vectors": "none.vec"}, {}, BadData),
        ({"text": "txt"}, {}, UnknownName),
    ],
    ids=["size", "no-training", "no-validation", "columns", "empty-text", "vectors", "column"],
)
def test_a_run_that_cannot_begin_leaves_nothing_behind(
    data: Path, tmp_path: Path, options: dict[str, Any], files: dict[str, str], error: type[Exception]
) -> None:
    shutil.copytree(data, tmp_path / "data")
    for name, text in files.items():
        (tmp_path / "data" / name).write_text(text)
    with pytest.raises(error):
        run(recipe(tmp_path / "data", tmp_path / "runs" / "m", **options))
    assert not (tmp_path / "runs" / "m").exists()


def test_a_training_that_diverges_says_so_and_keeps_its_last_checkpoint(data: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFinite, match="is not finite at step"):
        run(recipe(data, tmp_path / "m", learning_rate=1e30, clip_norm=0, optimizer="sgd", epochs=20))
    assert (tmp_path / "m" / "checkpoints").exists()


HOLD = """
import sys, filelock
with filelock.FileLock(sys.argv[1] + "/.lock"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_run(tmp_path: Path) -> Iterator[Path]:
    """A folder into which another process writes."""
    folder = tmp_path / "busy"
    folder.mkdir()
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield folder
        process.kill()


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resumed": True}])
def test_two_runs_do_not_write_into_one_folder(data: Path, other_run: Path, how: dict[str, bool]) -> None:
    with pytest.raises(Busy, match=r"another run is writing into .*busy: wait for it, or choose another output"):
        run(recipe(data, other_run), **how)
    assert [path.name for path in other_run.iterdir()] == [".lock"]


def test_the_lock_of_a_killed_run_is_free(data: Path, other_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    run(recipe(data, folder))


def test_an_output_where_a_file_is(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below", "file/far/below"):
        with pytest.raises(CannotWrite, match=r"cannot write into .*: .*file is a file, not a folder"):
            run(recipe(data, tmp_path / place), overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_output_that_one_may_not_write(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere, so what the system would answer others is put in its mouth.
    monkeypatch.setattr(api.os, "access", lambda *_: False)
    with pytest.raises(CannotWrite, match=r"cannot write into .*m: no permission to write into "):
        run(recipe(data, tmp_path / "m"))
    monkeypatch.undo()

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(CannotWrite, match=r"cannot write into .*m: Permission denied"):
        run(recipe(data, tmp_path / "m"))
    assert not (tmp_path / "m").exists()


# ---------------------------------------------------------------------------------------------- check, info, list


def test_a_check_runs_every_law_and_one_more(model: Path, data: Path) -> None:
    verdicts = list(api.check(api.load(model), data, most=6))
    assert len(verdicts) == len(laws.LAWS) + 1
    assert all(verdict.holds is not False for verdict in verdicts)
    assert verdicts[-1].law == "saved equals loaded"
    (law,) = [verdict for verdict in verdicts if verdict.holds is None]
    assert law.law == "streaming equals the whole"


def test_a_check_of_a_forward_model_has_streaming_in_it(data: Path) -> None:
    end = run(recipe(data, None, directions="forward", pooling="last"))
    assert all(verdict.holds for verdict in api.check(end.model, data, most=6))


def test_a_folder_tells_what_it_is(model: Path) -> None:
    told = api.info(model)
    assert (told["task"], told["format"]) == ("classifier", 1)
    assert told["vocabularies"]["labels"] == 2
    assert told["options"]["hidden_size"] == 4
    assert told["metrics"]["finished"] is True
    assert json.loads(json.dumps(told)) == told


def test_a_folder_whose_notes_are_damaged_says_which(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "m")
    (tmp_path / "m" / "reading.json").write_text("[")
    with pytest.raises(BadModel, match=r"reading\.json is damaged: it is no JSON object"):
        api.load(tmp_path / "m")


def test_what_there_is_lists_itself() -> None:
    assert {"lstm", "gru", "elman"} <= set(api.listing("cells"))
    assert set(api.listing("tasks")) >= {"classifier", "tagger"}
    assert set(api.listing("formats")) >= {"tsv", "csv", "jsonl", "conllu", "conll", "text"}
    for what in ("cells", "tasks", "formats"):
        for name, sentence in api.described(what).items():
            assert sentence, f"{name} does not say what it is"
            assert "\n" not in sentence
    with pytest.raises(UnknownName, match="unknown listing 'cell'; did you mean 'cells'"):
        api.listing("cell")
