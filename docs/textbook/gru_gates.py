"""The two gates of a GRU, beside the LSTM's three.

    r = reset gate, z = update gate
    n = tanh(W x + r * (U h_{t-1}))        the candidate: r says how much of the past it may look at
    h_t = (1 - z) * n + z * h_{t-1}        the state: z says how much of it stays

There is one state in place of two, and one gate that both keeps and writes: what is kept and what is added always
make up 1. (Here z near 1 keeps, as in torch; other books have it the other way round.) The reset gate lets the
candidate forget the past without the state forgetting it.

Two measurements on random sequences. First the update gate: with a bias b and nothing else to move it, a step keeps
sigmoid(b) of the state, so a change is forgotten in about 1 / (1 - sigmoid(b)) steps; measured by how much of the
gradient is left. Then the reset gate: where it is shut, the candidate does not depend on the past at all, and all
that the state knows of it is what z kept.
"""

import torch

from unrolled.cells.gru import GRU
from unrolled.inspection.gradient_flow import flow_of
from unrolled.layers.recurrent import Recurrent
from unrolled.unroll.packing import equal

STEPS, ROWS, UNITS = 60, 8, 16
torch.manual_seed(1)
x = torch.nn.utils.rnn.PackedSequence(0.1 * torch.randn(STEPS * ROWS, 4), equal(STEPS, ROWS))


def gru(update: float, reset: float) -> GRU:
    """With these biases of its gates."""
    torch.manual_seed(1)
    cell = GRU(4, UNITS)
    with torch.no_grad():
        cell.bias_ih.zero_()
        cell.bias_hh.zero_()
        cell.bias_ih[:UNITS] = reset
        cell.bias_ih[UNITS : 2 * UNITS] = update
    return cell


print("update bias   sigmoid   a step multiplies the gradient by   1 % is left after")
for bias in (-2.0, 0.0, 2.0, 4.0):
    flow = flow_of(Recurrent(gru(bias, -20.0)), lambda copy: lambda: copy(x)[1].sum()).of("cell")
    keeps, after = 1 / (1 + 2.718281828**-bias), flow.memory(0.01)
    print(f"{bias:11.1f}   {keeps:7.3f}   {flow.factor:33.3f}   {'more than 59' if after is None else after:>17}")
    assert abs(flow.factor - keeps) < 0.01

print("\nreset gate   how much another past changes the candidate")
for name, bias in (("shut", -20.0), ("half open", 0.0), ("open", 20.0)):
    cell = gru(0.0, bias)
    with torch.no_grad():
        px = cell.project(x.data[:1])
        one, other = (cell.gates(px, state).n for state in (torch.zeros(1, UNITS), torch.ones(1, UNITS)))
    print(f"{name:10}   {float((one - other).norm()):.3f}")
