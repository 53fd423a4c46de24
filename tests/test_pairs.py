"""Pairs of sequences from end to end on the command line: trained, evaluated, predicted, looked into, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from unrolled import Translator, api, cli
from unrolled.data.examples import Pair

TINY = ["epochs=2", "batch_rows=8", "hidden_size=12", "encoder_hidden=12", "word_size=12", "attention_size=8"]
TINY += ["checks=1"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def unrolled(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command: (exit code, standard output, standard error)."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["unrolled", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def options(*more: str) -> list[str]:
    return [word for option in (*TINY, *more) for word in ("--set", option)]


@pytest.fixture
def parallel(tmp_path: Path) -> Path:
    """Commands and what is done, in two files each."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    verbs = {"walk": "WALK", "run": "RUN", "look": "LOOK", "jump": "JUMP"}
    lines = [(f"{v} {n}", " ".join([verbs[v]] * k)) for v, (k, n) in product(verbs, enumerate(("once", "twice"), 1))]
    for split, count in (("train", 6), ("valid", 1), ("test_2016", 1)):
        for place, language in enumerate(("en", "do")):
            (folder / f"{split}.{language}").write_text("".join(pair[place] + "\n" for pair in lines * count))
    return folder


@pytest.fixture
def model(parallel: Path, unrolled: Run, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    code, out, err = unrolled(
        *("train", "translator", "--data", parallel, "--output", folder),
        *options("source=en", "target=do"),
    )
    assert code == 0, err
    assert "exact_match" in out
    return folder


def test_two_files_of_lines_become_a_model_that_is_measured_asked_and_looked_into(
    model: Path, parallel: Path, unrolled: Run, tmp_path: Path
) -> None:
    code, out, err = unrolled("evaluate", model, "--data", parallel / "test_2016", "--json", "--set", "beam=2")
    assert code == 0, err
    found = json.loads(out)
    assert (found["task"], found["examples"]) == ("translator", 8)
    assert {"exact_match", "sequence_error_rate", "word_error_rate", "perplexity"} <= set(found["metrics"])

    code, out, err = unrolled("predict", model, parallel / "test_2016.en", "--output", tmp_path / "said.do")
    assert code == 0, err
    assert len((tmp_path / "said.do").read_text().splitlines()) == 8

    code, out, err = unrolled("predict", model, parallel / "test_2016.en", "--json", "--set", "best=2")
    assert code == 0, err
    first = json.loads(out.splitlines()[0])
    assert len(first["alternatives"]) == 1

    page, png = tmp_path / "looked.html", tmp_path / "looked.png"
    code, out, err = unrolled("inspect", "attention", model, "--text", "run twice", "--output", page, "--png", png)
    assert code == 0, err
    assert "run twice" in out
    assert page.read_text().startswith("<!doctype html>")
    assert png.read_bytes().startswith(b"\x89PNG")
    code, out, err = unrolled(
        "inspect", "attention", model, "--data", parallel / "test_2016", "--examples", 3, "--json"
    )
    assert code == 0, err
    (*_, last) = json.loads(out)["sentences"]
    assert last["source"] == ["run", "once"]
    assert last["target"] == ["RUN", "<end>"]  # the file's own, not the model's


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "beam=0"], "a beam needs a width of 1 or more, not 0"),
        (["--set", "beams=3"], "'beams'"),
        (["--set", "beam=wide"], "option 'beam' takes int, not 'wide'"),
        (["--set", "target=fr"], "unknown language 'fr'"),
    ],
)
def test_what_cannot_be_is_one_message(
    model: Path, parallel: Path, unrolled: Run, words: list[str], message: str
) -> None:
    code, out, err = unrolled("evaluate", model, "--data", parallel / "test_2016", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text + "walk\n", "train.en"),
        (lambda text: text.replace("walk twice", "", 1), "train.en:2"),
    ],
)
def test_files_that_do_not_go_together_are_named(
    parallel: Path, unrolled: Run, tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    path = parallel / "train.en"
    path.write_text(change(path.read_text()))
    code, _, err = unrolled(
        *("train", "translator", "--data", parallel, "--output", tmp_path / "no"), *options("source=en", "target=do")
    )
    assert code == 2
    assert message in err
    assert not (tmp_path / "no").exists()


def test_a_target_longer_than_the_limit_is_named(parallel: Path, unrolled: Run, tmp_path: Path) -> None:
    code, _, err = unrolled(
        *("train", "translator", "--data", parallel, "--output", tmp_path / "no"),
        *options("source=en", "target=do", "longest=1"),
    )
    assert code == 2
    assert "train.en:1: the source has 2 tokens, and longest=1 is the limit" in err


def test_stories_are_read_and_asked(unrolled: Run, tmp_path: Path) -> None:
    data, folder = tmp_path / "qa1_train.txt", tmp_path / "model"
    places = ("hall", "garden", "attic")
    data.write_text(
        "".join(
            f"1 Ann went to the {p}.\n2 Bob went to the {q}.\n3 Where is Ann?\t{p}\t1\n" for p in places for q in places
        )
        * 3
    )
    code, _, err = unrolled(
        *("train", "answerer", "--data", data, "--output", folder), *options("format=babi", "epochs=1")
    )
    assert code == 0, err
    code, out, err = unrolled("evaluate", folder, "--data", data, "--json")
    assert code == 0, err
    assert json.loads(out)["metrics"].keys() == {"exact_match", "f1", "perplexity"}


def test_translations_do_not_depend_on_batch_mates_or_threads(model: Path, parallel: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    loaded = api.load(model)
    sources = (parallel / "train.en").read_text().splitlines()
    together = [pair.target for pair in loaded.predict(sources, batch_rows=64)]
    assert [loaded.predict(source).target for source in sources] == together
    assert [pair.target for pair in loaded.predict(sources[::-1])] == together[::-1]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda part: [pair.target for pair in loaded.predict(part)], [sources, sources[::-1]]))
    assert found == [together, together[::-1]]


def test_a_training_that_was_resumed_is_one_that_was_not_interrupted(parallel: Path, tmp_path: Path) -> None:
    """With tied weights, which a checkpoint holds once."""
    from unrolled import recipe

    def begun(name: str) -> recipe.Recipe:
        told = dict(option.split("=") for option in (*TINY, "source=en", "target=do", "tied=target"))
        return recipe.build("translator", parallel, told, output=tmp_path / name, seed=3)

    whole = list(api.train(begun("whole")))[-1]
    events = api.train(begun("cut"))
    for _ in range(6):
        next(events)
    events.close()
    again = list(api.train(begun("cut"), resumed=True))[-1]
    assert isinstance(whole, api.Finished)
    assert isinstance(again, api.Finished)
    for (name, one), other in zip(
        whole.model.task.state_dict().items(), again.model.task.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_in_python_it_is_fitted_and_asked_like_any_other() -> None:
    pairs = [Pair(source=word, target=" ".join(word)) for word in ("ab", "ba", "aab", "bab")] * 4
    made = Translator(hidden_size=8, encoder_hidden=8, word_size=8, attention_size=4).fit(pairs, pairs, epochs=1)
    said = made.predict(["ab", "ba"], beam=2, best=2)
    assert [pair.source for pair in said] == ["ab", "ba"]
    assert all(len(pair.alternatives or ()) == 1 for pair in said)
