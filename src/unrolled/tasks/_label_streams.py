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
    """A stream of a task that has a reader.

    Args:
        task: the network.
        reader: a part of it.
        tokens, everywhere: as `Cutter` has them.
        saved: of another one's `state`.

    Raises `BadOption` where an answer needs what comes later, or what no stream has.
    """

    def __init__(
        self,
        task: nn.Module,
        reader: Reader,
        tokens: Callable[[str], list[str]],
        *,
        everywhere: bool,
        saved: State | None,
    ) -> None:
        self.reader = reader
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
        return {"element": token, **self.said(vector)}

    def said(self, vector: Tensor) -> dict[str, Any]:
        """The answer to what is known at a token. vector: (1, features)."""
        raise NotImplementedError


class TagStreamer(ReaderStreamer):
    """Answers are `element`, `tag`, `confidence`. output: of the tagger; tags: their names, in its order."""

    def __init__(self, *given: Any, output: nn.Module, tags: tuple[str, ...], **named: Any) -> None:
        self.output, self.tags = output, tags
        super().__init__(*given, **named)

    def said(self, vector: Tensor) -> dict[str, Any]:
        sure, best = self.output(vector).softmax(-1).max(-1)
        return {"tag": self.tags[int(best)], "confidence": float(sure)}


class LabelStreamer(ReaderStreamer):
    """Answers are `element`, `label` (a tuple where several may hold) and `probabilities`, of the line so far.

    poolings, output: of the classifier; labels: their names, in its order; many: whether several may hold.

    Raises `BadOption` for a pooling that must look back.
    """

    def __init__(
        self,
        *given: Any,
        poolings: nn.ModuleList,
        output: nn.Module,
        labels: tuple[str, ...],
        many: bool,
        **named: Any,
    ) -> None:
        self.kinds, self.output, self.labels, self.many = [type(p) for p in poolings], output, labels, many
        if not all(kind in (LastState, Mean, Max) for kind in self.kinds):
            raise BadOption("this pooling looks back at all tokens: a stream pools by last, mean, max or mean_max")
        super().__init__(*given, **named)

    def begin(self) -> None:
        super().begin()
        zeros = torch.zeros(1, self.reader.output_size)
        self.carried |= {"count": zeros[:, :1], "sum": zeros, "most": zeros - torch.inf}

    def said(self, vector: Tensor) -> dict[str, Any]:
        c = self.carried
        c["count"], c["sum"], c["most"] = c["count"] + 1, c["sum"] + vector, torch.maximum(c["most"], vector)
        pooled = {LastState: vector, Mean: c["sum"] / c["count"], Max: c["most"]}
        logits = self.output(torch.cat([pooled[kind] for kind in self.kinds], dim=-1))[0]
        shares = (logits.sigmoid() if self.many else logits.softmax(-1)).tolist()
        named = tuple(zip(self.labels, shares, strict=True))
        best = tuple(label for label, p in named if p > 0.5) if self.many else self.labels[shares.index(max(shares))]
        return {"label": best, "probabilities": named}
