r"""Scheduled sampling: in training a decoder reads, now and then, what it would have said itself.

Bengio et al. 2015, arXiv:1506.03099: each word that a step reads is, with some probability, not the true one but the
one that the decoder finds likeliest after what it has read so far. That takes one step after the other: `in_turn`.
Mihaylova & Martins 2019, arXiv:1906.07651: a first pass over the true words says what would have been said at each
place, a second reads the mixture: `two_pass`. That is two passes over whole targets, without a loop.

Either gives what is to be read, and the loss is then that of any other target. No gradient goes through the choice.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.errors import BadOption
from unrolled.layers.encoder_decoder import EncoderDecoder
from unrolled.layers.memory import Memory
from unrolled.layers.packed import before


def mix(predicted: Tensor, gold: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Each true token, with the probability given the predicted one in its place.

    Args:
        predicted, gold: (elements,), long.
        probability: from 0 to 1, or `BadOption`.
        generator: where the draws come from; None: torch's own.
    """
    if not 0 <= probability <= 1:
        raise BadOption(f"the probability of reading a prediction must be from 0 to 1, not {probability}")
    draws = torch.rand(gold.shape, generator=generator, device=gold.device)
    return torch.where(draws < probability, predicted, gold)


def sampled(
    network: EncoderDecoder,
    memory: Memory,
    targets_in: PackedSequence,
    probability: float,
    generator: torch.Generator | None = None,
) -> PackedSequence:
    """What is to be read: by `in_turn` where the decoder must go step by step anyhow, by `two_pass` elsewhere.

    Args:
        network: the encoder and decoder.
        memory: of its `encode`, rows in the caller's order.
        targets_in: data (elements,), long: the true words that the steps read; a row's first is never replaced.
        probability, generator: of `mix`.
    """
    way = in_turn if network.decoder.is_fed else two_pass
    return way(network, memory, targets_in, probability, generator)


def two_pass(
    network: EncoderDecoder,
    memory: Memory,
    targets_in: PackedSequence,
    probability: float,
    generator: torch.Generator | None = None,
) -> PackedSequence:
    """The true words mixed with what follows most likely on the true words before. Arguments as `sampled`."""
    said, gold = network.predictions(memory, targets_in), targets_in.data
    first, earlier = int(targets_in.batch_sizes[0]), before(targets_in.batch_sizes).to(gold.device)
    rest = mix(said.index_select(0, earlier), gold[first:], probability, generator)
    return targets_in._replace(data=torch.cat([gold[:first], rest]))


@torch.no_grad()
def in_turn(
    network: EncoderDecoder,
    memory: Memory,
    targets_in: PackedSequence,
    probability: float,
    generator: torch.Generator | None = None,
) -> PackedSequence:
    """The true words mixed with what follows most likely on what was read before. Arguments as `sampled`."""
    if targets_in.sorted_indices is not None:
        memory = states.select(memory, targets_in.sorted_indices)
    state, said, read = memory.state, None, []
    for gold in targets_in.data.split(targets_in.batch_sizes.tolist()):
        alive = len(gold)
        if alive < states.rows(state):  # the shortest rows stand last
            state, memory = (states.tree_map(lambda t, alive=alive: t[:alive], s) for s in (state, memory))
        read.append(gold if said is None else mix(said[:alive], gold, probability, generator))
        logits, state = network.step(read[-1], state, memory)
        said = logits.argmax(dim=1)
    return targets_in._replace(data=torch.cat(read))
