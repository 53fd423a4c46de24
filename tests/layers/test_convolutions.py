"""Pictures to grids of features, by the equations."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from unrolled.errors import BadOption
from unrolled.layers.convolutions import Convolutions


def normalised(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Group normalisation by its equation, weights 1 and biases 0."""
    parts = x.reshape(len(x), groups, -1)
    parts = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return parts.reshape(x.shape)


def test_blocks_and_the_pooling_between_them_are_those_of_the_equations() -> None:
    torch.manual_seed(0)
    network = Convolutions([4, 6], depth=2).double()
    x = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    h = 2 * x - 1
    for number, (groups, block) in enumerate(zip((2, 1), network.blocks, strict=True)):
        if number:
            h = h.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).amax((3, 5))
        first, second = block.first.convolution.weight, block.further[0].convolution.weight
        h = normalised(conv2d(h, first, padding=1), groups).relu()
        h = h + normalised(conv2d(h, second, padding=1), groups).relu()
    torch.testing.assert_close(network(x), h)
    assert h.shape == (2, 6, 4, 3)
    assert network.grid(8, 6) == (4, 3)


def test_pictures_do_not_see_each_other_in_training_either() -> None:
    torch.manual_seed(0)
    network, x = Convolutions([4, 8, 8]).train(), torch.rand(3, 3, 8, 8)
    together = network(x)
    for k in range(3):
        torch.testing.assert_close(network(x[k : k + 1])[0], together[k])


def test_what_cannot_be_is_named() -> None:
    for blocks, depth in (([], 1), ([4, 0], 1), ([4], 0)):
        with pytest.raises(BadOption, match="blocks must be sizes of 1 or more, and depth 1 or more"):
            Convolutions(blocks, depth)
    with pytest.raises(BadOption, match="a picture of 4 x 4 cannot be halved 3 times: fewer blocks, or larger"):
        Convolutions([2, 2, 2, 2]).grid(4, 4)
