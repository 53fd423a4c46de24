"""Sound from files, whole or refused."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from unrolled.data.recordings import recorded
from unrolled.errors import BadData, MissingExtra

soundfile = pytest.importorskip("soundfile", reason="the extra `sound` is not installed")

TONE = (np.sin(np.arange(800) / 5) * 20_000).astype(np.int16)


def write(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    """By the standard library, which is not what reads it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def test_samples_are_between_minus_one_and_one_and_bring_their_rate(tmp_path: Path) -> None:
    found = recorded(write(tmp_path / "a.wav", TONE))
    assert found.rate == 8000
    assert found.values.shape == (800, 1)
    assert np.array_equal(found.values[:, 0], (TONE / 32768).astype(np.float32))


def test_a_channel_is_a_feature(tmp_path: Path) -> None:
    found = recorded(write(tmp_path / "a.wav", np.stack([TONE, -TONE], axis=1), rate=44_100))
    assert found.values.shape == (800, 2)
    assert np.array_equal(found.values[:, 0], -found.values[:, 1])


def test_flac_holds_the_same_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", TONE, 8000)
    assert np.array_equal(recorded(tmp_path / "a.flac").values, recorded(write(tmp_path / "a.wav", TONE)).values)


@pytest.mark.parametrize("kept", [45, 300, 1643])
def test_a_truncated_wav_file_is_named_and_not_taken_for_a_shorter_one(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "a.wav", TONE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(
        BadData, match=rf"a\.wav: the file is truncated: {kept - 44:,} bytes of samples where it says 1,600"
    ):
        recorded(path)


def test_a_wav_file_whose_size_was_not_known_when_it_was_begun_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", TONE)
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(recorded(path).values) == 800


def test_further_chunks_before_the_samples_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", TONE)
    content = path.read_bytes()
    path.write_bytes(content[:36] + b"LIST\x03\x00\x00\x00abc\x00" + content[36:])
    assert len(recorded(path).values) == 800
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BadData, match="the file is truncated: 1,590 bytes"):
        recorded(path)


def test_what_is_no_sound_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for content in (b"", b"no sound at all", b"RIFF\x24\x00\x00\x00WAVE"):
        path.write_bytes(content)
        with pytest.raises(BadData, match=r"a\.wav: not a sound file that can be read: "):
            recorded(path)
    with pytest.raises(BadData, match=r"a\.wav: the recording holds no samples$"):
        recorded(write(path, TONE[:0]))
    soundfile.write(tmp_path / "a.flac", TONE, 8000)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:-200])
    with pytest.raises(BadData, match=r"a\.flac: "):
        recorded(tmp_path / "a.flac")


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(
        MissingExtra, match=r"^reading sound needs the package soundfile: pip install 'unrolled\[sound\]'$"
    ):
        recorded(write(tmp_path / "a.wav", TONE))


def test_the_spoken_digits_are_as_many_as_published(shared_data: Path) -> None:
    paths = sorted((shared_data / "fsdd" / "recordings").glob("*.wav"))
    assert len(paths) == 3000
    some = [recorded(path) for path in paths[::100]]
    assert {one.rate for one in some} == {8000}
    assert {one.values.shape[1] for one in some} == {1}
