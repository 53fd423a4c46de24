"""Speech to text by an encoder and a decoder with attention."""

from __future__ import annotations

from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Transcriber as Model
from unrolled.data.examples import Origin, Passage, Speech
from unrolled.errors import BadData, BadOption
from unrolled.inspection import attention, laws
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.transcriber import Transcriber

TASK = "transcriber"
SIZES = {"kind": "attention", "stacked": 1, "dropout": 0.0, "symbol_size": 4, "decoder_hidden": 6, "attention_size": 4}
TEXTS = ("ab", "b", "abba", "a", "ba", "bab")


def spoken(text: str, seed: int = 1) -> np.ndarray:
    """Three or four steps a letter, of numbers that tell it, one of silence behind it, and some noise."""
    rng = np.random.default_rng(seed)
    steps = [[0.0, 0.0]]
    for letter in text:
        steps += [[2.0, -1.0] if letter == "a" else [-2.0, 1.5]] * int(rng.integers(3, 5)) + [[0.0, 0.0]]
    return np.array(steps) + 0.05 * rng.normal(size=(len(steps), 2))


def examples() -> list[Speech]:
    """For the laws of `test_every_task`: of different lengths, and two of one length."""
    found = [Speech(values=spoken(text, k), transcript=text) for k, text in enumerate(TEXTS)]
    return [*found, Speech(values=found[0].values[::-1], transcript="ba")]


def made(given: list[Speech] | None = None, **options: Any) -> Transcriber:
    torch.manual_seed(1)
    small = {"hidden_size": 5, "layers": 1, **SIZES, **options}
    return Transcriber.prepare(examples() if given is None else given, **small).eval()


def log_p(task: Transcriber, example: Speech, text: str) -> float:
    """Of a transcript and its end, symbol by symbol."""
    memory = task.network.encode(task.reader(task.collate([task.encode(example)])))
    end, state, total = len(task.symbols), memory.state, 0.0
    with torch.no_grad():
        for before, now in zip([end, *task.symbols.encode(text)], [*task.symbols.encode(text), end], strict=True):
            logits, state = task.network.step(torch.tensor([int(before)]), state, memory)
            total += float(logits.log_softmax(1)[0, int(now)])
    return total


def test_the_loss_is_that_of_the_decoder_and_a_share_of_that_of_ctc() -> None:
    task, alone = made(label_smoothing=0.0), made(label_smoothing=0.0, ctc_share=0.0)
    alone.load_state_dict({name: value for name, value in task.state_dict().items() if "ctc" not in name})
    for text in ("ab", "b", "aa"):
        example = Speech(values=spoken("ab")[:4], transcript=text)
        batch = task.collate([task.encode(example)])
        said = -log_p(task, example, text)
        loss = alone.loss(batch)
        assert loss.total.item() == pytest.approx(said, rel=1e-5)
        assert loss.count == len(text) + 1
        with torch.no_grad():
            probabilities = task.ctc(task.reader(batch).data).log_softmax(1).double().numpy()
        ways, wanted = [], task.symbols.encode(text).tolist()
        for path in product(range(3), repeat=4):
            if [s for s, _ in groupby(path) if s != 2] == wanted:
                ways.append(sum(probabilities[k, s] for k, s in enumerate(path)))
        expected = 0.7 * said - 0.3 * float(np.logaddexp.reduce(ways))
        assert task.loss(batch).total.item() == pytest.approx(expected, rel=1e-5)


def test_a_wide_beam_finds_the_likeliest_transcript() -> None:
    task = made(longest_said=3)
    texts = ["".join(text) for count in range(3) for text in product("ab", repeat=count)]
    for example in examples():
        right = max(texts, key=lambda text, example=example: log_p(task, example, text))
        (found,) = task.predict([example], beam=20, best=20, length_penalty=0.0)
        scores = dict([(found.transcript, found.score), *found.alternatives])
        assert max((text for text in scores if len(text) < 3), key=lambda text: scores[text]) == right
        assert scores[right] == pytest.approx(log_p(task, example, right), abs=1e-5)
        (one,) = task.predict([example], beam=1, length_penalty=0.0)
        assert one.alternatives is None
        if len(one.transcript) < 3:
            assert one.score == pytest.approx(log_p(task, example, one.transcript), abs=1e-5)
        shorter = task.predict([example], beam=1)[0]
        assert shorter.score == pytest.approx(one.score / (len(one.transcript) + (len(one.transcript) < 3)), rel=1e-5)


def test_it_learns_what_is_said_and_where_it_looked(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    texts = ["".join(rng.choice(["a", "b"], rng.integers(1, 4))) for _ in range(100)]
    given = [Speech(values=spoken(text, k), transcript=text) for k, text in enumerate(texts)]
    model = Model(**{**SIZES, "decoder_hidden": 12, "attention_size": 8}, hidden_size=12, layers=1)
    model.fit(given[:80], given[80:], epochs=30, batch_rows=8, learning_rate=1e-2)
    assert model.evaluate(given[80:])["metrics"]["symbol_error_rate"] < 0.1
    model.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").predict(given[80:]) == model.predict(given[80:])


def test_what_each_symbol_looked_at_is_drawn() -> None:
    task = made()
    unknown = [Speech(values=example.values) for example in examples()]
    for example, (steps, symbols, weights) in zip(examples(), task.align(examples()), strict=True):
        assert steps == tuple(str(k + 1) for k in range(len(example.values)))
        assert symbols == (*(example.transcript or ""), "(end)")
        assert weights.shape == (len(symbols), len(steps))
        assert torch.allclose(weights.sum(1), torch.ones(len(symbols)))
    for found, (_, symbols, _) in zip(task.predict(unknown, beam=1), task.align(unknown), strict=True):
        assert "".join(symbols[:-1]) == found.transcript
    report = attention.attention(task, examples()[:2])
    assert report.summary()["sentences"] == 2


def test_what_it_says_of_a_place_of_the_transcript() -> None:
    task = made(ctc_share=0.0)
    known = examples()[0]
    batch = task.collate([task.encode(known), task.encode(examples()[2])])
    said, names = task.says(batch, -1)
    assert names == (*task.symbols, "(end)")
    assert torch.allclose(said.exp().sum(1), torch.ones(2))
    whole = sum(float(task.says(batch, k)[0][0, n].detach()) for k, n in enumerate([*task.symbols.encode("ab"), 2]))
    assert whole == pytest.approx(log_p(task, known, "ab"), abs=1e-5)
    blind = task.collate([task.encode(Speech(values=known.values))])
    (likeliest,) = task.predict([known], beam=1)
    again = task.collate([task.encode(Speech(values=known.values, transcript=likeliest.transcript))])
    torch.testing.assert_close(task.says(blind, 0)[0], task.says(again, 0)[0])


def test_what_its_recurrences_read_is_told() -> None:
    task = made()
    encoded = task.encode(examples()[0])
    assert task.sequences(encoded) == [encoded.tokens, ("(end)", "a", "b")]
    task.see(task.collate([encoded, encoded._replace(target=None)]))


@pytest.mark.parametrize("options", [{"place": "after"}, {"place": "between", "decoder_layers": 2}, {"ctc_share": 0.0}])
def test_the_laws_hold_of_other_decoders(options: dict[str, Any]) -> None:
    task = made(**options)
    for law in laws.LAWS[:3]:
        verdict = law(task, examples())
        assert verdict.holds, verdict


def test_what_does_not_fit_is_refused() -> None:
    long = Speech(values=spoken("a")[:3], transcript="abba", origin=Origin("all.csv", 4))
    with pytest.raises(BadData, match=r"^all\.csv:4: a transcript that needs 5 steps for a recording of 3$"):
        made().encode(long)
    made(ctc_share=0.0).encode(long)
    with pytest.raises(BadOption, match=r"^ctc_share must be in \[0, 1\), not 1\.0$"):
        made(ctc_share=1.0)
    with pytest.raises(BadOption, match=r"^label_smoothing must be in \[0, 1\), not -0\.1$"):
        made(label_smoothing=-0.1)
    with pytest.raises(BadOption, match=r"^longest_said must be 1 or more, not 0$"):
        made(longest_said=0)
    with pytest.raises(BadOption, match=r"^attention=none: a decoder that does not look at the sound"):
        made(attention="none")
    lines = [Passage(text="abab" * 9)] * 30
    language = LanguageModel.prepare(lines, hidden_size=4, word_size=4, layers=1, tokens="characters")
    with pytest.raises(BadOption, match=r"^language is no option of kind=attention$"):
        made().predict(examples(), language=language)
