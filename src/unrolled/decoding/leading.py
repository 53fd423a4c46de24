"""The few largest of very many, a vocabulary's: without sorting it, and in a fraction of the time of `Tensor.topk`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unrolled.decoding.step import to_numpy

# Below it all of a row's values are as quickly looked at at once.
_SMALL = 1024
_BLOCK = 128


def leading(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest values of each row and where they stand.

    Args:
        values: (rows, n), float32 or float64, without NaN, or with nothing else in a row.
        count: how many, from 1 to n.

    Returns:
        Values and indices, each (rows, count), largest first. Of equal values the first stands for them where count is
        1; else it is not said which is taken, but it does not depend on the other rows.
    """
    n = values.shape[1]
    if count == 1:
        return _largest(values) if n >= 2 * _SMALL else values.max(1, keepdim=True)
    return _by_columns(values, count) if n >= _SMALL and n >= 64 * count else values.topk(count, dim=1)


def _largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """The first largest: first the block, then the place in it. A maximum alone is found much faster than its place."""
    whole = values.shape[1] - values.shape[1] % _BLOCK
    block = values[:, :whole].unflatten(1, (-1, _BLOCK)).amax(2).argmax(1, keepdim=True)
    index = _with_rest(block * _BLOCK + torch.arange(_BLOCK, device=values.device), whole, values)
    best, place = values.gather(1, index).max(1, keepdim=True)
    return best, index.gather(1, place)


def _by_columns(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """A row is written line by line into a table. The k largest values stand in the k columns with the largest maxima:

    were one of them in another column, the k columns with larger maxima would hold k values that are larger than it.
    With about sqrt(k n) columns as many values are left as there are columns. A power of two goes well with the
    processor's vectors. What does not fill a line is left too.
    """
    n = values.shape[1]
    columns = 1 << round((count * n) ** 0.5).bit_length() - 1
    whole = n - n % columns
    maxima = to_numpy(values[:, :whole].unflatten(1, (-1, columns)).amax(1))
    # numpy's is quicker for so few, and their order does not matter.
    chosen = torch.from_numpy(np.argpartition(maxima, columns - count, axis=1)[:, columns - count :])
    lines = torch.arange(0, whole, columns, device=values.device)
    index = _with_rest((chosen.to(values.device).unsqueeze(2) + lines).flatten(1), whole, values)
    best, place = values.gather(1, index).topk(count, dim=1)
    return best, index.gather(1, place)


def _with_rest(index: Tensor, whole: int, values: Tensor) -> Tensor:
    n = values.shape[1]
    if whole == n:
        return index
    return torch.cat([index, torch.arange(whole, n, device=values.device).expand(values.shape[0], -1)], 1)
