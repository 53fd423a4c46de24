"""What a decoder shows: by equation, and in a loop as in one go."""

from __future__ import annotations

import pytest
import torch

from unrolled.layers.readout import Readout


def test_each_kind_is_its_equation() -> None:
    h, c, x = torch.randn(5, 4), torch.randn(5, 6), torch.randn(5, 3)
    one = Readout("state", hidden=4, context=6, word=3, output=7)
    assert torch.equal(one(h, c, x), h)
    assert one.output_size == 4
    for kind, parts in (("context", [h, c]), ("deep", [x, h, c])):
        one = Readout(kind, hidden=4, context=6, word=3, output=7)
        wanted = (torch.cat(parts, 1) @ one.map.weight.T + one.map.bias).tanh()
        torch.testing.assert_close(one(h, c, x), wanted)
        assert one.output_size == 7


@pytest.mark.parametrize("kind", ["context", "deep"])
@pytest.mark.parametrize("context", [0, 6])
def test_a_loop_s_step_gives_what_one_go_gives(kind: str, context: int) -> None:
    h, c, x = torch.randn(5, 4), torch.randn(5, context) if context else None, torch.randn(5, 3)
    one = Readout(kind, hidden=4, context=context, word=3, output=7)
    torch.testing.assert_close(one.step(one.known(x), h, c), one(h, c, x))
