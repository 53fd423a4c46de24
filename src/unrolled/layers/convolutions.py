r"""What a picture shows, place by place: a small network of convolutions, to be trained from scratch.

    a block     x = relu(norm(conv3x3(x))), and from the second convolution on  x = x + relu(norm(conv3x3(x)))
    between     the largest of each 2 x 2 places (max pooling): half as many rows and columns

Shortcuts are those of He et al. 2016 (arXiv:1512.03385), around each convolution that keeps its size. The norm is group
normalisation (Wu & He 2018, arXiv:1803.08494), whose statistics are of one picture alone: what else is in a batch, and
how large that is, changes nothing, in training as afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor, nn

from unrolled.errors import BadOption

GROUPS = 8
"""Of features that are normalised together, at most."""


class Convolutions(nn.Module):
    """Pictures to features of a grid of places.

    Args:
        blocks: features of each block.
        depth: convolutions of a block.

    Raises `BadOption` for none, or sizes below 1.
    """

    def __init__(self, blocks: Sequence[int], depth: int = 1) -> None:
        super().__init__()
        if not blocks or min(blocks) < 1 or depth < 1:
            raise BadOption(f"blocks must be sizes of 1 or more, and depth 1 or more, not {list(blocks)} and {depth}")
        sizes = zip((3, *blocks[:-1]), blocks, strict=True)
        self.blocks = nn.ModuleList(_Block(size, features, depth) for size, features in sizes)
        self.output_size = blocks[-1]

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, 3, height, width), from 0 to 1 -> (batch, features, rows, columns)."""
        x = 2 * x - 1
        for number, block in enumerate(self.blocks):
            if number:
                x = nn.functional.max_pool2d(x, 2)
            x = block(x)
        return x

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the places of such a picture. Raises `BadOption` where none is left."""
        halved = len(self.blocks) - 1
        rows, columns = height >> halved, width >> halved
        if not rows or not columns:
            raise BadOption(f"a picture of {height} x {width} cannot be halved {halved} times: fewer blocks, or larger")
        return rows, columns


class _Block(nn.Module):
    """Convolutions one after the other."""

    def __init__(self, size: int, features: int, depth: int) -> None:
        super().__init__()
        self.first = _Step(size, features)
        self.further = nn.ModuleList(_Step(features, features) for _ in range(depth - 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for step in self.further:
            x = x + step(x)
        return x


class _Step(nn.Module):
    """A convolution of 3 x 3 places, whose bias is the norm's."""

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(size, features, 3, padding=1, bias=False)
        # At least two features a group: a feature alone at a single place would be normalised to nothing.
        groups = gcd(GROUPS, features // 2) if features % 2 == 0 else 1
        self.norm = nn.GroupNorm(groups, features)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.convolution(x)))
