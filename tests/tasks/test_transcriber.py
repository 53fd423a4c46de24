"""Speech to text by connectionist temporal classification: what the options mean, and what is refused."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, product
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import Transcriber as Model
from unrolled import bundle
from unrolled.data import reading
from unrolled.data.examples import Origin, Passage, Speech
from unrolled.errors import BadData, BadOption, UnknownName
from unrolled.inspection import laws
from unrolled.recipe import deciding_options
from unrolled.tasks.language_model import LanguageModel
from unrolled.tasks.transcriber import Transcriber

SIZES = {"stacked": 1, "dropout": 0.0}
TEXTS = ("ab", "b", "abba", "a", "ba", "bab")


def spoken(text: str, seed: int = 1) -> np.ndarray:
    """Two to four steps a letter, of numbers that tell it, one of silence behind it, and some noise."""
    rng = np.random.default_rng(seed)
    steps = [[0.0, 0.0]]
    for letter in text:
        steps += [[2.0, -1.0] if letter == "a" else [-2.0, 1.5]] * int(rng.integers(2, 5)) + [[0.0, 0.0]]
    return np.array(steps) + 0.05 * rng.normal(size=(len(steps), 2))


def examples() -> list[Speech]:
    """For the laws of `test_every_task`: of different lengths, and two of one length."""
    found = [Speech(values=spoken(text, k), transcript=text) for k, text in enumerate(TEXTS)]
    return [*found, Speech(values=found[0].values[::-1], transcript="ba")]


def made(given: list[Speech] | None = None, **options: Any) -> Transcriber:
    torch.manual_seed(1)
    small = {"hidden_size": 5, "layers": 1, **SIZES, **options}
    return Transcriber.prepare(examples() if given is None else given, **small).eval()


def log_p(task: Transcriber, example: Speech) -> np.ndarray:
    encoded = task.encode(example)
    batch = task.collate([encoded])
    with torch.no_grad():
        return np.stack([task.says(batch, step)[0][0].double().numpy() for step in range(encoded.length)])


def test_the_loss_is_minus_the_log_probability_of_all_paths_by_enumeration() -> None:
    task = made()
    short = [Speech(values=spoken("a", k)[:5], transcript=text) for k, text in enumerate(("ab", "a", "", "bb"))]
    expected = []
    for example in short:
        sums: dict[str, float] = defaultdict(lambda: -np.inf)
        rows = log_p(task, example)
        for path in product(range(3), repeat=len(rows)):
            text = "".join(task.symbols.symbols[s] for s, _ in groupby(path) if s != len(task.symbols))
            sums[text] = float(np.logaddexp(sums[text], sum(row[s] for row, s in zip(rows, path, strict=True))))
        expected.append(-sums[example.transcript or ""])
    loss = task.loss(task.collate([task.encode(example) for example in short]))
    assert loss.total.item() == pytest.approx(sum(expected), rel=1e-5)
    assert loss.count == 5


def test_several_steps_may_be_read_as_one() -> None:
    task, plain = made(stacked=3), made()
    example = next(e for e in examples() if len(e.values) % 3)  # else nothing has to be filled up
    numbers = plain.encode(example).values
    stacked = task.encode(example).values
    assert stacked.shape == (-(-len(numbers) // 3), 6)
    whole = stacked.reshape(-1, 2)
    assert np.array_equal(whole[: len(numbers)], numbers)
    assert np.array_equal(whole[len(numbers) :], numbers[-1:].repeat(len(whole) - len(numbers), 0))


def test_words_or_characters_are_said() -> None:
    given = [Speech(values=spoken("ab" * 4), transcript=text) for text in ("no yes", "yes", "no no")]
    assert sorted(made(given, symbols="words").symbols) == ["no", "yes"]
    assert " " in made(given).symbols
    assert {word for e in made(given, symbols="words").predict(given) for word in (e.transcript or "").split()} <= {
        "no",
        "yes",
    }


def test_it_learns_what_is_said_and_finds_it_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    texts = ["".join(rng.choice(["a", "b"], rng.integers(1, 6))) for _ in range(120)]
    given = [Speech(values=spoken(text, k), transcript=text) for k, text in enumerate(texts)]
    model = Model(hidden_size=12, layers=1, stacked=1, dropout=0.0)
    model.fit(given[:100], given[100:], epochs=25, batch_rows=8)
    figures = model.evaluate(given[100:])["metrics"]
    assert figures["symbol_error_rate"] < 0.1
    assert figures["symbols_right"] == pytest.approx(1 - figures["symbol_error_rate"])
    model.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").predict(given[100:]) == model.predict(given[100:])


def test_a_beam_sums_paths_and_names_further_transcripts() -> None:
    task = made()
    for example in examples():
        (one,), (several,) = task.predict([example], beam=1), task.predict([example], beam=16, best=3)
        assert several.score >= one.score - 1e-6
        assert one.alternatives is None
        assert len(several.alternatives) == 2
        assert several.score >= several.alternatives[0][1] >= several.alternatives[1][1]
    with pytest.raises(BadOption, match="beam must be 1 or more, not 0"):
        task.predict(examples(), beam=0)
    with pytest.raises(BadOption, match="best=3 transcripts of a beam of 2"):
        task.predict(examples(), beam=2, best=3)


def test_a_language_model_has_its_word(tmp_path: Path) -> None:
    task = made()
    torch.manual_seed(2)
    lines = [Passage(text=text) for text in ("ab", "abab", "ababab") * 30]
    sizes = {"hidden_size": 8, "word_size": 8, "layers": 1}
    language = LanguageModel.prepare(lines, tokens="characters", **sizes).eval()
    unsure = Speech(values=np.zeros((6, 2)))
    plain = task.predict([unsure], beam=200, best=200)[0]
    scored = task.predict([unsure], beam=200, best=200, language=language, language_weight=1.0, bonus=0.25)[0]
    acoustic = dict([(plain.transcript, plain.score), *plain.alternatives])
    for text, score in [(scored.transcript, scored.score), *scored.alternatives][:20]:
        spoken = -sum(bits for _, bits in language.predict([Passage(text=text)])[0].surprisals) * log(2)
        assert score == pytest.approx(acoustic[text] + spoken + 0.25 * len(text), abs=1e-3)
    bundle.save(language, tmp_path / "lm")
    found, rest = deciding_options("transcriber", {"language": str(tmp_path / "lm"), "beam": "4", "format": "csv"})
    assert isinstance(found["language"], LanguageModel)
    assert (found["beam"], rest) == (4, {"format": "csv"})


def test_a_language_model_of_other_symbols_or_another_direction_is_refused() -> None:
    task, lines = made(), [Passage(text="xyz" * 9)] * 30
    sizes = {"hidden_size": 4, "word_size": 4, "layers": 1, "tokens": "characters"}
    with pytest.raises(BadOption, match="the language model's elements are others than the symbols: it has no"):
        task.predict(examples(), language=LanguageModel.prepare(lines, **sizes))
    back = LanguageModel.prepare([Passage(text="abab" * 9)] * 30, direction="backward", **sizes)
    with pytest.raises(BadOption, match="the language model reads backwards; transcripts are written forwards"):
        task.predict(examples(), language=back)
    with pytest.raises(BadOption, match="language names a transcriber; a language_model is expected"):
        task.predict(examples(), language=task)
    with pytest.raises(BadOption, match="a language model has its word in a search: beam must be 2 or more"):
        task.predict(examples(), language=back, beam=1)


def test_both_kinds_of_decoding_obey_the_laws() -> None:
    for options in ({}, {"stacked": 2}, {"symbols": "words"}):
        task = made(**options)
        for law in (laws.batch_mates_change_nothing, laws.order_changes_nothing, laws.loss_is_the_sum_of_its_rows):
            verdict = law(task, examples())
            assert verdict.holds, verdict


def test_a_transcript_that_does_not_fit_its_recording_is_named() -> None:
    long = Speech(values=spoken("a")[:3], transcript="abba", origin=Origin("all.csv", 4))
    with pytest.raises(BadData, match=r"^all\.csv:4: a transcript that needs 5 steps for a recording of 3$"):
        made().encode(long)


def test_what_cannot_be_learnt_or_scored_is_named() -> None:
    silent = Speech(values=spoken("a"), origin=Origin("all.csv", 9))
    with pytest.raises(BadData, match=r"^all\.csv:9: a recording without a transcript$"):
        made([*examples(), silent])
    task = made()
    with pytest.raises(BadData, match="an example without a transcript cannot be learnt from"):
        task.loss(task.collate([task.encode(silent)]))
    with pytest.raises(BadData, match=r"^all\.csv:9: a recording without a transcript$"):
        task.score([silent], [silent])
    with pytest.raises(BadData, match="no examples to learn from"):
        made([])
    with pytest.raises(BadData, match="unknown symbol 'c'"):
        task.encode(Speech(values=spoken("a"), transcript="c"))
    with pytest.raises(BadOption, match="stacked must be 1 or more, not 0"):
        made(stacked=0)
    with pytest.raises(UnknownName, match="unknown option of predicting 'beams'"):
        task.predict(examples(), beams=2)


def test_recordings_that_a_table_names_are_read_and_what_was_said_is_written(tmp_path: Path) -> None:
    for k, example in enumerate(examples()):
        np.save(tmp_path / f"{k}.npy", example.values)
    table = "path,transcript\n" + "".join(f"{k}.npy,{one.transcript}\n" for k, one in enumerate(examples()))
    (tmp_path / "all.csv").write_text(table)
    found = reading.read(tmp_path / "all.csv", Speech, columns={"values": "path"}, filled=True)
    assert found == examples()
    task = made()
    reading.write(tmp_path / "out.csv", task.predict(found), columns={"values": "path"})
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[0] == "path,transcript,score"
    assert [row.split(",")[0] for row in rows[1:]] == [f"{k}.npy" for k in range(7)]
    reading.write(tmp_path / "out.jsonl", found)
    assert reading.read(tmp_path / "out.jsonl", Speech) == found
