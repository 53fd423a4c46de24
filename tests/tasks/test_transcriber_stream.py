"""A transcriber that says what it hears while sound comes: the same, however the sound is parted."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled import Transcriber as Model
from unrolled import cli
from unrolled import state as states
from unrolled.data.examples import Speech
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.tasks.transcriber import Transcriber

pytest.importorskip("kaldi_native_fbank", reason="the extra `sound` is not installed")

RATE = 8000
HERTZ = {"a": 300.0, "b": 900.0, "c": 2500.0}


def said(text: str, seed: int = 1) -> np.ndarray:
    """A tone a letter, 60 to 90 ms, 40 ms of silence behind it, and some noise; (samples, 1), of 16 bits."""
    rng, parts = np.random.default_rng(seed), [np.zeros(400)]
    for letter in text:
        time = np.arange(int(rng.integers(480, 720))) / RATE
        parts += [0.3 * np.sin(2 * np.pi * HERTZ[letter] * time), np.zeros(320)]
    whole = np.concatenate(parts)
    found: np.ndarray = ((whole + 0.003 * rng.normal(size=len(whole))) * 32767).astype("<i2")[:, None]
    return found


def examples() -> list[Speech]:
    texts = ("ab", "c", "abcab", "a", "ccba", "bab", "cab")
    return [Speech(values=said(text, k), transcript=text, rate=RATE) for k, text in enumerate(texts)]


def made(**options: Any) -> Transcriber:
    """Untrained, and with weights so large that there is much to say of every recording."""
    torch.manual_seed(3)
    small = {"hidden_size": 6, "layers": 1, "dropout": 0.0, "bands": 8, "directions": "forward", "symbol_size": 4}
    task = Transcriber.prepare(examples(), **{**small, "decoder_hidden": 5, "joint_size": 6, **options}).eval()
    with torch.no_grad():
        for parameter in task.parameters():
            parameter.mul_(3.0)
    return task


VARIANTS: dict[str, dict[str, Any]] = {
    "ctc": {"kind": "ctc"},
    "transducer": {"kind": "transducer"},
    "every frame": {"kind": "ctc", "stacked": 1, "connections": "skip", "sound": "mfcc"},
    "other frames": {"kind": "transducer", "stacked": 2, "frame_shift": 12.5, "cell": "gru", "layers": 2},
}


@pytest.fixture(scope="module", params=VARIANTS)
def task(request: pytest.FixtureRequest) -> Transcriber:
    return made(**VARIANTS[request.param])


def parted(given: bytes, cuts: list[int]) -> list[bytes]:
    return [given[a:b] for a, b in pairwise([0, *sorted(min(cut, len(given)) for cut in cuts), len(given)])]


def answers(task: Transcriber, pieces: list[bytes], **options: Any) -> list[dict[str, Any]]:
    streamer = task.stream(**options)
    found = [answer for piece in pieces for answer in streamer.read(piece)]
    return found + list(streamer.finish())


def transcript(found: list[dict[str, Any]]) -> str:
    return "".join(answer["element"] for answer in found)


def test_there_is_something_to_say(task: Transcriber) -> None:
    found = [one.transcript for one in task.predict(examples(), beam=1)]
    assert len(set(found)) > 3
    assert sum(map(len, found)) > 20


@settings(max_examples=25, deadline=None)
@given(which=st.integers(0, 6), cuts=st.lists(st.integers(0, 12_000), max_size=8), short=st.integers(0, 200))
def test_however_sound_is_parted_what_is_said_is_that_of_the_whole(
    task: Transcriber, which: int, cuts: list[int], short: int
) -> None:
    values = examples()[which].values
    values = values[: len(values) - short]
    (whole,) = task.predict([Speech(values=values, rate=RATE)], beam=1)
    found = answers(task, parted(values.tobytes(), cuts))
    assert transcript(found) == whole.transcript
    assert found == answers(task, [values.tobytes()])
    seconds = [answer["seconds"] for answer in found]
    assert seconds == sorted(seconds)


def test_sample_by_sample_each_symbol_comes_as_soon_as_its_step_is_whole(task: Transcriber) -> None:
    values = examples()[0].values
    (whole,) = task.predict([Speech(values=values, rate=RATE)], beam=1)
    streamer, found = task.stream(), []
    for heard in range(len(values)):
        for answer in streamer.read(values[heard : heard + 1].tobytes()):
            assert answer["seconds"] == pytest.approx((heard + 1) / RATE)
            found.append(answer)
    assert transcript([*found, *streamer.finish()]) == whole.transcript
    assert len(found) > 1


def as_wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, RATE, 0, "NONE", ""))
        written.writeframes(samples)
    return file.getvalue()


def test_a_header_is_no_sound(task: Transcriber) -> None:
    given_ = examples()[2].values.tobytes()
    for cuts in ([], [7], list(range(60))):
        assert answers(task, parted(as_wav(given_), cuts)) == answers(task, [given_])


@pytest.mark.parametrize("cut", [0, 1, 399, 1001, 2640, 5003])
def test_what_is_kept_in_a_file_goes_on_as_if_it_had_not_ended(task: Transcriber, cut: int, tmp_path: Path) -> None:
    given_ = examples()[2].values.tobytes()
    first = task.stream()
    found = list(first.read(given_[:cut]))
    before = len(list(first.finish()))  # an end that is asked for is none of what is kept
    assert before == len(list(first.finish()))
    states.save(first.state, tmp_path / "kept")
    second = task.stream(states.load(tmp_path / "kept"))
    found += [*second.read(given_[cut:]), *second.finish()]
    assert found == answers(task, [given_])


@pytest.mark.parametrize("headed", [True, False])
def test_behind_a_whole_file_a_state_goes_on_with_another_or_with_samples(task: Transcriber, headed: bool) -> None:
    one, other = (examples()[k].values.tobytes() for k in (2, 3))
    first = task.stream()
    found = list(first.read(as_wav(one)))
    second = task.stream(first.state)
    found += [*second.read(as_wav(other) if headed else other), *second.finish()]
    assert found == answers(task, [one + other])


def test_a_state_that_is_kept_stays_what_it_was_whatever_is_heard(task: Transcriber) -> None:
    sound, other = examples()[2].values.tobytes(), examples()[4].values.tobytes()
    first = task.stream()
    list(first.read(sound[:2641]))
    kept = first.state
    copied = states.tree_map(torch.clone, kept)
    wanted = list(task.stream(copied).read(sound[2641:]))
    list(first.read(other))
    second, third, found = task.stream(kept), task.stream(kept), []
    for piece in parted(sound[2641:], [1001, 4000]):
        found += second.read(piece)
        list(third.read(other))
    assert transcript(found) == transcript(wanted)
    assert all(torch.equal(a, b) for a, b in zip(states.leaves(kept), states.leaves(copied), strict=True))


def test_a_stream_does_not_grow(task: Transcriber) -> None:
    streamer, piece = task.stream(), said("abc").tobytes()

    def hear(times: int) -> None:
        for _ in range(times):
            for _ in streamer.read(piece):
                pass

    hear(5)
    tracemalloc.start()
    hear(5)
    before = tracemalloc.get_traced_memory()[0]
    hear(20)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 4 * len(piece)  # of twenty pieces that were heard, whose samples take twice as much
    leaves = states.leaves(streamer.state)
    assert sum(leaf.numel() for leaf in leaves) < 1000


def test_nothing_is_said_of_nothing_and_of_less_than_a_frame(task: Transcriber) -> None:
    assert answers(task, []) == answers(task, [b"\0"]) == answers(task, [bytes(398)]) == []


def test_a_bound_is_kept_and_searching_refused() -> None:
    task = made(kind="transducer")
    with torch.no_grad():
        task.network.softmax.bias[len(task.symbols)] = -60.0
    one = examples()[3]
    for most in (1, 2):
        (whole,) = task.predict([one], beam=1, symbols_a_step=most)
        assert transcript(answers(task, [one.values.tobytes()], symbols_a_step=most)) == whole.transcript
        assert len(whole.transcript or "") == most * task.encode(one).length
    with pytest.raises(BadOption, match="a stream says the likeliest at each step and does not search: beam must be 1"):
        task.stream(beam=4)


def test_what_cannot_stream_says_why() -> None:
    with pytest.raises(BadOption, match="what is read in both directions cannot stream: train with directions=forward"):
        made(directions="both").stream()
    with pytest.raises(BadOption, match="kind=attention hears the whole before it says anything: kind=ctc and kind="):
        made(kind="attention", attention_size=4).stream()
    numbers = Transcriber.prepare(examples(), directions="forward", hidden_size=4, sound="none")
    with pytest.raises(BadOption, match="a stream is of sound, and this model reads other numbers: train with sound="):
        numbers.stream()
    with pytest.raises(BadOption, match="symbols_a_step is no option of kind=ctc"):
        made().stream(symbols_a_step=2)
    task = made()
    with pytest.raises(BadOption, match="this is no state of a stream of sound"):
        task.stream({"model": torch.zeros(32)})
    with pytest.raises(BadOption, match="this is a stream's state of another model"):
        task.stream(made(hidden_size=5).stream().state)


def test_it_learns_and_the_command_line_hears(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["".join(np.random.default_rng(k).choice(["a", "b", "c"], 1 + k % 3)) for k in range(60)]
    spoken = [Speech(values=said(text, k), transcript=text, rate=RATE) for k, text in enumerate(texts)]
    model = Model(directions="forward", hidden_size=16, layers=1, dropout=0.0, bands=12)
    model.fit(spoken[:50], spoken[50:], epochs=12, batch_rows=4, learning_rate=1e-2)
    model.save(tmp_path / "m")
    right = 0
    for one in spoken[50:54]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(one.values.tobytes())))
        command("stream", str(tmp_path / "m"), "--json", monkeypatch=monkeypatch)
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert transcript(found) == model.predict([one], beam=1)[0].transcript
        right += transcript(found) == one.transcript
    assert right >= 3
    with pytest.raises(UnknownName, match="unknown option of a stream 'chunk'"):
        model.stream(chunk=3)


def command(*words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["unrolled", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0


def test_sound_of_another_rate_is_named() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 16_000, 0, "NONE", ""))
        written.writeframes(bytes(10))
    with pytest.raises(BadData, match=r"^standard input: 16,000 samples a second where the model hears 8,000"):
        answers(made(), [file.getvalue()])
