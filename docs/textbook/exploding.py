"""Gradients that explode, and how they are clipped.

Where the factors of the product are above 1, the gradient grows from step to step: after 60 steps of 1.5 it is forty
billion times as long. A single such gradient throws the weights anywhere. Training then does not fail quietly, as
with vanishing gradients; the loss leaps, or is NaN.

What is done is crude and works: a gradient that is longer than some length is shortened to it (Pascanu, Mikolov &
Bengio 2013). Its direction stays, which near a cliff is still the right one. How long is too long? The lengths
themselves say it: most steps have ordinary ones; what is far above nine tenths of them is out of the ordinary.

Here a plain network, whose recurrent weights begin a little too large, learns to tell whether the first of 60 numbers
was above zero: once as it is, once clipped at the length that nine of ten of its first gradients stay under.
"""

import matplotlib.pyplot as plt
import torch

from unrolled.inspection.remedies import suggested_clip

STEPS, ROWS, UNITS, TRAINING = 60, 32, 32, 300


def run(clip: float | None) -> tuple[list[float], list[float]]:
    """Train; the losses and the gradients' lengths, step by step."""
    torch.manual_seed(1)
    network, last = torch.nn.RNN(1, UNITS), torch.nn.Linear(UNITS, 1)
    with torch.no_grad():
        torch.nn.init.orthogonal_(network.weight_hh_l0)
        network.weight_hh_l0.mul_(1.5)
    weights = [*network.parameters(), *last.parameters()]
    engine = torch.optim.SGD(weights, lr=0.02)
    losses, lengths = [], []
    for _ in range(TRAINING):
        x = 0.01 * torch.randn(STEPS, ROWS, 1)
        x[0] *= 100
        loss = torch.nn.functional.binary_cross_entropy_with_logits(last(network(x)[0][-1]), (x[0] > 0).float())
        engine.zero_grad()
        loss.backward()
        length = float(torch.nn.utils.clip_grad_norm_(weights, clip or float("inf")))
        engine.step()
        losses.append(float(loss.detach()))
        lengths.append(length)
    return losses, lengths


plain, lengths = run(None)
most = suggested_clip(lengths[:50])
clipped, _ = run(most)

ordered = sorted(lengths)
print(f"lengths of the gradients: median {ordered[len(ordered) // 2]:.2g}, largest {ordered[-1]:.2g}")
print(f"nine of ten of the first 50 are below {most:g}: that is where we clip")
print("mean loss over the last 100 steps (guessing has 0.693):")
for name, losses in (("as it is", plain), ("clipped", clipped)):
    print(f"  {name:8}  {sum(losses[-100:]) / 100:.3f}")

plt.semilogy(plain, label="as it is")
plt.semilogy(clipped, label=f"clipped at {most:g}")
plt.xlabel("step of the training")
plt.ylabel("loss")
plt.legend()
plt.savefig("exploding.png", dpi=100, bbox_inches="tight")
