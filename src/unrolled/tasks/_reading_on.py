r"""A language model that goes on learning while it reads, in two ways, alone or together.

Dynamic evaluation (Mikolov et al. 2010; Krause, Kahembwe, Murray & Renals 2018, arXiv:1709.07432, section 4): after
each segment of the text, once its elements have been predicted, a step of gradient descent on their mean loss, and a
step back to the weights theta_0 as they were trained (a segment of lines that begin anew is differentiated as it was
read, line by line),

    theta <- theta - rate g + decay (theta_0 - theta)

The paper's other rule divides g by its root mean square over the training text, which a shipped model has no longer.

The continuous cache (Grave, Joulin & Usunier 2017, arXiv:1612.04426, eq. 2 and 3): what the last layer gave before
each of the last elements is kept, with the element; elements that came where it gave the like are likelier,

    p(w) = (1 - weight) p_model(w) + weight p_cache(w),    p_cache(w) ~ sum over i with x_i = w of e^{theta h_i . h}

An element counts in neither before it was predicted. The model itself is not changed: what adapts is a copy.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.errors import BadOption
from unrolled.layers.language import LanguageNetwork
from unrolled.state import State
from unrolled.tasks._packing import one_row

AT_ONCE = 512
"""Elements that go through the network in one call, where it does not adapt; the figures do not depend on it."""


@dataclass(frozen=True, kw_only=True)
class ReadingOn:
    """How a model goes on learning; by default not at all.

    Attributes:
        dynamic_rate: of dynamic evaluation's steps; 0 turns it off.
        dynamic_decay: by which share weights go back to the trained ones in a step.
        dynamic_segment: elements between two steps.
        cache_size: how many elements are kept; 0 turns the cache off.
        cache_weight: of the cache in the mixture.
        cache_sharpness: theta; how much more it counts where states are alike.

    Raises `BadOption` for values that cannot be.
    """

    dynamic_rate: float = 0.0
    dynamic_decay: float = 0.0
    dynamic_segment: int = 20
    cache_size: int = 0
    cache_weight: float = 0.1
    cache_sharpness: float = 0.3

    def __post_init__(self) -> None:
        for name in ("dynamic_rate", "cache_size", "cache_sharpness"):
            if not getattr(self, name) >= 0:
                raise BadOption(f"{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("dynamic_decay", "cache_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadOption(f"{name} must be in [0, 1], not {getattr(self, name)}")
        if self.dynamic_segment < 1:
            raise BadOption(f"dynamic_segment must be 1 or more, not {self.dynamic_segment}")

    @property
    def learns(self) -> bool:
        return self.dynamic_rate > 0 or self.cache_size > 0


class Reader:
    """Reads one text on and on, from a state before everything.

    Args:
        network: in evaluation mode; it stays as it is.
        line_end: the element that stands before the first.
        how: to go on learning.
    """

    def __init__(self, network: LanguageNetwork, line_end: int, how: ReadingOn) -> None:
        self.line_end = line_end
        self.network = copy.deepcopy(network) if how.dynamic_rate else network
        self.descent = _Descent(self.network, how) if how.dynamic_rate else None
        self.cache = _Cache(how) if how.cache_size else None
        self.begin()

    def begin(self) -> None:
        """Go on with what stands behind nothing; what was learnt stays."""
        self.state, self.last = self.network.initial_state(1), torch.tensor([self.line_end])
        if self.descent is not None:
            self.descent.begin()

    def read(self, ids: Tensor) -> Tensor:
        """The cross-entropy of each next element in nats, (elements,). ids: (elements,)."""
        found, at = [torch.zeros(0)], 0
        while at < len(ids):
            room = AT_ONCE if self.descent is None else self.descent.room
            due = ids[at : at + room]
            found.append(self._piece(torch.cat([self.last, due[:-1]]), due))
            self.last = due[-1:]
            at += room
        return torch.cat(found)

    def following(self) -> Tensor:
        """The logarithm of the probability of each element that may come next, (vocabulary,). Reading stays here."""
        with torch.no_grad():
            x, _ = self.network.read(one_row(self.last), self.state)
            logs = self.network.logits(x.data).log_softmax(-1)[0]
            return logs if self.cache is None else self.cache.mixed(x.data[0], logs)

    def _piece(self, ids: Tensor, due: Tensor) -> Tensor:
        before = self.state
        with torch.no_grad():
            x, self.state = self.network.read(one_row(ids), before)
            nats = self.network.losses(x.data, due)
            if self.cache is not None:
                nats = self.cache.read(x.data, due, nats)
        if self.descent is not None:
            self.descent.read(ids, due, before)
        return nats


class _Row(NamedTuple):
    """What was read in one go, what came then, and the state before it all."""

    ids: list[Tensor]
    due: list[Tensor]
    before: State


class _Descent:
    """Dynamic evaluation of one text."""

    def __init__(self, network: LanguageNetwork, how: ReadingOn) -> None:
        self.network, self.how = network, how
        self.weights: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
        self.trained = [p.detach().clone() for p in self.weights] if how.dynamic_decay else []
        self.rows: list[_Row] = []
        """Of the segment; the next one begins where reading begins anew."""
        self.goes_on = False

    @property
    def room(self) -> int:
        """Elements that still fit into the segment."""
        return self.how.dynamic_segment - sum(len(part) for row in self.rows for part in row.due)

    def begin(self) -> None:
        """What comes next does not go on from what was read; it is still of the same segment."""
        self.goes_on = False

    def read(self, ids: Tensor, due: Tensor, before: State) -> None:
        """A part of a segment, no more than there is room for, and the state before it; a whole segment is learnt."""
        if not self.goes_on:
            self.rows.append(_Row([], [], before))
        self.goes_on = True
        self.rows[-1].ids.append(ids)
        self.rows[-1].due.append(due)
        if self.room == 0:
            self._step()
            self.rows, self.goes_on = [], False

    def _step(self) -> None:
        with torch.enable_grad():
            losses = [
                self.network.loss(one_row(torch.cat(row.ids)), torch.cat(row.due), row.before)[0] for row in self.rows
            ]
            mean = torch.stack(losses).sum() / self.how.dynamic_segment
            # Some softmaxes leave out weights of words that are not in the segment.
            gradients = torch.autograd.grad(mean, self.weights, materialize_grads=True)
        with torch.no_grad():
            if self.how.dynamic_decay:
                torch._foreach_lerp_(self.weights, self.trained, self.how.dynamic_decay)
            torch._foreach_add_(self.weights, gradients, alpha=-self.how.dynamic_rate)


class _Cache:
    """The last elements of one text, and what the last layer gave before each."""

    def __init__(self, how: ReadingOn) -> None:
        self.how = how
        self.states = torch.zeros(0, 0)
        self.elements = torch.zeros(0, dtype=torch.long)

    def read(self, x: Tensor, due: Tensor, nats: Tensor) -> Tensor:
        """x: (elements, features); due, nats: (elements,), what comes and its loss by the network -> by the mixture."""
        states = torch.cat([self.states, x]) if len(self.elements) else x
        elements, had = torch.cat([self.elements, due]), len(self.elements)
        age = torch.arange(len(x)).unsqueeze(1) + had - torch.arange(len(states))
        outside = (age < 1) | (age > self.how.cache_size)
        weights = (self.how.cache_sharpness * x @ states.t()).masked_fill(outside, -torch.inf)
        hits = weights.masked_fill(elements != due.unsqueeze(1), -torch.inf)
        cached = hits.logsumexp(1) - weights.logsumexp(1)
        mixed = -torch.logaddexp(_log(1 - self.how.cache_weight) - nats, _log(self.how.cache_weight) + cached)
        self.states, self.elements = states[-self.how.cache_size :], elements[-self.how.cache_size :]
        # Before the first element there is nothing to mix with.
        return torch.where(outside.all(1), nats, mixed)

    def mixed(self, x: Tensor, logs: Tensor) -> Tensor:
        """x: (features,); logs: (vocabulary,) by the network -> by the mixture."""
        if not len(self.elements):
            return logs
        shares = (self.how.cache_sharpness * self.states @ x).softmax(0)
        cached = torch.zeros_like(logs).index_add_(0, self.elements, shares)
        return torch.logaddexp(_log(1 - self.how.cache_weight) + logs, _log(self.how.cache_weight) + cached.log())


def _log(share: float) -> float:
    return math.log(share) if share else -math.inf
