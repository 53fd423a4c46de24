"""A classifier that hears: recordings in, their spectra read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Classifier as Model
from unrolled import bundle
from unrolled.data.examples import LabelledText, Origin, Signal, Speech
from unrolled.data.spectra import Spectra
from unrolled.errors import BadData, BadOption
from unrolled.inspection import laws
from unrolled.model import model_class
from unrolled.tasks.classifier import Classifier
from unrolled.tasks.regressor import Regressor
from unrolled.tasks.transcriber import Transcriber

pytest.importorskip("kaldi_native_fbank", reason="the extra `sound` is not installed")

RATE = 8000


def tone(hertz: float, seconds: float, seed: int = 1, rate: int = RATE) -> np.ndarray:
    """With some noise, (samples, 1)."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * rate)) / rate
    found = 0.3 * np.sin(2 * np.pi * hertz * time) + 0.01 * rng.normal(size=len(time))
    return found.astype(np.float32)[:, None]


def examples() -> list[Signal]:
    """High tones and low ones, of different lengths."""
    return [
        Signal(values=tone(200 if k % 2 else 2000, 0.05 + 0.02 * k, seed=k), label=("high", "low")[k % 2], rate=RATE)
        for k in range(6)
    ]


def made(given: list[Signal] | None = None, **options: Any) -> Classifier:
    torch.manual_seed(1)
    small = {"hidden_size": 5, "dropout": 0.0, "bands": 8, **options}
    return Classifier.prepare(examples() if given is None else given, **small).eval()


def test_recordings_that_bring_their_rate_are_heard() -> None:
    task = made()
    assert (task.options["sound"], task.options["rate"], task.options["inputs"]) == ("mel", RATE, 8)
    encoded = task.encode(examples()[0])
    spectra = Spectra("mel", RATE, bands=8).of(examples()[0].values)
    scaled = (spectra - np.array(task.options["means"])) / np.array(task.options["deviations"])
    np.testing.assert_allclose(encoded.values, scaled, rtol=1e-5)
    together = np.concatenate([task.encode(example).values for example in examples()])
    np.testing.assert_allclose(together.mean(0), 0, atol=1e-5)


def test_an_array_at_hand_that_was_filled_anew_is_heard_anew() -> None:
    task, buffer = made(), tone(200, 0.1)
    first = task.encode(Signal(values=buffer, rate=RATE)).values
    buffer[:] = tone(2000, 0.1)
    assert not np.allclose(task.encode(Signal(values=buffer, rate=RATE)).values, first)


def test_samples_may_be_numbers_as_others_are() -> None:
    task = made(sound="none")
    assert task.options["inputs"] == 1
    assert task.encode(examples()[0]).length == len(examples()[0].values)


def test_the_rate_is_that_of_most_recordings_and_others_are_resampled() -> None:
    high = Signal(values=tone(200, 0.1, rate=16_000), label="low", rate=16_000)
    task = made([*examples(), high])
    assert task.options["rate"] == RATE
    assert task.encode(high).length == task.encode(Signal(values=tone(200, 0.1), rate=RATE)).length
    assert made([*examples(), high], rate=16_000.0).options["rate"] == 16_000


def test_what_is_at_hand_is_taken_for_sound_at_the_model_s_rate() -> None:
    task = made()
    expected = task.predict([examples()[0]])[0].probabilities
    assert task.predict([examples()[0].values])[0].probabilities == expected
    assert task.predict([examples()[0].values[:, 0]])[0].probabilities == expected


def test_a_row_of_samples_is_one_recording() -> None:
    samples = examples()[0].values[:, 0]
    assert Model(made()).predict(samples).probabilities == made().predict([examples()[0]])[0].probabilities
    said = [Speech(values=one.values, rate=RATE, transcript=one.label) for one in examples()]
    writes = Transcriber.prepare(said, stacked=1, hidden_size=4, layers=1, bands=8).eval()
    wanted = writes.predict([said[0]])[0].transcript
    assert model_class("transcriber")(writes).predict(samples).transcript == wanted
    assert [one.transcript for one in model_class("transcriber")(writes).predict([samples] * 2)] == [wanted] * 2


def test_the_laws_hold_of_what_is_heard() -> None:
    task = made()
    for law in (laws.batch_mates_change_nothing, laws.order_changes_nothing, laws.loss_is_the_sum_of_its_rows):
        verdict = law(task, examples())
        assert verdict.holds, verdict
    verdict = laws.streaming_equals_the_whole(made(directions="forward"), examples())
    assert verdict.holds, verdict


def test_tones_are_told_apart(tmp_path: Path) -> None:
    model = Model(hidden_size=8, bands=8, masked_features=2, masked_steps=5)
    given = [
        Signal(values=tone(200 if k % 2 else 2000, 0.1, seed=k), label=("high", "low")[k % 2], rate=RATE)
        for k in range(40)
    ]
    model.fit(given[:32], given[32:], epochs=15, batch_rows=4)
    assert model.evaluate(given[32:])["metrics"]["accuracy"] == 1.0
    model.save(tmp_path / "m")
    again = bundle.load(tmp_path / "m")
    assert again.predict(given[:4]) == model.predict(given[:4])


def test_what_cannot_be_heard_is_named() -> None:
    short = Signal(values=tone(200, 0.02), label="low", rate=RATE, origin=Origin("all.csv", 7))
    with pytest.raises(BadData, match=r"^all\.csv:7: a recording of 20\.0 ms: a frame has 25$"):
        made().encode(short)
    with pytest.raises(BadData, match=r"^all\.csv:7: a recording of 20"):
        made([*examples(), short])
    plain = [Signal(values=one.values, label=one.label) for one in examples()]
    with pytest.raises(BadOption, match="sound=mel: the recordings do not say how many samples a second they have"):
        made(plain, sound="mel")
    assert made(plain, sound="mfcc", rate=8000.0).options["sound"] == "mfcc"
    with pytest.raises(BadOption, match="sound is an option for numbers; texts have none"):
        Classifier.prepare([LabelledText(text=x, label=x) for x in "ab"], sound="mel")


def test_a_quantity_may_be_heard_too() -> None:
    given = [Signal(values=one.values, label=str(k), rate=RATE) for k, one in enumerate(examples())]
    task = Regressor.prepare(given, hidden_size=4, bands=8)
    assert task.options["inputs"] == 8
    assert task.predict(given)[0].label is not None
