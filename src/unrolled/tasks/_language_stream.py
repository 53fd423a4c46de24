"""A language model that answers at each element of a text as it comes: how surprising it was, and what may follow."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch

from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.layers.language import LanguageNetwork
from unrolled.layers.prepared_language import prepare
from unrolled.state import State
from unrolled.tasks._cutting import LINE_END
from unrolled.tasks._streaming import TextStreamer


class LanguageStreamer(TextStreamer):
    """Answers are `element`, `bits` (-log2 of its probability), `following` (the likeliest next ones, each with its
    probability).

    Args:
        network: of the model; its weights are those that it has now.
        elements, tokeniser: of its text.
        likeliest: how many next elements are named.
        saved: of another one's `state`.
        lines: as the model has them; of those that stand apart each begins anew, together with empty lines above it.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        elements: Vocabulary,
        tokeniser: Tokeniser,
        likeliest: int,
        saved: State | None,
        *,
        lines: Literal["running", "apart"],
    ) -> None:
        self.elements, self.likeliest, self.lines = elements, min(likeliest, len(elements)), lines
        self.line_end = elements.index(LINE_END)
        network.eval()
        with torch.no_grad():
            self.initial_state, self.step = network.initial_state, prepare(network)
        super().__init__(network, tokeniser.tokens, everywhere=tokeniser.cuts_everywhere, saved=saved)

    @torch.no_grad()
    def begin(self) -> None:
        self._step(self.line_end, self.initial_state(1))

    def answer(self, token: str) -> dict[str, Any]:
        element = self.elements.index(token)
        bits = -float(self.carried["logs"][element]) / math.log(2)
        anew = self.lines == "apart" and element == self.line_end != int(self.carried["last"])
        self._step(element, self.initial_state(1) if anew else self.carried["state"])
        probable = self.carried["logs"].topk(self.likeliest)
        named = zip(self.elements.decode(probable.indices.tolist()), probable.values.exp().tolist(), strict=True)
        return {"element": token, "bits": bits, "following": tuple(named)}

    def _step(self, element: int, state: State) -> None:
        """Read on. `logs`: (vocabulary,), the logarithms of the probabilities of what comes then."""
        logits, after = self.step(torch.tensor([element]), state)
        self.carried = {"logs": logits[0].log_softmax(0), "state": after, "last": torch.tensor([element])}
