"""A tagger and a classifier that answer at each token of a text as it comes. Each line is a text of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption
from unrolled.layers.pooling import LastState, Max, Mean
from unrolled.state import State
from unrolled.tasks._cutting import LINE_END
from unrolled.tasks._reader import Reader
from unrolled.tasks._streaming import TextStreamer


class ReaderStreamer(TextStreamer):
    """A stream of a task that has a reader. Answers are `element`, and what is said of it.

    Args:
        task: the network.
        reader: a part of it.
        tokens, everywhere: as `Cutter` has them.
        said: the answer to what is known at a token, (1, features).
        saved: of another one's `state`.

    Raises `BadOption` where an answer needs what comes later, or what no stream has.
    """

    def __init__(
        self,
        task: nn.Module,
        reader: Reader,
        tokens: Callable[[str], list[str]],
        said: Callable[[Tensor], dict[str, Any]],
        *,
        everywhere: bool,
        saved: State | None,
    ) -> None:
        self.reader, self.said = reader, said
        if reader.options.directions == "both":
            raise BadOption("what is read in both directions cannot stream: train with directions=forward")
        if reader.encoders is not None or reader.feature_vocabularies:
            raise BadOption("a stream has no further columns, and what pretrained encoders read is not streamed")
        super().__init__(task, tokens, everywhere=everywhere, saved=saved)

    def begin(self) -> None:
        self.carried = {"state": self.reader.initial_state(1)}

    def answer(self, token: str) -> dict[str, Any] | None:
        if token == LINE_END:
            self.begin()
            return None
        vector, self.carried["state"] = self.reader.step(token, self.carried["state"])
        return {"element": token, **self.said(self.known(vector))}

    def known(self, vector: Tensor) -> Tensor:
        """All that is known at a token. vector: its own, (1, features)."""
        return vector


class PooledStreamer(ReaderStreamer):
    """One whose answers are about the line so far: what is known is pooled.

    Args:
        poolings: whose results stand beside each other.
        given, named: as `ReaderStreamer`.

    Raises `BadOption` also for a pooling that must look back.
    """

    def __init__(self, poolings: nn.ModuleList, *given: Any, **named: Any) -> None:
        self.kinds = [type(pooling) for pooling in poolings]
        if not all(kind in (LastState, Mean, Max) for kind in self.kinds):
            raise BadOption("this pooling looks back at all tokens: a stream pools by last, mean, max or mean_max")
        super().__init__(*given, **named)

    def begin(self) -> None:
        super().begin()
        zeros = torch.zeros(1, self.reader.output_size)
        self.carried |= {"count": zeros[:, :1], "sum": zeros, "most": zeros - torch.inf}

    def known(self, vector: Tensor) -> Tensor:
        c = self.carried
        c["count"], c["sum"], c["most"] = c["count"] + 1, c["sum"] + vector, torch.maximum(c["most"], vector)
        pooled = {LastState: vector, Mean: c["sum"] / c["count"], Max: c["most"]}
        return torch.cat([pooled[kind] for kind in self.kinds], dim=-1)
