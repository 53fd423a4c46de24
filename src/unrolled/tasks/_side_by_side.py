"""A long text measured many times as quickly, and all but exactly: pieces of it read side by side.

One row at a time, a network reads at the speed at which its weights come from memory. Here a text is cut into pieces
that are read as the rows of a batch; each begins `AHEAD` elements before what counts of it, so that its state has
forgotten that it did not begin at the beginning. What the state keeps from further back is lost: a look at how a
training goes can do without it, `evaluate` does not.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.layers.language import LanguageNetwork
from unrolled.tasks._packing import one_row
from unrolled.unroll.packing import equal

PIECES, AHEAD = 32, 128
AT_ONCE = 64
"""Elements of each piece in one call."""
LEAST = 4
"""A piece is so many times as long as what is read ahead of it, at least: else the text is read as it is."""


@torch.no_grad()
def losses(network: LanguageNetwork, ids: NDArray[np.int64], line_end: int) -> Tensor:
    """The cross-entropy of each element in nats, (elements,).

    Args:
        network: in evaluation mode.
        ids: (elements,), the text.
        line_end: what stands before the first.
    """
    pieces = max(1, min(PIECES, len(ids) // (LEAST * AHEAD)))
    ahead = AHEAD if pieces > 1 else 0
    each = (len(ids) - ahead) // pieces
    read = np.concatenate([[line_end], ids[:-1]])
    # Piece k reads elements k * each up to (k + 1) * each + ahead; the first `ahead` count in the first piece alone.
    places = np.arange(ahead + each)[:, None] + each * np.arange(pieces)
    state, found = network.initial_state(pieces), []
    for rows in np.split(places, range(AT_ONCE, len(places), AT_ONCE)):
        given, due = (torch.from_numpy(text[rows].reshape(-1)) for text in (read, ids))
        x, state = network.read(PackedSequence(given, equal(*rows.shape)), state)
        found.append(network.losses(x.data, due).view(*rows.shape))
    whole = torch.cat(found)
    nats = [whole[:ahead, 0], whole[ahead:].t().flatten()]
    rest = ahead + each * pieces
    if rest < len(ids):  # fewer elements than there are pieces; they follow the last one
        last = states.select(state, torch.tensor([pieces - 1]))
        x, _ = network.read(one_row(torch.from_numpy(read[rest:])), last)
        nats.append(network.losses(x.data, torch.from_numpy(ids[rest:])))
    return torch.cat(nats)
