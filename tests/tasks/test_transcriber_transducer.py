"""Speech to text by a transducer."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Transcriber as Model
from unrolled.data.examples import Passage, Speech
from unrolled.errors import BadOption, UnknownName
from unrolled.inspection import laws
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.transcriber import Transcriber
from unrolled.tasks.transcribing.base import Deciding

TASK = "transcriber"
SIZES = {
    "kind": "transducer", "stacked": 1, "dropout": 0.0, "symbol_size": 4, "decoder_hidden": 6, "joint_size": 6,
}  # fmt: skip
TEXTS = ("ab", "b", "abba", "a", "ba", "bab")


def spoken(text: str, seed: int = 1) -> np.ndarray:
    """Two or three steps a letter, of numbers that tell it, one of silence behind it, and some noise."""
    rng = np.random.default_rng(seed)
    steps = [[0.0, 0.0]]
    for letter in text:
        steps += [[2.0, -1.0] if letter == "a" else [-2.0, 1.5]] * int(rng.integers(2, 4)) + [[0.0, 0.0]]
    return np.array(steps) + 0.05 * rng.normal(size=(len(steps), 2))


def examples() -> list[Speech]:
    """For the laws of `test_every_task`: of different lengths, and two of one length; short, since the score is the
    log-probability of a whole way.
    """
    found = [Speech(values=spoken(text, k)[::2], transcript=text) for k, text in enumerate(TEXTS)]
    return [*found, Speech(values=found[0].values[::-1], transcript="ba")]


def made(given: list[Speech] | None = None, **options: Any) -> Transcriber:
    torch.manual_seed(1)
    small = {"hidden_size": 5, "layers": 1, **SIZES, **options}
    return Transcriber.prepare(examples() if given is None else given, **small).eval()


def test_the_loss_is_minus_the_log_probability_of_all_ways_by_enumeration() -> None:
    task = made()
    short = [Speech(values=spoken("a", k)[:4], transcript=text) for k, text in enumerate(("ab", "a", "", "bbaab"))]
    batch = task.collate([task.encode(example) for example in short])
    targets = [torch.from_numpy(target) for target in batch.targets]
    with torch.no_grad():
        rows, said_of = task.network.hear(task.reader(batch)), task.network.read(targets)
    expected = 0.0
    for heard, said, target in zip(rows, said_of, targets, strict=True):
        times, count = len(heard), len(target)
        ways = []
        for places in combinations(range(times - 1 + count), count):
            t, u, total = 0, 0, 0.0
            for move in range(times + count):
                log_p = task.network.join(heard[t : t + 1], said[u : u + 1])[0].detach()
                if move in places:
                    total, u = total + float(log_p[target[u]]), u + 1
                else:
                    total, t = total + float(log_p[len(task.symbols)]), t + 1
            ways.append(total)
        expected -= float(np.logaddexp.reduce(ways))
    loss = task.loss(batch)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 8


def test_a_transcript_may_be_longer_than_its_recording() -> None:
    one = Speech(values=spoken("a")[:1], transcript="abba")
    task = made()
    assert task.loss(task.collate([task.encode(one)])).total.isfinite()


def test_it_learns_what_is_said_and_finds_it_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    texts = ["".join(rng.choice(["a", "b"], rng.integers(1, 5))) for _ in range(100)]
    given = [Speech(values=spoken(text, k), transcript=text) for k, text in enumerate(texts)]
    model = Model(**{**SIZES, "decoder_hidden": 20, "joint_size": 20}, hidden_size=20, layers=1)
    model.fit(given[:80], given[80:], epochs=20, batch_rows=8, learning_rate=2e-2)
    figures = model.evaluate(given[80:])["metrics"]
    assert figures["symbol_error_rate"] < 0.1
    model.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").predict(given[80:]) == model.predict(given[80:])


def test_a_beam_sums_ways_and_names_further_transcripts() -> None:
    task = made()
    better = 0
    for example in examples():
        (one,), (several,) = task.predict([example], beam=1), task.predict([example], beam=16, best=3)
        better += several.score > one.score
        assert several.score >= one.score - 1e-6
        assert one.alternatives is None
        assert len(several.alternatives) == 2
        assert several.score >= several.alternatives[0][1] >= several.alternatives[1][1]
    assert better == len(examples())  # one way is never all of them


def test_no_more_is_said_at_a_step_than_it_may() -> None:
    task = made()
    with torch.no_grad():
        task.network.softmax.bias[len(task.symbols)] = -20.0  # so that it never ends
    for most in (1, 2):
        for example, found in zip(examples(), task.predict(examples(), beam=1, symbols_a_step=most), strict=True):
            assert len(found.transcript) == most * len(example.values)
    assert len(task.predict(examples()[:1], beam=1)[0].transcript) == 5 * len(examples()[0].values)


def test_a_language_model_has_its_word() -> None:
    task = made()
    lines = [Passage(text=text) for text in ("ab", "abab", "ababab") * 30]
    torch.manual_seed(2)
    language = LanguageModel.prepare(lines, tokens="characters", hidden_size=8, word_size=8, layers=1).eval()
    unsure = Speech(values=np.zeros((3, 2)))
    how: dict[str, Any] = {"beam": 400, "best": 400, "symbols_a_step": 2}
    plain = task.predict([unsure], **how)[0]
    scored = task.predict([unsure], **how, language=language, language_weight=1.0, bonus=0.25)[0]
    acoustic = dict([(plain.transcript, plain.score), *plain.alternatives])
    for text, score in [(scored.transcript, scored.score), *scored.alternatives][:20]:
        bits = sum(bits for _, bits in language.predict([Passage(text=text)])[0].surprisals)
        assert score == pytest.approx(acoustic[text] - bits * np.log(2) + 0.25 * len(text), abs=1e-3)


def test_what_it_says_of_a_step_is_behind_what_the_likeliest_said_before() -> None:
    task = made()
    long = task.encode(examples()[2])
    for example in examples()[:3]:
        encoded = task.encode(example)
        batch = task.collate([long, encoded])
        with torch.no_grad():
            (heard,) = task.network.hear(task.reader(task.collate([encoded])))
        listener = task.kind.listener(Deciding(beam=1), None)
        vectors = task.reader(task.collate([encoded])).data
        for step in range(encoded.length):
            said = listener.greedy.carried.said
            found, names = task.says(batch, step)
            torch.testing.assert_close(found[1], task.network.join(heard[step : step + 1], said)[0])
            assert names == (*task.symbols, "(none)")
            listener.hear(vectors[step : step + 1])
        last, _ = task.says(batch, -1)
        torch.testing.assert_close(last[1], task.says(task.collate([encoded]), encoded.length - 1)[0][0])


def test_what_its_recurrences_read_is_told() -> None:
    task = made()
    encoded = task.encode(examples()[0])
    assert task.sequences(encoded) == [encoded.tokens, ("(none)", "a", "b")]
    assert task.sequences(encoded._replace(target=None)) == [encoded.tokens]
    task.see(task.collate([encoded, encoded._replace(target=None)]))


def test_the_laws_hold_of_words_and_stacked_steps_and_layers() -> None:
    for options in ({"stacked": 2}, {"symbols": "words"}, {"decoder_layers": 2}, {"directions": "forward"}):
        task = made(**options)
        for law in laws.LAWS[:3]:
            verdict = law(task, examples())
            assert verdict.holds, verdict


def test_options_that_it_has_not_are_refused() -> None:
    with pytest.raises(BadOption, match=r"^length_penalty is no option of kind=transducer$"):
        made().predict(examples(), length_penalty=0.5)
    with pytest.raises(BadOption, match=r"^symbols_a_step must be 1 or more, not 0$"):
        made().predict(examples(), symbols_a_step=0)
    with pytest.raises(BadOption, match=r"^symbols_a_step is no option of kind=ctc$"):
        made(kind="ctc").predict(examples(), symbols_a_step=2)
    with pytest.raises(UnknownName, match=r"^unknown kind of transcriber 'transducers'; did you mean 'transducer'\?$"):
        made(kind="transducers")
    with pytest.raises(BadOption, match=r"^kind=transducer has no attention to draw; kind=attention has$"):
        made().align(examples())
