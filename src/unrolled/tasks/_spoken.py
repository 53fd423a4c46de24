"""What a language model has to say about transcripts, in the transcriber's own symbols, while they are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled import state as states
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadOption
from unrolled.tasks.language_model import LanguageModel


class SpokenLanguage:
    """A `decoding.ctc.Language`.

    Args:
        model: forward, of elements that are the symbols. Those that it has never met are as likely as its unknown one.
        symbols: of the transcriber.

    Raises `BadOption` for anything else.
    """

    def __init__(self, model: Any, symbols: Vocabulary) -> None:
        if not isinstance(model, LanguageModel):
            raise BadOption(f"language names a {getattr(model, 'name', 'thing')}; a language_model is expected")
        if model.is_backward:
            raise BadOption("the language model reads backwards; transcripts are written forwards")
        known = [symbol for symbol in symbols if symbol in model.elements]
        if 2 * len(known) < len(symbols) or (model.elements.unknown is None and len(known) < len(symbols)):
            missing = next(symbol for symbol in symbols if symbol not in model.elements)
            raise BadOption(f"the language model's elements are others than the symbols: it has no {missing!r}")
        self.network, self.end = model.network, model.line_end
        self.numbers = [model.elements.index(symbol) for symbol in symbols]
        self.columns = torch.tensor([*self.numbers, self.end])
        model.eval()

    @torch.no_grad()
    def __call__(self, last: Sequence[int], before: Any) -> tuple[NDArray[np.float64], list[Any]]:
        ids = torch.tensor([self.end if symbol < 0 else self.numbers[symbol] for symbol in last])
        state = states.concat([self.network.initial_state(1) if one is None else one for one in before])
        logits, after = self.network.step(ids, state)
        log_p: NDArray[np.float64] = logits.log_softmax(-1)[:, self.columns].double().numpy()
        return log_p, states.split(after, [1] * len(last))
