"""Music: what is learnt of it and said about it, against chords counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Composer as Model
from unrolled.data.examples import Origin
from unrolled.data.music import Roll, roll, scale
from unrolled.errors import BadData, BadOption
from unrolled.tasks.composer import Composer, Transposed

SIZES = {"hidden_size": 16, "word_size": 12, "dropout": 0.0, "embedding_dropout": 0.0, "chord_size": 4, "transposed": 0}
UP_TO = {"negative_log_likelihood": float("inf"), "log_likelihood": 0.0}
TUNES = (
    [[60, 64], [62], [64, 67], [60]],
    [[60], [62, 65], [], [64, 67], [60, 64]],
    [[67], [65], [64]],
    [[48, 60], [50, 62], [52], [53, 65]],
)


def piece(steps: list[list[int]], **more: Any) -> Roll:
    return Roll(notes=roll(steps), **more)


def examples() -> list[Roll]:
    """For the laws of `test_every_task`."""
    return [piece(steps, name=str(k)) for k, steps in enumerate(TUNES)]


def perfect(given: list[Roll]) -> list[Roll]:
    """Each step foreseen."""
    return [replace(one, surprisals=(0.0,) * (len(one.notes) - 1)) for one in given]


def made(given: list[Roll] | None = None, **options: Any) -> Composer:
    torch.manual_seed(1)
    small = {**SIZES, "hidden_size": 6, "word_size": 5}
    return Composer.prepare(examples() if given is None else given, **{**small, **options}).eval()


@pytest.mark.parametrize("chords", ["independent", "nade"])
def test_before_it_has_learnt_anything_notes_are_as_likely_as_they_are_frequent(chords: str) -> None:
    task = made(chords=chords)
    with torch.no_grad():
        for name, parameter in task.output.named_parameters():
            if name in ("biases.weight", "above"):
                parameter.zero_()
    counts = sum(example.notes.sum(0) for example in examples())
    shares = (counts[21:109] + 0.5) / (sum(len(tune) for tune in TUNES) + 1)
    expected = []
    for example in examples():
        for notes in example.notes[1:, 21:109]:
            expected.append(-np.log(np.where(notes, shares, 1 - shares)).sum())
    figures = task.measure(examples())
    assert figures["negative_log_likelihood"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert figures["log_likelihood"] == -figures["negative_log_likelihood"]


def test_every_step_counts_alike_and_the_first_of_a_piece_not() -> None:
    """The convention of Bai et al. 2018: the mean over all steps that have one before them, not over pieces."""
    task, given = made(), examples()[:2]
    each = [task.measure([example])["negative_log_likelihood"] for example in given]
    assert task.measure(given)["negative_log_likelihood"] == pytest.approx((3 * each[0] + 4 * each[1]) / 7, rel=1e-6)


def test_what_comes_later_does_not_change_what_was_said_before() -> None:
    task, first = made(), TUNES[1]
    for steps in (2, 3, 4):
        before = task.collate([task.encode(piece(first[:steps]))])
        other = task.collate([task.encode(piece([*first[:steps], [90], [91]]))])
        with torch.no_grad():
            a, b = (task._losses(task._read(batch.read)[0].data, batch) for batch in (before, other))
        assert torch.equal(a, b[: len(a)])


def test_a_melody_is_gone_on_with_the_same_by_seed_and_otherwise_by_another() -> None:
    task = made()
    with torch.no_grad():
        for parameter in task.output.parameters():
            parameter.zero_()
    (one,), (again,), (other,) = (task.predict([TUNES[0]], seed=seed, steps=6) for seed in (3, 3, 4))
    assert one.following == again.following != other.following
    assert len(one.following) == 6
    assert np.array_equal(one.whole[:4], roll(TUNES[0]))
    assert np.array_equal(one.whole[4:], roll(one.following))


def test_a_key_lets_only_its_notes_sound() -> None:
    task = made()
    with torch.no_grad():
        for parameter in task.output.parameters():
            parameter.zero_()
    (found,) = task.predict([TUNES[0]], steps=8, key="Bb major")
    allowed = scale("Bb major")
    pitches = {pitch for step in found.following for pitch in step}
    assert len(pitches) > 20
    assert all(allowed[pitch] for pitch in pitches)
    assert {pitch % 12 for pitch in pitches} == {10, 0, 2, 3, 5, 7, 9}


def test_a_low_temperature_says_what_is_likeliest() -> None:
    task = made()
    with torch.no_grad():
        for parameter in task.output.parameters():
            parameter.zero_()
        task.output.biases.bias.fill_(-1.0)
        task.output.biases.bias[60 - 21] = 1.0
    (found,) = task.predict([TUNES[0]], steps=3, temperature=0.01)
    assert found.following == ((60,),) * 3


@pytest.mark.parametrize(
    ("key", "tonic"), [("C", 0), ("f# minor", 6), ("Cb major", 11), ("E♭ major", 3), ("G♯ minor", 8)]
)
def test_keys_are_named_as_musicians_do(key: str, tonic: int) -> None:
    allowed = scale(key)
    assert allowed is not None
    third = 3 if "minor" in key else 4
    assert allowed[60 + tonic]
    assert allowed[60 + tonic + third]
    assert not allowed[60 + tonic + 7 - third]


@pytest.mark.parametrize("key", ["", "H major", "C dorian", "C# sharp", "major"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadOption, match="key is a note and major or minor"):
        made().predict([TUNES[0]], key=key)


@pytest.mark.parametrize("option", [{"steps": 0}, {"temperature": 0.0}])
def test_how_to_go_on_must_make_sense(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=next(iter(option))):
        made().predict([TUNES[0]], **option)


def test_pieces_are_moved_anew_each_epoch_and_stay_themselves() -> None:
    encoded = [made().encode(example) for example in examples()]
    feed = Transposed(encoded, 5, elements=100, rows=2, seed=1)
    shifts = set()
    for epoch in range(20):
        for plan in feed.plan(epoch):
            for row, one in zip(plan[1], feed.take(plan), strict=True):
                before, after = (np.flatnonzero(notes.any(0)) for notes in (encoded[row].notes, one.notes))
                moved = after - before
                assert len(set(moved.tolist())) == 1
                assert np.array_equal(np.roll(encoded[row].notes, moved[0], axis=1), one.notes)
                shifts.add(int(moved[0]))
            assert [one.notes.tolist() for one in feed.take(plan)] == [one.notes.tolist() for one in feed.take(plan)]
    assert shifts == set(range(-5, 6))


def test_a_piece_that_would_leave_the_range_is_not_moved() -> None:
    task = made([piece([[21, 108], [60]])])
    feed = Transposed([task.encode(piece([[21, 108], [60]]))], 5, elements=100, rows=2, seed=1)
    assert all(feed.take(plan)[0].notes[0, 0] == 1 for epoch in range(9) for plan in feed.plan(epoch))


def test_notes_beyond_a_piano_are_learnt_where_there_are_some_and_otherwise_refused() -> None:
    task = made([piece([[5], [120]]), *examples()])
    assert (task.options["lowest"], task.options["highest"]) == (5, 120)
    strange = piece([[60], [12]], origin=Origin("a.mid", 1))
    with pytest.raises(BadData, match=r"a.mid:1: the pitch 12 at step 2; training had 21 to 108"):
        made().encode(strange)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there are no pieces"),
        ([[[60]]], "a piece of 1 steps: 2 or more are needed"),
        ([[[], []]], "no piece has a note"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(given: list[list[list[int]]], message: str) -> None:
    with pytest.raises(BadData, match=message):
        made([piece(steps) for steps in given])


@pytest.mark.parametrize("raw", [[[60], [200]], [[60], "C"], "C E G", [], [[True]], np.zeros((3, 88), dtype=bool)])
def test_what_is_no_music_is_refused(raw: Any) -> None:
    with pytest.raises(BadData, match=r"expected|no steps"):
        made().predict([raw])


@pytest.mark.parametrize("options", [{"lowest": 90, "highest": 60}, {"transposed": -1}, {"chord_size": 0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=next(iter(options))):
        made(**options)


def test_a_scale_is_learnt_and_gone_on_with(tmp_path: Path) -> None:
    up = [[60 + step] for step in (0, 2, 4, 5, 7, 9, 11)] * 4
    given = [piece(up[k:]) for k in range(6)]
    small = {"hidden_size": 24, "word_size": 16, "dropout": 0.0, "embedding_dropout": 0.0, "transposed": 0}
    model = Model(**small).fit(given, given[:2], epochs=120, learning_rate=1e-2, batch_rows=8)
    assert model.evaluate(given)["metrics"]["negative_log_likelihood"] < 0.2
    (found,) = model.predict([up[:10]], steps=5, temperature=0.2)
    assert [list(step) for step in found.following] == up[10:15]
    assert math.isfinite(model.evaluate(given)["metrics"]["log_likelihood"])
