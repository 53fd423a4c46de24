"""Where a NaN or an infinity arose first: which example, part of the model, and step; by running the batch again.

Each example is run alone, so that a step is an element of it; the first example, and in it the first part whose output
is not finite. Where all outputs are finite and gradients are not, the first on the way back. The model runs without
dropout: what only a certain draw brings about is not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled import state as states
from unrolled.inspection.tape import Tape, Watched, watch
from unrolled.tasks.base import Task


class Origin(NamedTuple):
    """Where it arose.

    example: its place among those given; layer: path of the part; step: the place of the element, in the order in which
    the part reads, from 0, None where it is not known; what: of that part is not finite; by_weights: whether weights
    of the part itself are not.
    """

    example: int
    layer: str
    step: int | None
    what: Literal["output", "loss", "gradient"]
    by_weights: bool = False

    def __str__(self) -> str:
        if self.what == "loss":
            return "the loss is the first that is not finite"
        where = "" if self.step is None else f", at step {self.step + 1}"
        why = "; its weights are not, either" if self.by_weights else ""
        return f"the {self.what} of {self.layer} is the first that is not finite{where}{why}"


def first_not_finite(task: Task, encoded: Sequence[Any]) -> Origin | None:
    """Where it arises first in a batch; None where every example alone is finite.

    Args:
        task: left as it is.
        encoded: examples, as the task encodes them, with their blanks filled in.
    """
    copy, tape = watch(task)
    copy.eval()
    for place, one in enumerate(encoded):
        for cell in tape.values():
            cell.forget()
        seen: list[Origin] = []
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False), _looking(copy, place, seen):
            total = copy.loss(copy.collate([one])).total
        if seen:
            return seen[0]
        if not bool(torch.isfinite(total)):
            return Origin(place, "", None, "loss")
        found = _on_the_way_back(copy, tape, total, place)
        if found is not None:
            return found
    return None


@contextmanager
def _looking(model: nn.Module, example: int, seen: list[Origin]) -> Iterator[None]:
    """Within this, parts whose output is not finite are noted, in the order in which they are done."""

    cells = [(path, part) for path, part in model.named_modules() if isinstance(part, Watched)]

    def note(path: str) -> Any:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            step = None if seen else _first_element(output)
            if step is None:
                return
            # A cell is no module that is called; what reads its output is called after it.
            for name, cell in cells:
                tick = _first_tick(cell)
                if tick is not None:
                    seen.append(Origin(example, name, tick, "output", _has_bad_weights(cell)))
                    return
            seen.append(Origin(example, path, step if step >= 0 else None, "output", _has_bad_weights(module)))

        return hook

    hooks = [part.register_forward_hook(note(path)) for path, part in model.named_modules() if path]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _first_tick(cell: Watched) -> int | None:
    """The first at which it gave what is not finite."""
    for reading in cell.readings:
        for step, tick in enumerate(reading):
            if not all(map(_is_finite, (tick.output, *states.leaves(tick.after)))):
                return step
    return None


def _first_element(output: Any) -> int | None:
    """The first element of an output that is not finite, -1 where it has no elements; None where all is finite."""
    for part in _tensors(output):
        if not _is_finite(part):
            bad = ~torch.isfinite(part)
            return int(bad.flatten(1).any(dim=1).nonzero()[0]) if part.dim() == 2 else -1
    return None


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, PackedSequence):
        yield output.data
    elif isinstance(output, Tensor):
        yield output
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from _tensors(part)


def _on_the_way_back(model: nn.Module, tape: Tape, total: Tensor, example: int) -> Origin | None:
    """The uppermost cell, and in it the last step, whose gradient is not finite; else the first such weight."""
    if not total.requires_grad:
        return None
    names, flat = [], []
    for layer, cell in tape.items():
        for reading in cell.readings:
            for step, tick in enumerate(reading):
                for leaf in (tick.output, *states.leaves(tick.after)):
                    if leaf.requires_grad:
                        names.append((layer, step))
                        flat.append(leaf)
    weights = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    everything = [*flat, *(p for _, p in weights)]
    grads = torch.autograd.grad(total, everything, allow_unused=True)
    for (layer, step), grad in reversed(list(zip(names, grads[: len(flat)], strict=True))):
        if grad is not None and not _is_finite(grad):
            return Origin(example, layer, step, "gradient")
    for (name, _), grad in zip(weights, grads[len(flat) :], strict=True):
        if grad is not None and not _is_finite(grad):
            return Origin(example, name, None, "gradient")
    return None


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _has_bad_weights(module: nn.Module) -> bool:
    return not all(map(_is_finite, module.parameters()))
