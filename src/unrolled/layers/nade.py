"""Several notes at once, each knowing those below it: a chord's probability, exactly.

    p(x | h) = prod_i p(x_i | x_1 … x_{i-1}, h)
    p(x_i = 1 | …) = sigmoid(b_i + V_i . sigmoid(c + sum_{j<i} W_j x_j)),    b = B h + b0,    c = C h + c0

The neural autoregressive distribution estimator (Larochelle & Murray 2011), its biases said by a recurrence, as in the
RNN-NADE of Boulanger-Lewandowski, Bengio & Vincent 2012 (arXiv:1206.6392, section 5). The sums over the notes below
are a cumulative sum, so that all of a chord's notes are done at once; only drawing goes note by note.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from unrolled.errors import BadOption


class Chords(nn.Module, ABC):
    """Of binary vectors.

    Args:
        features: of what they are said from.
        said: numbers that are said of each element, those of the notes first.
    """

    def __init__(self, features: int, said: int) -> None:
        super().__init__()
        self.biases = nn.Linear(features, said)

    @torch.no_grad()
    def expect(self, shares: Tensor) -> None:
        """Begin with these probabilities. shares: (notes,), each between 0 and 1."""
        self.biases.bias[: len(shares)] = torch.logit(shares).to(self.biases.bias.dtype)

    def forward(self, h: Tensor) -> Tensor:
        """What the other functions read, (elements, said). h: (elements, features)."""
        said: Tensor = self.biases(h)
        return said

    @abstractmethod
    def losses(self, said: Tensor, notes: Tensor) -> Tensor:
        """-log p of each element's notes, in nats, (elements,).

        said: of `forward`; notes: (elements, notes), 0 or 1.
        """

    @abstractmethod
    def draw(self, said: Tensor, uniform: Tensor, temperature: float, allowed: Tensor | None = None) -> Tensor:
        """Notes, (elements, notes): one sounds where its uniform number is below its probability.

        Args:
            said: of `forward`.
            uniform: (elements, notes) or (1, notes), drawn from [0, 1).
            temperature: of each note's choice.
            allowed: (notes,), which may sound; None: all.
        """


class NADE(Chords):
    """Notes that each hear those below it; said are b and, beside it, c.

    Args:
        features: of what the biases are made from.
        notes: how many there are.
        hidden: units between the notes below and a note.

    Raises `BadOption` for fewer than 1 unit.
    """

    def __init__(self, features: int, notes: int, hidden: int) -> None:
        if hidden < 1:
            raise BadOption(f"chord_size must be 1 or more, not {hidden}")
        super().__init__(features, notes + hidden)
        self.below = nn.Parameter(torch.empty(notes, hidden).normal_(0, 0.05))
        self.above = nn.Parameter(torch.empty(notes, hidden).normal_(0, 0.05))

    def losses(self, said: Tensor, notes: Tensor) -> Tensor:
        b, c = self._parts(said)
        added = notes.unsqueeze(-1) * self.below
        units = torch.sigmoid(c.unsqueeze(1) + added.cumsum(1) - added)
        logits = b + (units * self.above).sum(-1)
        return binary_cross_entropy_with_logits(logits, notes, reduction="none").sum(-1)

    def draw(self, said: Tensor, uniform: Tensor, temperature: float, allowed: Tensor | None = None) -> Tensor:
        b, sums = self._parts(said)
        found = torch.zeros_like(b)
        for note in range(b.shape[1]):
            if allowed is not None and not allowed[note]:
                continue
            logit = b[:, note] + torch.sigmoid(sums) @ self.above[note]
            sounds = (uniform[:, note] < torch.sigmoid(logit / temperature)).to(said.dtype)
            found[:, note] = sounds
            sums = sums + sounds[:, None] * self.below[note]
        return found

    def _parts(self, said: Tensor) -> tuple[Tensor, Tensor]:
        b, c = said.split(list(self.below.shape), dim=-1)
        return b, c


class Independent(Chords):
    """Notes that do not know of each other: a sigmoid each, whose logits are said.

    Args:
        features: of what they are said from.
        notes: how many there are.
    """

    def losses(self, said: Tensor, notes: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(said, notes, reduction="none").sum(-1)

    def draw(self, said: Tensor, uniform: Tensor, temperature: float, allowed: Tensor | None = None) -> Tensor:
        found = (uniform < torch.sigmoid(said / temperature)).to(said.dtype)
        return found if allowed is None else found * allowed.to(said.dtype)
