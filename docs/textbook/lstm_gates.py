"""The three gates of an LSTM, one at a time.

    c_t = f * c_{t-1} + i * g        the cell state: kept by the forget gate f, added to by the input gate i
    h_t = o * tanh(c_t)              the hidden state: what the output gate o lets out

Each gate is a number between 0 and 1 for each unit. Here one unit is given by hand what would be learnt: a cell that
remembers the last number that came with a mark, and says it when it is asked to. It reads three features: a number, a
mark (write it down now), a question (say it now). Its weights are so large that a gate is as good as open or shut:

- the input gate opens where the mark is 1; the forget gate shuts there, so that the old number goes;
- elsewhere the forget gate is open and the input gate shut: the cell state stands still, however many steps pass;
- the output gate opens where the question is 1: only then does the rest of the network see what the cell holds.
"""

import torch

from unrolled.cells.lstm import LSTM

cell = LSTM(3, 1)
NUMBER, MARK, QUESTION = 0, 1, 2
I, F, G, O = range(4)  # noqa: E741  (the order of the blocks)
with torch.no_grad():
    for parameter in cell.parameters():
        parameter.zero_()
    cell.weight_ih[I, MARK], cell.bias_ih[I] = 20, -10
    cell.weight_ih[F, MARK], cell.bias_ih[F] = -20, 10
    cell.weight_ih[G, NUMBER] = 1
    cell.weight_ih[O, QUESTION], cell.bias_ih[O] = 20, -10

story = [  # number, mark, question
    (0.50, 1, 0),
    (-0.90, 0, 0),
    (0.10, 0, 1),
    (0.70, 0, 0),
    (-0.30, 1, 0),
    (0.90, 0, 0),
    (0.20, 0, 1),
]
state = cell.initial_state(1)
print("number mark ask |    i     f     o |     c      h")
for number, mark, question in story:
    with torch.no_grad():
        px = cell.project(torch.tensor([[number, mark, question]]))
        gates = cell.gates(px, state)
        _, state = cell.step(px, state)
    i, f, o, c, h = (float(value) for value in (gates.i, gates.f, gates.o, gates.c, gates.h))
    print(f"{number:6.2f} {mark:4} {question:3} | {i:4.2f}  {f:4.2f}  {o:4.2f} | {c:5.2f}  {h:5.2f}")

# It still holds tanh(-0.30), the number that was marked last, and has just said it.
assert abs(float(state[1]) - torch.tanh(torch.tensor(-0.30))) < 1e-3
assert abs(float(state[0]) - torch.tanh(torch.tanh(torch.tensor(-0.30)))) < 1e-3
