"""Language models that were trained before, as what the readers of other tasks begin with.

Each token of a text gets from each model what its last layer gives there: of a forward model behind the token's last
element, of a backward one behind its first (contextual string embeddings, Akbik, Blythe & Vollgraf 2018, section 2.3).
The models stay as they are, or learn on with the rest (ULMFiT, Howard & Ruder 2018, arXiv:1801.06146).

    text  ──► elements of the model ──► its layers ──► one vector an element ──► those at the tokens' ends
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import Rule, spans
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadOption
from unrolled.layers.dropout import EmbeddingDropout, LockedDropout
from unrolled.layers.weight_drop import WeightDrop
from unrolled.tasks._cutting import LINE_END
from unrolled.tasks._language import reader_of
from unrolled.tasks._packing import packed, packing
from unrolled.tasks.base import Task
from unrolled.tasks.language_model import LanguageModel


class Context(NamedTuple):
    """A text as one model reads it. ids: (elements,), a line end first; places: (tokens,), where among them the vector
    of each token is found.
    """

    ids: NDArray[np.int64]
    places: NDArray[np.int64]


class Contexts(NamedTuple):
    """A batch as one model reads it. ids: data (elements,); places: (tokens,), in the order of the task's batch."""

    ids: PackedSequence
    places: Tensor


class Pretrained(nn.Module):
    """One language model, without its softmax.

    Args:
        options: of the `LanguageModel`.
        elements, tokeniser: its own.
    """

    def __init__(self, options: Mapping[str, Any], elements: Vocabulary, tokeniser: Tokeniser) -> None:
        super().__init__()
        self.backward = options.get("direction") == "backward"
        self.elements, self.tokeniser = elements, tokeniser
        self.reader = reader_of(options, elements)
        self.output_size = self.reader.stack.output_size
        self._lengths: dict[tuple[str, ...], int] = {}

    def encode(self, text: str, tokens: Sequence[str], rule: Rule = "words") -> Context:
        """tokens: of the text, in its order, as a rule cuts it; what stands between them is passed over."""
        cut = self.tokeniser.tokens(text)
        ids = self.elements.encode(cut)
        for place in np.flatnonzero(ids == 0):
            ids[place] = self._alike.get(self._surface(cut[place]), 0)
        seen = np.cumsum([0, *(not character.isspace() for character in text)])
        first, last = seen[np.array(spans(text, tokens, rule))].T
        ends = self._ends(cut)
        if self.backward:
            # Behind its first element, counted from the end of the text; the line end stands before all.
            places = len(ids) - np.searchsorted(ends, first, side="right")
            ids = ids[::-1]
        else:
            places = np.searchsorted(ends, last) + 1
        # A tokeniser that changes how many characters there are may count fewer than the text has.
        return Context(np.concatenate([[self.elements.index(LINE_END)], ids]), np.clip(places, 0, len(ids)))

    def collate(self, rows: Sequence[Context], place: NDArray[np.int64]) -> Contexts:
        """place: element k of the task's packed batch is this one of the rows' tokens laid end to end."""
        lengths = [len(row.ids) for row in rows]
        order, rank, at, sizes = packing(lengths)
        where = np.empty_like(at)
        where[at] = np.arange(len(at))
        begins = np.cumsum([0, *lengths[:-1]])
        found = np.concatenate([row.places + begin for row, begin in zip(rows, begins, strict=True)])
        ids = packed(np.concatenate([row.ids for row in rows])[at], order, rank, sizes)
        return Contexts(ids, torch.from_numpy(where[found][place]))

    def forward(self, batch: Contexts) -> Tensor:
        """The vector of each token, (tokens, features)."""
        x, _ = self.reader.read(batch.ids)
        return x.data.index_select(0, batch.places)

    def layers(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer, the highest first, the table of vectors last."""
        found = [list(layer.parameters()) for layer in self.reader.stack.layers]
        return [*reversed(found), list(self.reader.embedding.parameters())]

    @cached_property
    def _alike(self) -> dict[str, int]:
        """What elements stand for -> the most frequent of those that stand for it. They may differ in marks of what
        stood beside them, and a task's tokens have other neighbours than the language model's text had.
        """
        found: dict[str, int] = {}
        for number, element in enumerate(self.elements.symbols[1:], 1):
            if surface := self._surface(element):
                found.setdefault(surface, number)
        return found

    def _ends(self, cut: Sequence[str]) -> NDArray[np.int64]:
        """How many characters of the text there are up to each element, white space not counted.

        A character of several elements is there with the one of them that is read last.
        """
        if not self.tokeniser.cuts_everywhere:
            return np.cumsum([self._length((element,)) for element in cut])
        starts = np.flatnonzero(self.tokeniser.begins(cut)).tolist()
        lengths = np.zeros(len(cut), dtype=np.int64)
        for start, stop in pairwise([*starts, len(cut)]):
            lengths[start if self.backward else stop - 1] = self._length(tuple(cut[start:stop]))
        return np.cumsum(lengths)

    def _length(self, elements: tuple[str, ...]) -> int:
        """How many characters of the text such elements stand for, white space not counted."""
        known = self._lengths.get(elements)
        if known is None:
            known = self._lengths[elements] = len(self._surface(*elements))
        return known

    def _surface(self, *elements: str) -> str:
        """What elements stand for, white space left out."""
        return "".join(self.tokeniser.text(elements).split())


class Encoders(nn.Module):
    """Several of them beside each other, forward ones first.

    Args:
        options: of each; `direction` among them.
        vocabularies, tokenisers: of which `encoder.0.elements` and `encoder.0.text` are the first one's.
        rates: what their rates of dropout are multiplied by while they learn on; None: they do not learn on, have no
            gradient and drop nothing.
    """

    def __init__(
        self,
        options: Sequence[Mapping[str, Any]],
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser],
        *,
        rates: float | None,
    ) -> None:
        super().__init__()
        names = [(f"encoder.{k}.elements", f"encoder.{k}.text") for k in range(len(options))]
        each = zip(options, names, strict=True)
        self.models = nn.ModuleList(Pretrained(o, vocabularies[v], tokenisers[t]) for o, (v, t) in each)
        self.tuned = rates is not None
        if rates is None:
            self.requires_grad_(False)
        else:
            for module in self.modules():
                if isinstance(module, (EmbeddingDropout, LockedDropout, WeightDrop)):
                    module.p *= rates
        self.train()
        self.output_size = sum(model.output_size for model in self._each())
        self.backward_size = sum(model.output_size for model in self._each() if model.backward)

    def train(self, mode: bool = True) -> Encoders:
        """Frozen ones are never in training."""
        super().train(mode and self.tuned)
        return self

    def encode(self, text: str, tokens: Sequence[str], rule: Rule) -> tuple[Context, ...]:
        return tuple(model.encode(text, tokens, rule) for model in self._each())

    def collate(self, rows: Sequence[tuple[Context, ...]], place: NDArray[np.int64]) -> list[Contexts]:
        return [model.collate([row[k] for row in rows], place) for k, model in enumerate(self._each())]

    def forward(self, batch: Sequence[Contexts]) -> list[Tensor]:
        """The vectors of all tokens by each model, (tokens, features)."""
        with torch.set_grad_enabled(self.tuned and torch.is_grad_enabled()):
            return [model(contexts) for model, contexts in zip(self._each(), batch, strict=True)]

    def layers(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer of all models, the highest first; of frozen ones none."""
        found: list[list[nn.Parameter]] = []
        for model in self._each() if self.tuned else ():
            for depth, parameters in enumerate(model.layers()):
                if depth == len(found):
                    found.append([])
                found[depth] += parameters
        return found

    def _each(self) -> Iterator[Pretrained]:
        yield from self.models  # type: ignore[misc]


def in_order(encoders: Sequence[Any]) -> list[LanguageModel]:
    """Forward ones first. Raises `BadOption` where one is no language model."""
    for model in encoders:
        if not isinstance(model, LanguageModel):
            kind = f"a {model.name}" if isinstance(model, Task) else repr(model)
            raise BadOption(f"an encoder must be a language_model, not {kind}")
    return sorted(encoders, key=lambda model: model.is_backward)


def begin_with(
    encoders: Sequence[LanguageModel], vocabularies: dict[str, Vocabulary], tokenisers: dict[str, Tokeniser]
) -> list[dict[str, Any]]:
    """Put trained models' vocabularies and tokenisers among a task's. Returns their options. encoders: in order."""
    for k, model in enumerate(encoders):
        vocabularies[f"encoder.{k}.elements"] = model.elements
        tokenisers[f"encoder.{k}.text"] = model.tokeniser
    return [dict(model.options) for model in encoders]


@torch.no_grad()
def copy_weights(encoders: Sequence[LanguageModel], to: Encoders) -> None:
    """The trained weights. encoders: in order."""
    for model, new in zip(encoders, to.models, strict=True):
        trained = model.network.state_dict()
        own = new.reader.state_dict()  # type: ignore[union-attr]
        new.reader.load_state_dict({name: trained[name] for name in own})  # type: ignore[union-attr]


def sequences_below(encoders: Encoders | None, encoded: Any) -> dict[str, tuple[str, ...]]:
    """As `Task.sequences_below`. encoders: of a task's `reader`; encoded: by it."""
    if encoders is None:
        return {}
    each = enumerate(zip(encoders._each(), encoded.contexts, strict=True))
    return {f"reader.encoders.models.{k}": model.elements.decode(context.ids) for k, (model, context) in each}
