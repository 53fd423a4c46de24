"""The store of spellings met before changes no prediction."""

from __future__ import annotations

import pytest
import torch

from unrolled.data.examples import TaggedTokens
from unrolled.kernels import library
from unrolled.tasks.tagger import Tagger
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
