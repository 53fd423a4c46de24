r"""A decoder: layers of cells over the target's words, with attention before, between or behind them, and a readout.

    before     c = attend(h'), h' the lowest layer's state before; the lowest layer reads [x; c]
    between    the lowest layer reads x; c = attend(h), h its output; each layer above reads [what is below; c]
    after      all layers run; c = attend(h), h the topmost layer's output
    none       c is nothing, or the encoder vector, where every step reads it (Cho et al. 2014, arXiv:1406.1078)

`before` is Bahdanau, Cho & Bengio 2015 (arXiv:1409.0473); `between` is Wu et al. 2016 (arXiv:1609.08144) and Chen et
al. 2018 (arXiv:1804.09849), with the output of the same step as the query, as in Sennrich et al. 2017
(arXiv:1703.04357); `after` is Luong, Pham & Manning 2015 (arXiv:1508.04025). With input feeding (Luong et al., section
3.3) the lowest layer also reads the readout of the step before.

In training the words are known. What does not wait for the step before runs over all of them at once: every layer but
the lowest with attention `before`, all of it with attention `between` or `after`. Attention before a GRU or an LSTM,
with additive scores, is one compiled loop. Where something must wait, as always with input feeding, the loop holds only
that; what it reads of the words was made for all of them beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.errors import BadOption
from unrolled.kernels.attention import KNOWN
from unrolled.kernels.feeding import Reads
from unrolled.kernels.streaming import one_step
from unrolled.layers.attend import Attention, Looked, Source, of_elements
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.memory import DecoderState, Memory
from unrolled.layers.readout import Readout
from unrolled.unroll import attending_fused, choose, feeding, feeding_fused, fused, halves, in_turn

Place = Literal["before", "between", "after"]

Tick = Callable[[Tensor, State], "tuple[Tensor, State]"]
"""(rows, input) and a state -> the output and the next state."""
Lowest = Callable[[list[Tensor], State], "tuple[Tensor, State]"]
"""The lowest layer, given what only this step knows of its input: -> output, next state."""


class Shown(NamedTuple):
    """What a decoder gives of each element.

    outputs: (elements, hidden), the topmost layer's; contexts: (elements, context), or None without; weights:
    (elements, source), or None without attention; readouts: (elements, readout), what the softmax reads.
    """

    outputs: Tensor
    contexts: Tensor | None
    weights: Tensor | None
    readouts: Tensor


class StackedDecoder(nn.Module):
    """Cells on top of each other, attention, and a readout.

    Args:
        cells: the sizes that they read must be those of `input_sizes`, or `BadOption`.
        attention: None: there is none.
        place: where it is.
        readout: what is shown.
        word: features of an embedded word.
        vector: features of the encoder vector that every step reads; 0: none does.
        feeding: `input`: the lowest layer reads the readout before.
        connections: `residual`: each layer but the lowest adds what is below it to its output.
        dropout: the probability with which a feature is dropped between layers, for a whole row.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        attention: Attention | None,
        readout: Readout,
        *,
        word: int,
        place: Place = "after",
        vector: int = 0,
        feeding: Literal["none", "input"] = "none",
        connections: Literal["plain", "residual"] = "plain",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cells, self.attention, self.readout = nn.ModuleList(cells), attention, readout
        self.place = None if attention is None else "after" if place == "between" and len(cells) == 1 else place
        self.is_fed, self.is_residual, self.reads_vector = feeding == "input", connections == "residual", vector > 0
        self.between = LockedDropout(dropout)
        context = 0 if attention is None else attention.context_size
        fed = readout.output_size if self.is_fed else 0
        wanted = input_sizes(word + vector + fed, context, [cell.output_size for cell in cells], self.place)
        found = [cell.input_size for cell in cells]
        if found != wanted:
            raise BadOption(f"the decoder's cells must read {wanted} features, not {found}")
        if self.is_residual and len({cell.output_size for cell in cells}) > 1:
            raise BadOption("residual layers of a decoder must all give the same number of features")
        if self.is_fed and readout.map is None:
            raise BadOption("what is fed back is the readout, and the readout 'state' is the hidden state itself")

    def initial_state(self, layers: tuple[State, ...], source: int) -> DecoderState:
        """The state before the first step.

        Args:
            layers: of each layer its state.
            source: places of the padded memory.
        """
        first = states.leaves(layers)[0]
        batch, none = len(first), ()
        fed = first.new_zeros(batch, self.readout.output_size) if self.is_fed else none
        weights = none if self.attention is None else first.new_zeros(batch, source)
        covered = weights if self.covers else none
        return DecoderState(layers, fed, weights, covered)

    @property
    def covers(self) -> bool:
        """Whether attention looks at what it has attended to."""
        return getattr(self.attention, "cover", None) is not None

    @property
    def makes_keys(self) -> bool:
        """Whether the compiled loop runs it, which makes the memory's keys itself."""
        if self.place != "before" or self.is_fed or self.attention is None or self.attention.scorer() is None:
            return False
        cell = self._cell(0)
        return type(cell) in fused.KINDS and fused.kind_of(cell) in KNOWN

    def step(self, x: Tensor, state: DecoderState, memory: Memory) -> tuple[Shown, DecoderState]:
        """One step of decoding, without dropout. x: (batch, word), all else has these rows."""
        vector = some(memory.vector)
        words = x if vector is None else torch.cat([x, vector], dim=1)
        ticks = [partial(choose.step, self._cell(k)) for k in range(len(self.cells))]

        def lowest(rest: list[Tensor], before: State) -> tuple[Tensor, State]:
            return ticks[0](torch.cat([words, *rest], dim=1) if rest else words, before)

        (h, looked), after = self._tick(lowest, ticks[1:], state, memory, [None] * len(ticks[1:]))
        contexts = self._contexts(looked, memory, one_step(x.shape[0]))
        readouts = self.readout(h, contexts, x)
        shown = Shown(h, contexts, None if looked is None else looked.weights, readouts)
        return shown, after._replace(fed=readouts) if self.is_fed else after

    def forward(self, x: PackedSequence, memory: Memory) -> Shown:
        """Over whole targets, from the memory's first state.

        Args:
            x: data (elements, word).
            memory: its rows in x's packed order.
        """
        sizes, vector = x.batch_sizes, some(memory.vector)
        words = x.data if vector is None else torch.cat([x.data, of_elements(vector, sizes)], dim=1)
        if self.is_fed:
            return self._fed(x, words, memory)
        looked = None
        if self.place == "before":
            h, looked = self._before(words, sizes, memory)
        else:
            outputs, _ = choose.unroll(self._cell(0), PackedSequence(words, sizes), memory.state.layers[0])
            h = outputs.data
        if self.place == "between":
            looked = self._look(h, sizes, memory)
        h = self._above(h, sizes, looked, memory)
        if self.place == "after":
            looked = self._look(h, sizes, memory)
        contexts = self._contexts(looked, memory, sizes)
        return Shown(h, contexts, None if looked is None else looked.weights, self.readout(h, contexts, x.data))

    def _cell(self, layer: int) -> Cell:
        return self.cells[layer]  # type: ignore[return-value]

    def _look(self, queries: Tensor, sizes: Tensor, memory: Memory, covered: Tensor | None = None) -> Looked:
        assert self.attention is not None
        return self.attention(memory.source, queries, sizes, covered)

    def _contexts(self, looked: Looked | None, memory: Memory, sizes: Tensor) -> Tensor | None:
        """What the readout reads beside the hidden states."""
        vector = some(memory.vector)
        if looked is not None:
            return looked.contexts
        return None if vector is None else of_elements(vector, sizes)

    def _above(self, h: Tensor, sizes: Tensor, looked: Looked | None, memory: Memory) -> Tensor:
        """The layers above the lowest, each over all elements at once."""
        for k in range(1, len(self.cells)):
            below = self.between(PackedSequence(h, sizes)).data
            read = below if self.place != "between" or looked is None else torch.cat([below, looked.contexts], dim=1)
            outputs, _ = choose.unroll(self._cell(k), PackedSequence(read, sizes), memory.state.layers[k])
            h = outputs.data + below if self.is_residual else outputs.data
        return h

    def _before(self, words: Tensor, sizes: Tensor, memory: Memory) -> tuple[Tensor, Looked]:
        """The lowest layer with attention before it: the compiled loop, where there is one for it."""
        assert self.attention is not None
        assert isinstance(memory.source, Source)
        cell, scorer, first = self._cell(0).for_unroll(), self.attention.scorer(), memory.state.layers[0]
        if scorer is not None:
            x = PackedSequence(words, sizes)
            found = attending_fused.attempt(cell, scorer, x, memory.source.memory, memory.lengths, first)
            if found is not None:
                return found.outputs.data, Looked(found.contexts.data, found.weights.data)

        def tick(given: tuple[Tensor, ...], state: Any, memory: Memory) -> tuple[tuple[Tensor, ...], Any]:
            layer, covered = state
            looked = self._look(states.leaves(layer)[0], one_step(len(given[0])), memory, some(covered))
            h, layer = halves.step(cell, given[0], [looked.contexts], layer)
            return (h, *looked), (layer, _added(covered, looked))

        given, state = [halves.known(cell, words)], (first, memory.state.covered)
        h, *looked = in_turn.run(tick, given, sizes.tolist(), state, _looked_at(self._ready(memory)))
        return h, Looked(*looked)

    def _fed(self, x: PackedSequence, words: Tensor, memory: Memory) -> Shown:
        """All layers, with the readout fed back: the compiled loop, where there is one for it."""
        cells = [self._cell(k).for_unroll() for k in range(len(self.cells))]
        compiled = self._fed_compiled(cells, x, words, memory)
        if compiled is not None:
            return compiled
        first = int(x.batch_sizes[0])
        masks = [self.between.mask(words.new_empty(first, cell.output_size)) for cell in cells[:-1]]

        def tick(given: tuple[Tensor, ...], state: Any, memory: Memory) -> tuple[tuple[Tensor, ...], Any]:
            share, said = given

            def lowest(rest: list[Tensor], before: State) -> tuple[Tensor, State]:
                return halves.step(cells[0], share, rest, before)

            dropped = [None if mask is None else mask[: len(share)] for mask in masks]
            above = [partial(choose.step, cell) for cell in cells[1:]]
            (h, looked), after = self._tick(lowest, above, state, memory, dropped)
            contexts = self._contexts(looked, memory, one_step(len(share)))
            readouts = self.readout.step(said, h, contexts)
            shown = [t for t in (h, contexts, None if looked is None else looked.weights, readouts) if t is not None]
            return tuple(shown), after._replace(fed=readouts)

        given = [halves.known(cells[0], words), self.readout.known(x.data)]
        made = in_turn.run(tick, given, x.batch_sizes.tolist(), memory.state, _looked_at(self._ready(memory)))
        h, *between, readouts = made
        contexts, weights, *_ = (*between, None, None)
        return Shown(h, contexts, weights, readouts)

    def _fed_compiled(self, cells: Sequence[Cell], x: PackedSequence, words: Tensor, memory: Memory) -> Shown | None:
        """One layer with attention behind it, by the kernels; None where they do not run this."""
        asked = None if self.attention is None or self.place != "after" else self.attention.asked()
        if asked is None or len(cells) > 1 or self.readout.map is None or not isinstance(memory.source, Source):
            return None
        places, keys, mask = memory.source
        there = feeding.Places(places, keys if isinstance(keys, Tensor) else places, mask)
        hidden, weight = cells[0].output_size, self.readout.map.weight[:, self.readout.word :]
        reads = Reads(*asked, weight[:, :hidden], weight[:, hidden:])
        said, given = self.readout.known(x.data), PackedSequence(words, x.batch_sizes)
        state, first = memory.state.layers[0], memory.state.fed
        assert isinstance(first, Tensor)
        shown = feeding_fused.attempt(cells[0], reads, given, said, there, state, first)
        return None if shown is None else Shown(*shown)

    def _tick(
        self,
        lowest: Lowest,
        above: Sequence[Tick],
        state: DecoderState,
        memory: Memory,
        masks: Sequence[Tensor | None],
    ) -> tuple[tuple[Tensor, Looked | None], DecoderState]:
        """One step of all layers and attention: the topmost output, what was looked at; the state, but for `fed`.

        above, masks: the layers above the lowest, and what is dropped before each.
        """
        looked, rest = None, [] if isinstance(state.fed, tuple) else [state.fed]

        def look(queries: Tensor) -> Looked:
            return self._look(queries, one_step(queries.shape[0]), memory, some(state.covered))

        if self.place == "before":
            looked = look(states.leaves(state.layers[0])[0])
            rest.append(looked.contexts)
        h, first = lowest(rest, state.layers[0])
        if self.place == "between":
            looked = look(h)
        after = [first]
        for tick, mask, layer in zip(above, masks, state.layers[1:], strict=True):
            below = h if mask is None else h * mask
            read = below if self.place != "between" or looked is None else torch.cat([below, looked.contexts], dim=1)
            h, layer = tick(read, layer)
            h = h + below if self.is_residual else h
            after.append(layer)
        if self.place == "after":
            looked = look(h)
        weights: Tensor | tuple[()] = () if looked is None else looked.weights
        return (h, looked), DecoderState(tuple(after), (), weights, _added(state.covered, looked))

    def _ready(self, memory: Memory) -> Memory:
        """With keys, where they were left to the compiled loop."""
        if self.attention is None or not isinstance(memory.source, Source) or isinstance(memory.source.keys, Tensor):
            return memory
        return memory._replace(source=self.attention.source(memory.source.memory, memory.source.mask))


def input_sizes(word: int, context: int, outputs: Sequence[int], place: Place | None) -> list[int]:
    """What each layer reads, lowest first.

    Args:
        word: features of what the lowest reads beside a context.
        context: features of that.
        outputs: features that each layer gives.
        place: where attention is; None: nowhere.
    """
    lowest = word + (context if place == "before" else 0)
    return [lowest, *(below + (context if place == "between" else 0) for below in outputs[:-1])]


def some(value: Tensor | tuple[()]) -> Tensor | None:
    """A tensor, or None where there is none."""
    return value if isinstance(value, Tensor) else None


def _added(covered: Tensor | tuple[()], looked: Looked | None) -> Tensor | tuple[()]:
    return covered if isinstance(covered, tuple) or looked is None else covered + looked.weights


def _looked_at(memory: Memory) -> Any:
    """What a loop reads of it."""
    nothing: Any = ()
    return memory._replace(lengths=nothing, copies=(), state=nothing)
