"""A file of sound, pixels or numbers is an example."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unrolled.data import reading
from unrolled.data.examples import Signal
from unrolled.data.formats.recording import Recording
from unrolled.errors import BadData, BadOption


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", np.arange(6.0).reshape(3, 2))
    return tmp_path / "a.npy"


def test_a_file_is_one_example_without_a_label(path: Path) -> None:
    (example,) = reading.read(path, Signal)
    assert example == Signal(values=np.arange(6.0).reshape(3, 2))
    assert str(example.origin) == f"{path}:1"


def test_sound_brings_its_rate(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")
    soundfile.write(tmp_path / "a.flac", np.zeros(800, dtype=np.int16), 16_000)
    (example,) = reading.read(tmp_path / "a.flac", Signal)
    assert example.rate == 16_000


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_what_is_predicted_of_it_is_written_beside_its_path(path: Path, ending: str) -> None:
    columns = {"values": "path"}
    predicted = [replace(one, label="up") for one in reading.read(path, Signal, columns=columns)]
    reading.write(path.parent / f"out.{ending}", predicted, columns=columns)
    assert reading.read(path.parent / f"out.{ending}", Signal, columns=columns) == predicted
    assert str(path) in (path.parent / f"out.{ending}").read_text()


def test_it_holds_no_label_and_is_no_stream(path: Path) -> None:
    with pytest.raises(BadOption, match="the format recording holds no label; use another format for training"):
        reading.read(path, Signal, filled=True)
    with pytest.raises(BadData, match=r"out\.npy: a recording has no place for a label; write csv, tsv or jsonl$"):
        reading.write(path.parent / "out.npy", reading.read(path, Signal))
    with pytest.raises(BadOption, match="standard input: a recording is told by its file's suffix; name a file"):
        Recording(Signal).read_stream(io.BytesIO(b""))
