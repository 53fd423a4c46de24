"""A linear map whose product is in the precision that is asked for."""

from __future__ import annotations

from torch import Tensor, nn

from unrolled.unroll.product import linear


class Linear(nn.Linear):
    """`torch.nn.Linear`, but in bfloat16 where `unrolled.unroll.fused.precision` or autocast asks for it."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)
