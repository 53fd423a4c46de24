"""A word's vector from its spelling. Each distinct word of a batch is looked at once; its characters lie end to end.

    spellings: (characters,) ids of all words one after the other;   lengths: (words,)   ->   (words, features)

A word's vector does not depend on the words beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.errors import BadOption
from unrolled.kernels.recurrence import Weights
from unrolled.layers.embedding import Embedding
from unrolled.unroll import fused
from unrolled.unroll.packing import layout

SMALLEST_GROUP = 32
"""Words. Below this a group of its own costs more than the padding that it saves."""


class CharacterLSTM(nn.Module):
    """The last states of two LSTMs that read a word's characters forwards and backwards, Lample et al. 2016.

    arXiv:1603.01360, section 4.1.

    Args:
        symbols: how many characters there are.
        character_size: features of a character.
        hidden_size: units of each direction.
    """

    def __init__(self, symbols: int, character_size: int = 25, hidden_size: int = 25) -> None:
        super().__init__()
        self.characters = Embedding(symbols, character_size)
        self.ahead = nn.LSTM(character_size, hidden_size)
        self.back = nn.LSTM(character_size, hidden_size)

    @property
    def output_size(self) -> int:
        """Features of a word's vector: both directions."""
        return 2 * self.ahead.hidden_size

    def forward(self, spellings: Tensor, lengths: Tensor) -> Tensor:
        """spellings: (characters,), lengths: (words,) -> (words, 2 * hidden)."""
        starts = _starts(spellings, lengths)
        weights = [_weights(one) for one in (self.ahead, self.back) if isinstance(one, nn.LSTM)]  # others are watched
        if len(weights) == 2 and all(fused.runs("lstm", self.characters.weight, w) for w in weights):
            return self._by_kernels(spellings, lengths, starts, weights)
        # torch's LSTM is quick on padded, slow on packed batches. Read from its own first character on, a word never
        # meets the padding before its end, in either direction; its state there is taken, and what follows is lost.
        found, order = [], lengths.argsort(stable=True)
        for words in _groups(order, lengths):
            length, start = lengths[words], starts[words]
            time = torch.arange(int(length[-1]), device=lengths.device).unsqueeze(1)
            forwards = start + time.minimum(length - 1)
            backwards = start + (length - 1 - time).clamp(min=0)
            ahead = self._read(self.ahead, spellings[forwards], length)
            back = self._read(self.back, spellings[backwards], length)
            found.append(torch.cat([ahead, back], dim=1))
        return torch.cat(found).index_select(0, order.argsort())

    def _by_kernels(self, spellings: Tensor, lengths: Tensor, starts: Tensor, weights: list[Weights]) -> Tensor:
        order = lengths.argsort(descending=True, stable=True)
        time = torch.arange(int(lengths[order[0]]))
        sizes = (lengths.unsqueeze(0) > time.unsqueeze(1)).sum(1)
        place = layout(sizes)
        ids = spellings.index_select(0, starts[order].index_select(0, place.rows) + place.times)
        zeros = self.characters.weight.new_zeros(len(lengths), self.ahead.hidden_size)
        x = PackedSequence(self.characters(ids), sizes)
        _, final = fused.run("lstm", weights, x, [(zeros, zeros), (zeros, zeros)])
        return torch.cat([h for h, _ in final], dim=1).index_select(0, order.argsort())

    def _read(self, lstm: nn.LSTM, ids: Tensor, length: Tensor) -> Tensor:
        states, _ = lstm(self.characters(ids))
        steps, words, size = states.shape
        end = (length - 1) * words + torch.arange(words, device=length.device)
        return states.reshape(steps * words, size).index_select(0, end)


class CharacterCNN(nn.Module):
    """Convolutions over a word's characters and the maximum over time, Kim et al. 2016, arXiv:1508.06615, eq. 1 and 2;
    Ma & Hovy 2016, arXiv:1603.01354, with one width of 3.

        f_t = tanh(W [c_{t-l} ; … ; c_{t+r}] + b),    result = max_t f_t

    A window of width w is centred on each character of the word (l = (w - 1) // 2, r = w // 2); what it covers beyond
    the word's ends are zeros. So a word has as many windows as characters, however short it is.

    Args:
        symbols: how many characters there are.
        character_size: features of a character.
        filters: of each width.
        widths: of the windows, in characters.
    """

    def __init__(self, symbols: int, character_size: int = 30, filters: int = 30, widths: Sequence[int] = (3,)) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise BadOption(f"a character convolution needs widths of 1 or more, not {tuple(widths)}")
        self.characters = Embedding(symbols, character_size)
        self.windows = nn.ModuleList(nn.Conv1d(character_size, filters, width) for width in widths)
        self.widths = tuple(widths)

    @property
    def output_size(self) -> int:
        """Features of a word's vector: the filters of all widths."""
        return sum(window.out_channels for window in self._each())

    def forward(self, spellings: Tensor, lengths: Tensor) -> Tensor:
        """spellings: (characters,), lengths: (words,) -> (words, filters * widths)."""
        _starts(spellings, lengths)
        word = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
        # All words on one line, with gaps between them for the widest window to reach into: nothing is padded to the
        # longest word, and no window sees two words.
        gap = max(self.widths) - 1
        place = torch.arange(len(spellings), device=lengths.device) + (word + 1) * gap
        nothing = self.characters.weight.shape[0]
        if int(spellings.min()) < 0 or int(spellings.max()) >= nothing:
            raise IndexError(f"a character's id must be from 0 to {nothing - 1}")
        line = spellings.new_full((len(spellings) + (len(lengths) + 1) * gap,), nothing).index_copy(0, place, spellings)
        return torch.cat([self._highest(window, line, place, word, lengths) for window in self._each()], dim=1)

    def _highest(self, window: nn.Conv1d, line: Tensor, place: Tensor, word: Tensor, lengths: Tensor) -> Tensor:
        """line: (places,) ids; place, word: (characters,) of each character -> (words, filters)."""
        # There are few different characters: what each adds at each place of the window is worked out once, and a
        # window's value is the sum of its places', which is quicker than a convolution.
        table = torch.einsum("sc,fcw->wsf", self.characters.weight, window.weight)
        table = torch.cat([table, table.new_zeros(table.shape[0], 1, table.shape[2])], dim=1)
        (width, symbols, _), first = table.shape, place - (table.shape[0] - 1) // 2
        bags = torch.stack([line[first + k] + k * symbols for k in range(width)], dim=1)
        sums = nn.functional.embedding_bag(bags, table.flatten(0, 1), mode="sum")
        assert window.bias is not None
        # tanh and the bias do not change which window is the highest.
        return (_Highest.apply(sums, word, lengths) + window.bias).tanh()

    def _each(self) -> Iterator[nn.Conv1d]:
        return iter(self.windows)  # type: ignore[arg-type]


class _Highest(torch.autograd.Function):
    """The maximum over each word's windows. (windows, filters) -> (words, filters).

    torch's own gradient of `segment_reduce` is wrong where windows are equal and the gradient is negative (seen in
    2.13); equal windows share it here, as in `amax`.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, word: Tensor, lengths: Tensor) -> Tensor:
        highest = torch.segment_reduce(values, "max", lengths=lengths)
        ctx.save_for_backward(values == highest.index_select(0, word), word)
        return highest

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        is_highest, word = ctx.saved_tensors
        share = is_highest.to(grad.dtype)
        count = torch.zeros_like(grad).index_add(0, word, share)
        return share * (grad / count).index_select(0, word), None, None


def _starts(spellings: Tensor, lengths: Tensor) -> Tensor:
    if len(lengths) == 0 or int(lengths.min()) < 1:
        raise ValueError("a word needs at least one character, and a batch at least one word")
    ends = lengths.cumsum(0)
    if int(ends[-1]) != len(spellings):
        raise ValueError(f"the words' lengths add up to {int(ends[-1])}, there are {len(spellings)} characters")
    return ends - lengths


def _weights(lstm: nn.LSTM) -> Weights:
    ih, hh, bias_ih, bias_hh = lstm.all_weights[0]
    return Weights(ih, hh, bias_ih, bias_hh)


def _groups(order: Tensor, lengths: Tensor) -> list[Tensor]:
    """Words of similar length together: the shorter half, then the shorter half of the rest, and so on."""
    groups = []
    while len(order) >= 2 * SMALLEST_GROUP:
        half = len(order) // 2
        groups.append(order[:half])
        order = order[half:]
    return [*groups, order]
