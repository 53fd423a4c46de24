"""A language model that answers at each element of a text as it comes: how surprising it was, and what may follow."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadOption
from unrolled.layers.language import LanguageNetwork
from unrolled.state import State
from unrolled.tasks._cutting import LINE_END, Cutter
from unrolled.tasks.base import Streamer


class LanguageStreamer(Streamer):
    """Answers are `element`, `bits` (-log2 of its probability), `following` (the likeliest next ones, each with its
    probability).

    Args:
        network: is put into evaluation mode.
        elements, tokeniser: of its text.
        likeliest: how many next elements are named.
        saved: of another one's `state`.

    Raises `BadOption` where what was saved is no such state, or that of another model.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        elements: Vocabulary,
        tokeniser: Tokeniser,
        likeliest: int,
        saved: State | None,
    ) -> None:
        self.network, self.elements, self.likeliest = network.eval(), elements, min(likeliest, len(elements))
        self.model = _fingerprint(network)
        self.logs: Tensor
        if saved is None:
            self.cutter = Cutter(tokeniser)
            self._step(elements.index(LINE_END), network.initial_state(1))
            return
        if not isinstance(saved, dict) or set(saved) != {"model", "before", "logs", "state"}:
            raise BadOption("this is no state of a language model's stream")
        if not torch.equal(saved["model"], self.model):
            raise BadOption("this is a stream's state of another model: it can go on with its own alone")
        self.cutter = Cutter(tokeniser, bytes(saved["before"].tolist()).decode())
        self.logs, self.after = saved["logs"], saved["state"]

    def read(self, text: str) -> Iterator[dict[str, Any]]:
        yield from map(self._answer, self.cutter.cut(text))

    def finish(self) -> Iterator[dict[str, Any]]:
        yield from map(self._answer, self.cutter.finish())

    @property
    def state(self) -> State:
        before = torch.from_numpy(np.frombuffer(self.cutter.before.encode(), dtype=np.uint8).copy())
        return {"model": self.model, "before": before, "logs": self.logs, "state": self.after}

    def _answer(self, token: str) -> dict[str, Any]:
        element = self.elements.index(token)
        bits = -float(self.logs[element]) / math.log(2)
        self._step(element, self.after)
        probable = self.logs.topk(self.likeliest)
        named = zip(self.elements.decode(probable.indices), probable.values.exp().tolist(), strict=True)
        return {"element": token, "bits": bits, "following": tuple(named)}

    @torch.no_grad()
    def _step(self, element: int, state: State) -> None:
        """Read on. `logs`: (vocabulary,), the logarithms of the probabilities of what comes then."""
        logits, self.after = self.network.step(torch.tensor([element]), state)
        self.logs = logits[0].log_softmax(0)


def _fingerprint(network: LanguageNetwork) -> Tensor:
    """32 bytes that no other weights have."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().data)
    return torch.from_numpy(np.frombuffer(digest.digest(), dtype=np.uint8).copy())
