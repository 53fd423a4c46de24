r"""Copying words of the source by a pointer, See, Liu & Manning 2017, arXiv:1704.04368, eq. 8 and 9.

    p     = sigmoid(w_c . c + w_h . h + w_x . x + b)                whether the vocabulary speaks, or the source
    P(w)  = p P_vocab(w) + (1 - p) sum_{j: m_j = w} a_j             over the vocabulary and the words of the source

c is the context, h the topmost layer's output, x the embedded word that was read, a the attention's weights. A word of
the source that the vocabulary has not gets a number from the vocabulary's size on, which holds within one batch; there
P_vocab is 0.

Of the vocabulary's share, training needs the target's alone: -log P_vocab(y), which `Softmax.loss` gives for each
element without the logits ever being there as a whole. Label smoothing, which the paper has not, asks for the mean of
-log p P_vocab(w) over the vocabulary; with z the logits it is that of the target plus z_y less the mean of z, and the
mean of z is the product with the mean of the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from unrolled.errors import BadOption
from unrolled.layers.linear import Linear
from unrolled.layers.memory import Copies
from unrolled.layers.softmax import Softmax

FAR = 80
"""Where 1 is nothing beside e to this power, which is still a number in float32."""


class Pointer(nn.Module):
    """What chooses between vocabulary and source.

    Args:
        hidden, context, word: features of h, c and x.
    """

    def __init__(self, hidden: int, context: int, word: int) -> None:
        super().__init__()
        self.gate = Linear(context + hidden + word, 1)

    def forward(self, h: Tensor, c: Tensor, x: Tensor) -> Tensor:
        """The argument of p's sigmoid. (elements, hidden), (elements, context), (elements, word) -> (elements,)."""
        return self.gate(torch.cat([c, h, x], dim=1)).squeeze(1)

    def losses(
        self,
        gate: Tensor,
        weights: Tensor,
        ids: Tensor,
        shown: Tensor,
        targets: Tensor,
        softmax: Softmax,
        smooth: float,
    ) -> Tensor:
        """-log P of each element's target, (elements,).

        Args:
            gate: (elements,), of `forward`.
            weights: (elements, source), the attention's.
            ids: (elements, source), long, the words of each element's source.
            shown: (elements, readout), what the softmax reads.
            targets: (elements,), long; words beyond the vocabulary must stand in the source.
            softmax: the vocabulary's.
            smooth: how much of each target's 1 is shared among the words of the vocabulary, in [0, 1).
        """
        if not 0 <= smooth < 1:
            raise BadOption(f"label smoothing must be at least 0 and below 1, not {smooth}")
        is_beyond = targets >= len(softmax.weight)
        known = targets.masked_fill(is_beyond, 0)
        generated = softmax.loss(shown, known, reduction="none")
        speaks = functional.logsigmoid(gate)
        mass = (weights * (ids == targets.unsqueeze(1))).sum(dim=1)
        # Where nothing can be copied, the smallest number of the type is as good as 0, and has a logarithm.
        said = speaks - generated
        copied = functional.logsigmoid(-gate) + (mass + torch.finfo(mass.dtype).tiny).log()
        # log(e^a + e^b) = a + softplus(b - a), whose derivatives are finite however far apart the two are.
        both = said + functional.softplus(copied - said, threshold=FAR)
        found = -torch.where(is_beyond, copied, both)
        if smooth:
            found = (1 - smooth) * found + smooth * (_mean(softmax, shown, known, generated) - speaks)
        return found

    def logits(self, gate: Tensor, weights: Tensor, copies: Copies, logits: Tensor) -> Tensor:
        """log P of all words, (rows, vocabulary + words beyond it); -inf for those that a row's source has not.

        Args:
            gate: (rows,), of `forward`.
            weights: (rows, source), the attention's.
            copies: what the rows can copy.
            logits: (rows, vocabulary), of the vocabulary.
        """
        p = gate.sigmoid().unsqueeze(1)
        both = functional.pad(p * logits.softmax(dim=1), (0, copies.beyond.shape[1]))
        # In the padding, where there is no word, there is no weight, either.
        both = both.scatter_add(1, copies.ids.clamp(min=0), (1 - p) * weights)
        logs = both.clamp(min=torch.finfo(both.dtype).tiny).log()
        never = functional.pad(~copies.beyond, (logits.shape[1], 0))
        return logs.masked_fill(never, -torch.inf)


def _mean(softmax: Softmax, shown: Tensor, known: Tensor, generated: Tensor) -> Tensor:
    """The mean of -log P_vocab over the vocabulary, (elements,)."""
    own, mean = softmax.weight.index_select(0, known), softmax.weight.mean(dim=0)
    difference = (shown * own).sum(dim=1) - shown @ mean
    if softmax.bias is not None:
        difference = difference + softmax.bias.index_select(0, known) - softmax.bias.mean()
    return generated + difference


def copies(ids: Tensor, vocabulary: int) -> Copies:
    """What can be copied.

    Args:
        ids: (batch, source), long, the target word that stands at each place; -1 where there is no place.
        vocabulary: how many words the vocabulary has.
    """
    count = max(int(ids.max()) + 1 - vocabulary, 0)
    beyond = torch.zeros(len(ids), count + 1, dtype=torch.bool, device=ids.device)
    beyond.scatter_(1, (ids - vocabulary).clamp(min=-1) + 1, True)  # what is in the vocabulary goes to column 0
    return Copies(ids, beyond[:, 1:])
