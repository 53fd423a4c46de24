"""The store of spellings met before changes no prediction."""

from __future__ import annotations

import copy

import pytest
import torch

from unrolled.data.examples import TaggedTokens
from unrolled.kernels import library
from unrolled.tasks.tagger import Tagger
from unrolled.training.events import Check
from unrolled.training.fit import fit
from unrolled.training.settings import Settings
from unrolled.unroll import fused


@pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")
def test_what_was_spelled_in_bfloat16_is_not_taken_for_float32() -> None:
    torch.manual_seed(3)
    examples = [TaggedTokens(tokens=tuple(text.split()), tags=tuple("ABBA")) for text in ("an old red dog", "a b c d")]
    task = Tagger.prepare(examples).eval()
    batch = task.collate([task.encode(example) for example in examples])
    with torch.no_grad():
        fresh = task.reader._spellings(batch)
        with fused.precision("bfloat16"):
            rounded = task.reader._spellings(batch)
        again = task.reader._spellings(batch)
    assert torch.equal(fresh, again)
    assert 0 < (rounded - fresh).abs().max() < 1e-2


def test_a_check_in_a_training_sees_the_weights_of_its_moment() -> None:
    """Torch's fused optimizers count no version of what they change: the store must not go by that alone."""
    given = [TaggedTokens(tokens=("Go", "and", "see", "it"), tags=("V", "C", "V", "P"))] * 6
    torch.manual_seed(1)
    task = Tagger.prepare(given, hidden_size=6, word_size=2, dropout=0.0, embedding_dropout=0.0)
    checks = 0
    for event in fit(task, given, given, settings=Settings(epochs=6, batch_rows=2, averaging="none")):
        if isinstance(event, Check):
            again = copy.deepcopy(task)  # has nothing stored
            one, other = task.predict(given[:1]), again.predict(given[:1])
            assert one[0].confidence == pytest.approx(other[0].confidence, abs=1e-6)
            checks += 1
    assert checks > 2
