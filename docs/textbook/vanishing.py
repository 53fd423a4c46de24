"""Gradients that vanish.

A recurrent network learns that something at the beginning of a sequence matters at its end by a gradient that goes
back through every step between. Each step multiplies it by the derivative of one state by the one before. A product
of many factors below 1 is nothing: of a gradient that loses a third at each step, two per cent are left after ten,
and a billionth after fifty. What stood there cannot be learnt, however long one trains.

Here three networks read the same random sequences of 100 elements, as `torch.nn` makes them, before any training. All
are asked for something at the last element only; we measure how much of the gradient is left so many steps before it.
The fourth is the LSTM again, but for one number: the bias of its forget gate, which begins at 3 in place of about 0,
so that a step keeps 95 % of what the cell state holds in place of a half.
"""

import matplotlib.pyplot as plt
import torch

from unrolled.inspection.gradient_flow import flow_of

STEPS, ROWS, INPUTS, UNITS = 100, 16, 16, 64
LAGS = (0, 1, 2, 5, 10, 20, 50, 99)

torch.manual_seed(1)
x = torch.randn(STEPS, ROWS, INPUTS)
networks = {
    "RNN": torch.nn.RNN(INPUTS, UNITS),
    "GRU": torch.nn.GRU(INPUTS, UNITS),
    "LSTM": torch.nn.LSTM(INPUTS, UNITS),
    "LSTM, forget bias 3": torch.nn.LSTM(INPUTS, UNITS),
}
forget = slice(UNITS, 2 * UNITS)  # torch's order of the gates is i, f, g, o
with torch.no_grad():
    networks["LSTM, forget bias 3"].bias_ih_l0[forget] = 3.0

print("what is left of the gradient, steps back:")
print(" " * 20, *(f"{lag:8}" for lag in LAGS))
left = {}
for name, network in networks.items():
    # The sum over the last outputs stands for any loss: torch's modules are read into cells whose every step is seen.
    flow = flow_of(network, lambda copy: lambda: copy(x)[0][-1].sum())
    tensor = "c" if "LSTM" in name else "h"
    left[name] = flow.of("layers.0.cell", tensor).quantiles(0.5)[0]
    print(f"{name:20}", *(f"{left[name][lag]:8.1e}" for lag in LAGS))

assert left["RNN"][50] < 1e-6 < left["LSTM, forget bias 3"][50]

for name, curve in left.items():
    plt.semilogy(curve, label=name)
plt.ylim(1e-12, 3)
plt.xlabel("steps back from the loss")
plt.ylabel("share of the gradient that is left")
plt.legend()
plt.savefig("vanishing.png", dpi=100, bbox_inches="tight")
