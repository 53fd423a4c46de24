"""A language model on the command line: trained, measured, asked what comes next, and left to write."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from unrolled import Classifier, api, cli
from unrolled.data import reading
from unrolled.data.examples import LabelledText, Passage
from unrolled.data.music import Roll, roll
from unrolled.errors import BadOption, UnknownName
from unrolled.tasks.language_model import LanguageModel

LINES = [
    f"the {noun} {verb} the {other}"
    for noun in ("dog", "cat")
    for verb in ("sees", "likes")
    for other in ("bird", "fish")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("language")
    (place / "text.txt").write_text("".join(f"{line}\n" for line in LINES * 6))
    cli.app(
        [
            *("train", "language_model", "--data", str(place / "text.txt"), "--output", str(place / "model")),
            *("--set", "hidden_size=16", "--set", "word_size=16", "--set", "batch_rows=2", "--set", "window=6"),
            *(
                "--set",
                "epochs=20",
                "--set",
                "learning_rate=0.02",
                "--set",
                "dropout=0",
                "--set",
                "embedding_dropout=0",
                "--set",
                "output_dropout=0",
                "--set",
                "type_dropout=0",
                "--set",
                "checks=2",
            ),
        ],
        standalone_mode=False,
    )
    return place


def run(*words: str) -> None:
    cli.app(list(words), standalone_mode=False)


def test_it_is_measured_on_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate", str(folder / "model"), "--data", str(folder / "text.txt"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "language_model"
    assert found["examples"] == len(LINES) * 6
    assert 1 < found["metrics"]["perplexity"] < 10
    assert found["metrics"]["unknown"] == 0


def test_it_says_what_comes_next(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "begun.txt"
    source.write_text("the dog\n")
    run("predict", str(folder / "model"), str(source), "--json", "--set", "likeliest=2")
    said = json.loads(capsys.readouterr().out)
    assert said["text"] == "the dog"
    assert {one["element"] for one in said["following"]} == {"sees", "likes"}
    assert [one["element"] for one in said["surprisals"]] == ["the", "dog", "\n"]


def test_it_writes_the_same_again_from_the_same_seed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "generate",
        str(folder / "model"),
        "--prompt",
        "the dog",
        "--length",
        "12",
        "--samples",
        "2",
        "--seed",
        "3",
    )
    run(*words)
    first = capsys.readouterr().out
    run(*words)
    assert capsys.readouterr().out == first
    assert first.startswith("the dog ")
    run(*words, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["prompt"] == "the dog"
    assert len(found["texts"]) == 2
    assert first == "\n".join(f"the dog{text}\n" for text in found["texts"])


def test_a_stop_may_be_a_line_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("generate", str(folder / "model"), "--prompt", "the cat", "--length", "50", "--stop", "\\n", "--json")
    (text,) = json.loads(capsys.readouterr().out)["texts"]
    assert "\n" not in text


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--length", "0"], "length must be 1 or more, not 0"),
        (["--samples", "0"], "samples must be 1 or more, not 0"),
        (["--temperature", "0"], "the temperature must be above 0"),
        (["--top-p", "2"], "top_p must be above 0 and at most 1"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(
    folder: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("generate", str(folder / "model"), *words)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_text_is_written_into_a_file_line_for_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("generate", str(folder / "model"), "--prompt", "the dog", "--length", "12", "--samples", "2")
    run(*words)
    printed = capsys.readouterr().out
    for name in ("out.txt", "out.jsonl", "out.csv.gz"):
        run(*words, "--output", str(tmp_path / name))
        shown = capsys.readouterr()
        assert (shown.out, shown.err.startswith("2 texts written to")) == ("", True)
        found = [line.text for line in reading.read(tmp_path / name, Passage)]
        assert found == [line for line in printed.split("\n") if line]
    assert (tmp_path / "out.txt").read_text().rstrip("\n") == printed.rstrip("\n")


@pytest.mark.parametrize(
    ("name", "more", "complaint"),
    [
        ("out.xyz", [], "no format is named: unknown file suffix '.xyz'"),
        ("out.conll", [], "the format conll holds tokens with tags, not texts"),
        ("no/out.txt", [], "there is no folder"),
        ("out.jsonl", ["--json"], "--json prints, and --output writes a file"),
        ("out.mid", ["--stop", "\\n"], "'the' where an event such as +60, -60 or >2 is expected"),
        ("out.mid", ["--samples", "2", "--length", "1"], "a MIDI file holds one piece, not 2"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is(
    folder: Path, tmp_path: Path, name: str, more: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("generate", str(folder / "model"), "--prompt", "the", *more, "--output", str(tmp_path / name))
    shown = capsys.readouterr()
    assert (stopped.value.code, shown.out) == (2, "")
    assert complaint in shown.err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two tunes, and one of them."""
    place = tmp_path_factory.mktemp("tunes")
    for split, number in (("train", 16), ("valid", 2)):
        (place / "data" / split).mkdir(parents=True)
        for k in range(number):
            events = " ".join(f"+{pitch} >2 -{pitch}" for pitch in ((60, 62, 64), (67, 65, 60))[k % 2])
            reading.write(place / "data" / split / f"{k:02}.mid", [Passage(text=events)])
    how: dict[str, object] = {
        "hidden_size": 16,
        "word_size": 16,
        "layers": 1,
        "batch_rows": 2,
        "window": 10,
        "epochs": 20,
        "checks": 2,
    }
    how |= {"learning_rate": 0.02, "tokens": "blanks", "dropout": 0, "embedding_dropout": 0, "output_dropout": 0}
    given = [word for name, value in {**how, "type_dropout": 0}.items() for word in ("--set", f"{name}={value}")]
    run("train", "language_model", "--data", str(place / "data"), "--output", str(place / "model"), *given)
    return place


@pytest.mark.parametrize(
    ("prompt", "length", "held"), [("+67", 50, ""), ("+60 >2 -60 +62", 1, " -62"), ("+60 >2 -60 +62", 2, "")]
)
def test_music_that_is_written_as_midi_is_read_again_as_it_is_printed(
    tunes: Path, tmp_path: Path, prompt: str, length: int, held: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("generate", str(tunes / "model"), "--prompt", prompt, "--length", str(length), "--top-k", "1")
    capsys.readouterr()
    run(*words, "--stop", "\\n")
    printed = capsys.readouterr().out.strip()
    assert len(printed.split()) > len(prompt.split())
    run(*words, "--stop", "\\n", "--output", str(tmp_path / "out.mid"))
    (found,) = reading.read(tmp_path / "out.mid", Passage)
    assert found.text == printed + held, "a note that still sounds ends where the events do"


@pytest.mark.parametrize("task", ["composer", "language_model"])
def test_the_grid_of_a_training_is_that_of_all_that_its_model_reads_and_writes(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model, target = tmp_path / "data", str(tmp_path / "model"), tmp_path / "new.mid"
    data.mkdir()
    sixteenths = [roll([[60 + k], [62], [64], [65], [67]] * 4) for k in range(4)]
    for k, notes in enumerate(sixteenths):
        reading.write(data / f"{k}.mid", [Roll(notes=notes, division=4)])
    more = ("--set", "tokens=blanks", "--set", "window=10") if task == "language_model" else ()
    sizes = ("--set", "hidden_size=4", "--set", "word_size=4", "--set", "epochs=1", *more)
    train = ("train", task, "--data", str(data), "--output", model, *sizes)
    with pytest.raises(SystemExit) as stopped:
        run(*train, "--set", "division=0")
    assert stopped.value.code == 2
    assert "division is steps of a quarter note, 1 to 96, not 0" in capsys.readouterr().err
    run(*train, "--set", "division=4")
    assert api.load(model).reading["division"] == 4
    if task == "composer":
        run("predict", model, str(data / "0.mid"), "--set", "steps=3", "--output", str(target))
        (found,) = reading.read(target, Roll, division=4)
        assert np.array_equal(found.notes[:20], sixteenths[0])
        assert len(found.notes) == 23
    else:
        run("generate", model, "--prompt", "+60 >1 -60 +62 >3 -62", "--length", "1", "--output", str(target))
        (found,) = reading.read(target, Passage, division=4)
        assert found.text.startswith("+60 >1 -60 +62 >3 -62")


def test_a_prediction_of_events_is_printed_and_not_written_as_music(
    tunes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", str(tunes / "model"), str(tunes / "data" / "train" / "00.mid"), "--set", "likeliest=2")
    capsys.readouterr()
    run(*words)
    assert capsys.readouterr().out.startswith(r'"\n" ')
    with pytest.raises(SystemExit) as stopped:
        run(*words, "--output", str(tmp_path / "out.mid"))
    assert stopped.value.code == 2
    assert "a MIDI file has no place for what probably comes next" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_in_python(folder: Path) -> None:
    model = api.load(folder / "model")
    assert isinstance(model.task, LanguageModel)
    texts = model.generate("the dog", samples=2, length=5, temperature=0.5)
    assert texts == model.generate("the dog", samples=2, length=5, temperature=0.5)
    assert len(texts) == 2


def test_what_writes_nothing_says_so(folder: Path) -> None:
    model = api.load(folder / "model")
    with pytest.raises(UnknownName, match="lenght"):
        model.generate("the dog", lenght=3)
    classifier = Classifier(hidden_size=4, word_size=4).fit(
        [LabelledText(text=f"a {k}", label="xy"[k % 2]) for k in range(8)], epochs=1
    )
    with pytest.raises(BadOption, match="a classifier writes no text; a language_model does"):
        classifier.generate("a")


def fed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_it_answers_to_each_element_of_standard_input(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fed("the dog sees\nthe", monkeypatch)
    run("stream", str(folder / "model"), "--set", "likeliest=2", "--json")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["element"] for answer in found] == ["the", "dog", "sees", "\n", "the"]
    assert all(answer["bits"] >= 0 and len(answer["following"]) == 2 for answer in found)
    assert {name for name, _ in found[4]["following"]} <= {"dog", "cat", "bird", "fish"}
    fed("the dog\n", monkeypatch)
    run("stream", str(folder / "model"))
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["the", "dog", "\\n"]
    assert all(len(row) == 7 for row in rows)


def test_a_stream_that_is_kept_in_a_file_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in (
        "the dog likes the bird\nthe cat likes the fish\n",
        "the dog likes",
        " the bird\nthe cat",
        " likes the fish\n",
    ):
        fed(text, monkeypatch)
        kept = [] if text.count("\n") == 2 else ["--state", str(tmp_path / "kept")]
        run("stream", str(folder / "model"), *kept)
        print("--")
    whole, *parts, _ = capsys.readouterr().out.split("--\n")
    assert "".join(parts) == whole


def test_what_a_stream_refuses_leaves_the_kept_state_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(given: bytes, *more: str) -> str:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit, match="2"):
            run("stream", str(folder / "model"), *more)
        return capsys.readouterr().err

    kept = tmp_path / "kept"
    kept.write_text("nonsense")
    assert "not a state saved by unrolled" in refused(b"the", "--state", str(kept))
    assert kept.read_text() == "nonsense"
    kept.unlink()
    found = refused(b"the \xff", "--state", str(kept))
    assert "standard input: not UTF-8: byte 0xff at position 5" in found
    assert not kept.exists()
    assert "option of a stream" in refused(b"the", "--set", "speed=3")


def test_fillings_of_a_gap_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    what = ("compare", str(folder / "model"), "--text", "the dog ___ the bird", "--choice", "fish", "--choice", "sees")
    run(*what, "--json")
    fish, sees = json.loads(capsys.readouterr().out)["alternatives"]
    assert (fish["alternative"], sees["alternative"]) == ("fish", "sees")
    assert sees["probability"] > 0.9
    run(*what)
    assert capsys.readouterr().out.splitlines()[0].endswith("sees")
