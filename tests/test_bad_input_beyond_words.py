"""Files of sound, music, sequences, series and pictures that are none: one message each, and nothing is written."""

from __future__ import annotations

import sys
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from unrolled.cli import main

mido = pytest.importorskip("mido", reason="the extra `music` is not installed")
pytest.importorskip("soundfile", reason="the extra `sound` is not installed")
Image = pytest.importorskip("PIL.Image", reason="the extra `pictures` is not installed")

SMALL = ("--set=hidden_size=4", "--set=epochs=1", "--set=checks=1")
SETS = {
    "classifier": ("--set=word_size=4",),
    "sounds": ("--set=values=path",),
    "transcriber": ("--set=values=path",),
    "composer": (),
    "forecaster": ("--set=horizon=3", "--set=conformal=no"),
    "captioner": ("--set=size=8", "--set=blocks=4", "--set=word_size=4", "--set=attention_size=4"),
}
"""What is set for each kind of model, beside `SMALL`."""
DAYS = [f"2024-01-{day:02}" for day in range(1, 32)]
GAP = "a gap in the series: 2024-01-13 follows 2024-01-10, where a step is a day; give the missing steps rows without"
FELL = "2024-01-11 follows 2024-01-12: each time must be later than the one before"
TEXT = b"this is a text\n"
IS_TEXT = "not a picture that can be read: its kind cannot be told, as it begins with b'this is a text\\n'"
CUT = "the file is truncated: 656 bytes of samples where it says 1,600"
NO_NOTES = "the file holds no notes: a piece has one at least"
Run = Callable[..., tuple[int, str, str]]


def sound(path: Path, kept: int | None = None) -> None:
    """A tenth of a second of noise; kept: bytes of the file."""
    noise = np.random.default_rng([*path.name.encode()]).normal(0, 3000, 800).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.tobytes())
    path.write_bytes(path.read_bytes()[:kept])


def tune(path: Path, notes: Sequence[int]) -> None:
    file, track = mido.MidiFile(ticks_per_beat=96), mido.MidiTrack()
    for note in notes:
        track += [mido.Message(kind, note=note, time=96 * (kind == "note_off")) for kind in ("note_on", "note_off")]
    file.tracks.append(track)
    file.save(str(path))


def series(times: Sequence[str]) -> str:
    return "time,value\n" + "".join(f"{time},{k % 7 + k / 10}\n" for k, time in enumerate(times))


def make(folder: Path) -> None:
    """Good files of every kind, and bad ones."""
    for k in range(12):
        sound(folder / f"{k}.wav")
        pixels = np.random.default_rng(k).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    for name in ("tunes", "some tunes"):
        (folder / name / "train").mkdir(parents=True)
        (folder / name / "valid").mkdir()
        for k in range(6):
            tune(folder / name / ("train" if k < 4 else "valid") / f"{k}.mid", [60 + k, 62, 64])
    tune(folder / "some tunes" / "train" / "silent.mid", [])
    tune(folder / "silent.mid", [])
    sound(folder / "cut.wav", kept=700)
    (folder / "text.png").write_bytes(TEXT)
    tables = {"said": ("path,transcript", "wav"), "heard": ("path,label", "wav"), "seen": ("image,caption", "png")}
    for name, (header, ending) in tables.items():
        rows = f"{header}\n" + "".join(f"{k}.{ending},{'ab'[k % 2]}\n" for k in range(12))
        (folder / f"{name}.csv").write_text(rows)
        bad = "cut.wav" if ending == "wav" else "text.png"
        (folder / f"{name} badly.csv").write_text(f"{rows}{bad},a\n")
    records = "".join(f">s{k} label={'ab'[k % 2]}\n{'MAAKDVKF'[k % 8 :]}GND\n" for k in range(20))
    (folder / "proteins.fasta").write_text(records)
    (folder / "no proteins.fasta").write_text(f"{records}>last label=a\nMAAK\nGN1D\n")
    (folder / "days.csv").write_text(series(DAYS))
    (folder / "gap.csv").write_text(series(DAYS[:10] + DAYS[12:]))
    (folder / "fell.csv").write_text(series([*DAYS[:10], DAYS[11], DAYS[10], *DAYS[12:]]))
    (folder / "gap later").mkdir()
    (folder / "gap later" / "train.csv").write_text(series(DAYS))
    (folder / "gap later" / "valid.csv").write_text(series([f"2024-02-{day:02}" for day in range(1, 29) if day != 9]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all files, and of a model of each kind that was trained on the good ones."""
    folder = tmp_path_factory.mktemp("files")
    make(folder)
    data = {"classifier": "proteins.fasta", "transcriber": "said.csv", "composer": "tunes"}
    data |= {"sounds": "heard.csv", "forecaster": "days.csv", "captioner": "seen.csv"}
    for kind, name in data.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["unrolled", *training(kind, name, f"{kind} model")])
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code
    return folder


def training(kind: str, data: str, output: str) -> list[str]:
    """The words of a command."""
    task = "classifier" if kind == "sounds" else kind
    return ["train", task, "--data", data, "--output", output, *SMALL, *SETS[kind]]


@pytest.fixture
def refused(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one message with which a command is refused, when nothing was written, nor anything printed."""

    def command(*words: str) -> str:
        before = {path: path.stat().st_mtime_ns for path in files.rglob("*") if path.is_file()}
        folders = {path for path in files.rglob("*") if path.is_dir()}
        monkeypatch.chdir(files)
        monkeypatch.setattr(sys, "argv", ["unrolled", *words])
        with pytest.raises(SystemExit) as end:
            main()
        seen = capsys.readouterr()
        assert end.value.code == 2, seen.err
        assert seen.out == ""
        assert "Traceback" not in seen.err
        assert {path: path.stat().st_mtime_ns for path in files.rglob("*") if path.is_file()} == before
        assert {path for path in files.rglob("*") if path.is_dir()} == folders
        return seen.err

    return command


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("transcriber", "said badly.csv", f"said badly.csv:14: cut.wav: {CUT}"),
        ("sounds", "heard badly.csv", f"heard badly.csv:14: cut.wav: {CUT}"),
        ("composer", "silent.mid", f"silent.mid: {NO_NOTES}"),
        ("composer", "some tunes", f"some tunes/train/silent.mid: {NO_NOTES}"),
        (
            "classifier",
            "no proteins.fasta",
            "no proteins.fasta:43: '1' at position 3 where a letter of a sequence is expected",
        ),
        ("forecaster", "gap.csv", f"gap.csv:12: {GAP}"),
        ("forecaster", "fell.csv", f"fell.csv:13: {FELL}"),
        ("captioner", "seen badly.csv", f"seen badly.csv:14: text.png: {IS_TEXT}"),
    ],
    ids=lambda given: str(given).split(":")[0],
)
def test_what_cannot_be_learnt_from_is_refused(refused: Callable[..., str], kind: str, data: str, message: str) -> None:
    told = refused(*training(kind, data, "runs/of it/out"))
    assert told.startswith(f"unrolled: {message}")
    assert told.count("\n") == 1


@pytest.mark.parametrize("output", [None, "found"])
@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        ("transcriber", "cut.wav", f"cut.wav: {CUT}"),
        ("transcriber", "said badly.csv", f"said badly.csv:14: cut.wav: {CUT}"),
        ("sounds", "cut.wav", f"cut.wav: {CUT}"),
        ("composer", "silent.mid", f"silent.mid: {NO_NOTES}"),
        ("classifier", "no proteins.fasta", "no proteins.fasta:43: '1' at position 3 where a letter of a sequence"),
        ("forecaster", "gap.csv", f"gap.csv:12: {GAP}"),
        ("forecaster", "fell.csv", f"fell.csv:13: {FELL}"),
        ("captioner", "text.png", f"text.png: {IS_TEXT}"),
        ("captioner", "seen badly.csv", f"seen badly.csv:14: text.png: {IS_TEXT}"),
    ],
    ids=lambda given: str(given).split(":")[0],
)
def test_what_cannot_be_predicted_is_refused(
    refused: Callable[..., str], kind: str, source: str, message: str, output: str | None
) -> None:
    endings = {"composer": ".mid", "classifier": ".fasta"}
    written = [] if output is None else ["--output", output + endings.get(kind, ".csv")]
    told = refused("predict", f"{kind} model", source, *written)
    assert told.startswith(f"unrolled: {message}")
    assert told.count("\n") == 1


def test_what_is_found_in_the_validation_leaves_nothing_either(refused: Callable[..., str]) -> None:
    told = refused(*training("forecaster", "gap later", "runs/of it/out"))
    assert "\nunrolled: gap later/valid.csv:10: a gap in the series: " in told
    assert "2024-02-10 follows 2024-02-08, where a step is a day" in told
