r"""Which elements an answer rests on: integrated gradients, and what is without each of them; how far back it looks.

Integrated gradients (Sundararajan, Taly & Yan 2017, arXiv:1703.01365, eq. 1): of an answer's log-probability F, as a
function of the vectors x_i of the elements, along the straight way from a baseline of zeros,

    a_i = x_i . integral from 0 to 1 of dF/dx_i (s x) ds

so that the a_i add up to F(x) - F(0) (completeness). The integral is a sum over the midpoints of equal parts; `gap` is
by how much it misses that.

Occlusion (Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2; of words Li, Monroe & Jurafsky 2016, arXiv:1612.08220):
by how much F falls where x_i is put to zeros: what it does not fall without was not needed.

Memory, by direct test: how much of the answer's distribution moves (total variation) where the element k places before
the last is put in the place of another one. The flow of the gradient tells of small changes, this of whole ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from unrolled.errors import BadOption
from unrolled.inspection.alignment import legible
from unrolled.tasks.base import Task

STEPS = 50
FELT = 0.01
"""Of the distribution: less movement than this is none."""


class Saliency(NamedTuple):
    """What one answer rests on.

    elements: of the example, in their order; answer: that was asked about; log_probability: the task's own for it;
    gradients: (elements,), integrated; occlusion: (elements,), by how much the log-probability falls without each; gap:
    of the integrated gradients' sum from what it is to be.
    """

    elements: tuple[str, ...]
    answer: str
    log_probability: float
    gradients: NDArray[np.float64]
    occlusion: NDArray[np.float64]
    gap: float

    def __str__(self) -> str:
        shown = list(map(legible, self.elements))
        width = max(map(len, shown))
        lines = [f"{self.answer}: log-probability {self.log_probability:.4f}"]
        for element, gradient, without in zip(shown, self.gradients, self.occlusion, strict=True):
            lines.append(f"  {element:{width}}  gradients {gradient:+8.4f}  without it {-without:+8.4f}")
        return "\n".join(lines)


class Memory(NamedTuple):
    """How far back an answer looks. moved: (lags,), the mean total variation where the element so far back is another
    one, NaN where no example is so long; examples: at each lag, how many were.
    """

    moved: NDArray[np.float64]
    examples: NDArray[np.int64]

    @property
    def horizon(self) -> int:
        """The furthest lag at which a change is still felt, -1 for none."""
        felt = np.flatnonzero(self.moved >= FELT)
        return int(felt[-1]) if len(felt) else -1


def saliency(task: Task, example: Any, *, answer: str | None = None, place: int = -1, steps: int = STEPS) -> Saliency:
    """What the task's answer about one example rests on.

    Args:
        task: left as it is.
        example: raw, or an example; one that writes sequences needs its target.
        answer: which; None: the one that the task gives.
        place: of the element that is asked about, where each has an answer; negative from the end.
        steps: of the integral.

    Raises `BadOption` for an answer that is none, and where the task has no vectors to look at; `NoElement`, which is
    one, for a place that the example has not.
    """
    encoded = task.encode(task.read(example))
    elements = task.sequences(encoded)[0]
    count = len(elements)
    with task.evaluating():
        with torch.no_grad():
            said, names = task.says(task.collate([encoded]), place)
        number = int(said[0].argmax()) if answer is None else _number(answer, names)
        scales = (torch.arange(steps) + 0.5) / steps
        gradients = torch.zeros(count, dtype=torch.float64)
        for part in scales.split(max(1, 2048 // count)):
            gradients += _integrated(task, encoded, number, place, part) / steps
        keep = 1 - torch.cat([torch.zeros(1, count), torch.eye(count), torch.ones(1, count)])
        with torch.no_grad():
            found = torch.cat(
                [_scaled(task, encoded, number, place, rows) for rows in keep.split(max(1, 2048 // count))]
            )
    whole, *without, nothing = found.double().tolist()
    gap = float(gradients.sum()) - (whole - nothing)
    return Saliency(elements, names[number], whole, gradients.numpy(), whole - np.array(without), gap)


def memory(task: Task, examples: Sequence[Any], *, most: int = 100, seed: int = 1) -> Memory:
    """How far back the answer about the last element of examples looks.

    Args:
        task: left as it is.
        examples: raw ones, or examples. What is put in an element's place is another one of the same example.
        most: lags, at most.
        seed: of what is drawn.

    Raises `BadOption` where the task has no vectors to look at.
    """
    draw = torch.Generator().manual_seed(seed)
    sums, counts = np.zeros(most), np.zeros(most, dtype=np.int64)
    with task.evaluating(), torch.no_grad():
        for example in examples:
            encoded = task.encode(task.read(example))
            count = len(task.sequences(encoded)[0])
            lags = min(most, count)
            if count < 2:
                continue
            # Row k has, k places before the last, one of the others; the last row is as it is.
            order = torch.arange(count).repeat(lags + 1, 1)
            places = count - 1 - torch.arange(lags)
            others = torch.randint(count - 1, (lags,), generator=draw)
            order[torch.arange(lags), places] = others + (others >= places)
            with _changed(task, partial(_reordered, order=order.t())):
                said = task.says(task.collate([encoded] * (lags + 1)))[0].exp()
            sums[:lags] += (0.5 * (said[:-1] - said[-1]).abs().sum(dim=1)).double().numpy()
            counts[:lags] += 1
    with np.errstate(invalid="ignore"):
        return Memory(sums / np.where(counts > 0, counts, np.nan), counts)


def _reordered(x: Tensor, order: Tensor) -> Tensor:
    """x: (time, rows, features); order: (time, rows), which time stands there."""
    return x.gather(0, order.unsqueeze(2).expand_as(x))


def _number(answer: str, names: Sequence[str]) -> int:
    if answer not in names:
        raise BadOption(f"{answer!r} is none of the answers: {', '.join(list(names)[:20])}")
    return list(names).index(answer)


def _integrated(task: Task, encoded: Any, number: int, place: int, scales: Tensor) -> Tensor:
    """The sum over scales of x_i . dF/dx_i (s x), (elements,)."""
    kept: list[Tensor] = []

    def change(x: Tensor) -> Tensor:
        x = (x * scales[:, None]).detach().requires_grad_()
        kept.append(x)
        return x

    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False), _changed(task, change):
        said, _ = task.says(task.collate([encoded] * len(scales)), place)
        (grads,) = torch.autograd.grad(said[:, number].sum(), kept)
    return ((kept[0].detach() / scales[:, None]) * grads).double().sum(dim=(1, 2))


def _scaled(task: Task, encoded: Any, number: int, place: int, factors: Tensor) -> Tensor:
    """The answer's log-probability, (rows,), where each element's vector is multiplied. factors: (rows, elements)."""
    with _changed(task, lambda x: x * factors.t().unsqueeze(2)):
        said, _ = task.says(task.collate([encoded] * len(factors)), place)
    return said[:, number]


@contextmanager
def _changed(task: Task, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within this the vectors are changed on their way. change: of rows of one length, (time, rows, features)."""

    def hook(_: Any, __: Any, output: PackedSequence) -> PackedSequence:
        rows = int(output.batch_sizes[0])
        changed = change(output.data.unflatten(0, (-1, rows)))
        return output._replace(data=changed.flatten(0, 1))

    handle = task.vectors().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
