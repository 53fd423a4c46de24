"""Features of sound: those of the definition, whole or in pieces."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data import spectra as module
from unrolled.data.spectra import Ear, Spectra, mixed
from unrolled.errors import BadData, BadOption, MissingExtra, UnknownName

pytest.importorskip("kaldi_native_fbank", reason="the extra `sound` is not installed")

RATE = 8000


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=samples) * 0.1).astype(np.float32)


def by_definition(samples: np.ndarray, bands: int, shift: int) -> np.ndarray:
    """Kaldi's filter bank from its description, in NumPy and double precision."""
    length, size = 200, 256
    n = np.arange(length)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * n / (length - 1))) ** 0.85
    rows = []
    for at in range(0, len(samples) - length + 1, shift):
        frame = samples[at : at + length].astype(np.float64) * 32768
        frame = frame - frame.mean()
        frame = np.concatenate([[frame[0] * (1 - 0.97)], frame[1:] - 0.97 * frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, size)) ** 2
        rows.append(power[: size // 2])

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 1127 * np.log(1 + hertz / 700)

    low, high = mel(np.array([20.0, RATE / 2]))
    width = (high - low) / (bands + 1)
    place = mel(np.arange(size // 2) * RATE / size)
    edges = low + width * np.arange(bands)[:, None]
    up, down = (place - edges) / width, (edges + 2 * width - place) / width
    filters = np.clip(np.minimum(up, down), 0, None)
    return np.log(np.stack(rows) @ filters.T)


def test_bands_are_those_of_the_definition() -> None:
    samples = noise(2000)
    found = Spectra("mel", RATE, bands=20).of(samples)
    expected = by_definition(samples, 20, 80)
    assert found.shape == expected.shape == (23, 20)
    assert np.abs(found - expected).max() < 1e-2


def test_a_tone_is_loudest_in_the_band_of_its_pitch() -> None:
    for hertz in (300, 1000, 2500):
        tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
        loudest = Spectra("mel", RATE, bands=30).of(tone).mean(0).argmax()
        low, high = 1127 * np.log(1 + np.array([20, RATE / 2]) / 700)
        centre = low + (loudest + 1) * (high - low) / 31
        assert abs(1127 * np.log(1 + hertz / 700) - centre) <= (high - low) / 31


@pytest.mark.parametrize("kind", ["mel", "mfcc"])
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=5), samples=st.integers(200, 3000))
def test_a_recording_in_pieces_has_the_features_of_the_whole(kind, cuts, samples) -> None:
    spectra, heard = Spectra(kind, RATE), noise(samples)
    ear, found = Ear(spectra), []
    edges = [0, *sorted(min(cut, samples) for cut in cuts), samples]
    for begin, end in pairwise(edges):
        found += ear.hear(heard[begin:end])
    found += ear.finish()
    assert np.array_equal(np.stack(found), spectra.of(heard))


def test_frames_come_as_soon_as_their_last_sample_is_there() -> None:
    ear = Ear(Spectra("mel", RATE, shift=10.0))
    assert [len(ear.hear(noise(size))) for size in (199, 1, 79, 1, 160)] == [0, 1, 0, 1, 2]


def test_whole_numbers_of_sixteen_bits_and_channels_are_the_same_sound() -> None:
    whole = (noise(1000) * 32768).round().astype(np.int16)
    spectra = Spectra("mel", RATE)
    expected = spectra.of((whole / 32768).astype(np.float32))
    assert np.array_equal(spectra.of(whole), expected)
    assert np.array_equal(spectra.of(np.stack([whole, whole], axis=1)), expected)


def test_a_recording_of_another_rate_is_resampled() -> None:
    seconds = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 440 * seconds).astype(np.float32)
    spectra = Spectra("mel", RATE, bands=20)
    one, other = spectra.of(tone, 16_000.0), spectra.of(tone[::2], 8000.0)
    assert one.shape == other.shape
    assert np.abs(one - other)[2:-2].max(axis=0)[3] < 0.1
    assert np.array_equal(spectra.of(tone[::2]), other)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(199, dtype=np.float32), r"^a recording of 24\.9 ms: a frame has 25$"),
        (np.zeros(0, dtype=np.float32), r"^an array of float32, shape \(0,\): samples, or samples of channels"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array([0.0, np.nan, np.inf]), r"^sample 2 is no number$"),
        (np.array([1, 2], dtype=np.int64), r"^samples of int64: numbers in \[-1, 1\] or whole numbers of 16 bits"),
        (np.array(["a"]), r"^an array of <U1"),
    ],
)
def test_what_is_no_sound_is_refused(samples, message) -> None:
    with pytest.raises(BadData, match=message):
        Spectra("mel", RATE).of(samples)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kind": "mels"}, UnknownName, "unknown kind of features of sound 'mels'; did you mean 'mel'"),
        ({"rate": 0}, BadOption, "rate must be a whole number of samples a second, 1000 or more, not 0"),
        ({"rate": 8000.5}, BadOption, r"not 8000\.5"),
        ({"bands": 2}, BadOption, r"bands must be in \[3, 128\], not 2"),
        ({"shift": 0.5}, BadOption, r"frame_shift must be in \[1, 25\] milliseconds, not 0\.5"),
    ],
)
def test_what_cannot_be_computed_is_refused(options, error, message) -> None:
    with pytest.raises(error, match=message):
        Spectra(**{"kind": "mel", "rate": RATE, **options})


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    with pytest.raises(MissingExtra, match=r"^hearing sound needs the package kaldi-native-fbank: pip install"):
        Ear(Spectra("mel", RATE))


def test_what_is_remembered_is_computed_once_and_goes_with_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    of = Spectra.of
    monkeypatch.setattr(Spectra, "of", lambda self, *given: computed.append(self) or of(self, *given))
    samples, before = noise(1000), len(module._REMEMBERED)
    found = [Spectra("mel", RATE, bands).remembered(samples, RATE) for bands in (20, 20, 30)]
    assert found[0] is found[1]
    assert len(computed) == 2
    for one, bands in zip(found[1:], (20, 30), strict=True):
        assert np.array_equal(one, of(Spectra("mel", RATE, bands), samples, RATE))
    assert len(module._REMEMBERED) == before + 1
    del samples
    assert len(module._REMEMBERED) == before


def test_mixing_is_the_mean_of_the_channels() -> None:
    assert mixed(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist() == [0.5, 0.5]
