"""What every cell of a model did, at every step: written down while the model runs.

    copy, tape = watch(model)
    loss = …                                # run the copy as the model is run
    for name, readings in tape.items(): …   # of each cell, what it read, tick by tick

Cells are watched, not layers, so that nothing is missed: both directions, a decoder's cell, one in a user's own module.
The copy's cells are wrapped; a wrapped cell is none that a kernel knows, and so is run by the plain loop. torch's
recurrent modules are read into cells of ours, which share their weights (`torch_modules`). The model itself is left as
it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn

from unrolled import state as states
from unrolled.cells.base import Cell, State
from unrolled.inspection.torch_modules import as_cells
from unrolled.layers.wrapped import Wrapped

SomeModule = TypeVar("SomeModule", bound=nn.Module)


class Tick(NamedTuple):
    """One step of a cell, of the rows that were alive in it (of a packed batch the first ones).

    px: what `project` made of the input, (rows, gates); entered: the state before; after: the state as the cell made
    it; output, left: (rows, output) and the state, as they were handed on. Where the run had a graph, so have they; and
    since what enters, is made and is handed on are tensors of their own, the ways that a gradient took can be told
    apart: through `output` and `left` it comes back, through `entered` it goes on.
    """

    px: Tensor
    entered: State
    after: State
    output: Tensor
    left: State

    @property
    def rows(self) -> int:
        """How many were alive."""
        return len(self.output)


Reading = list[Tick]
"""One run of a cell over time, in the order in which it read: the backward one of two begins with the last element."""

Tape = dict[str, "Watched"]
"""By name, which is the module's path, each cell of a model."""


class Watched(Wrapped):
    """A cell whose ticks are written down. It computes what the cell does.

    Attributes:
        cell: that is watched.
        readings: of all its runs so far, in their order.
        inputs: what it read in them, each (elements, input).
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.readings: list[Reading] = []
        self.inputs: list[Tensor] = []
        self._is_running = False

    def forget(self) -> None:
        """What was written down so far."""
        self.readings.clear()
        self.inputs.clear()

    def project(self, x: Tensor) -> Tensor:
        self.inputs.append(x.detach())
        return self.cell.project(x)

    def step(self, px: Tensor, state: State) -> tuple[Tensor, State]:
        if not self.readings:  # stepped by hand, not by a loop that asks for `for_unroll`
            self.readings.append([])
        entered = states.tree_map(_apart, state)
        output, after = self.cell.step(px, entered)
        tick = Tick(px, entered, after, _apart(output), states.tree_map(_apart, after))
        self.readings[-1].append(tick)
        return tick.output, tick.left

    def for_unroll(self) -> Cell:
        if self._is_running:
            return self
        self.readings.append([])
        one = copy.copy(self)
        one._modules = {**self._modules, "cell": self.cell.for_unroll()}
        one._is_running = True
        return one


def watch(model: SomeModule) -> tuple[SomeModule, Tape]:
    """A copy of a model, and what will be written down of each of its cells.

    A cell that wraps another (dropout of weights, zoneout) is watched as one.
    """
    again = replace(copy.deepcopy(model), as_cells)
    tape: Tape = {}

    def watched(name: str, module: nn.Module) -> nn.Module | None:
        if not isinstance(module, Cell):
            return None
        tape[name] = Watched(module)
        return tape[name]

    return replace(again, watched), tape


def replace(module: SomeModule, by: Callable[[str, nn.Module], nn.Module | None], path: str = "") -> SomeModule:
    """A module whose parts are replaced, in place, by what a function of path and part gives; by itself where None.

    Parts of what was replaced are left alone. A part that stands in two places is asked for once, by its first path.
    """
    return _replaced(module, by, path, {})  # type: ignore[return-value]


def _replaced(module: nn.Module, by: Callable[..., Any], path: str, seen: dict[int, tuple[Any, Any]]) -> nn.Module:
    if id(module) in seen:
        return seen[id(module)][1]
    made = by(path, module)
    seen[id(module)] = (module, module if made is None else made)  # kept, so that its id is not another's
    if made is not None:
        return made
    for name, part in module._modules.items():
        if part is not None:
            module._modules[name] = _replaced(part, by, f"{path}.{name}" if path else name, seen)
    return module


def _apart(leaf: Tensor) -> Tensor:
    """The same numbers, as another tensor of the graph."""
    return leaf.view_as(leaf)


def lengths(reading: Reading) -> list[int]:
    """How many ticks each row of a reading has."""
    sizes = [tick.rows for tick in reading]
    return [sum(size > row for size in sizes) for row in range(sizes[0])]
