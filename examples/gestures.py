"""Any numbers at each step: gestures, some of whose numbers are missing.

A sensor on a hand tells three accelerations, fifty times a second; a gesture takes between half a second and one and a
half. Which one was it? There are no words here: an example is an array, (steps, features), and NaN where a number is
missing, as where the radio was not heard. Beside each number the network is told whether it was there: what is not
there is something else than what is zero.

How many numbers are missing differs from gesture to gesture, from none to two thirds, in training and in the test.

In the picture one gesture is read as it comes: how likely each answer is after so many steps. With files it is the
same: `.npz` archives, Parquet, a CSV whose rows are steps (`--set series=gesture --set values=acceleration`), or one
`.npy` file an example.
"""

import matplotlib.pyplot as plt
import numpy as np

from unrolled import Classifier
from unrolled.data.examples import Signal

rng = np.random.default_rng(1)
GESTURES = ("circle", "circle back", "wave", "nod")


def gesture(label: str, missing: float) -> Signal:
    """Somebody makes it at a speed and with a size of their own, holding the sensor a little aslant."""
    steps = int(rng.integers(25, 75))
    turns = np.linspace(0, rng.uniform(1.5, 2.5) * 2 * np.pi, steps) + rng.uniform(0, 2 * np.pi)
    x, y = {
        "circle": (np.cos(turns), np.sin(turns)),
        "circle back": (np.cos(turns), -np.sin(turns)),
        "wave": (np.sin(turns), 0.2 * np.sin(2 * turns)),
        "nod": (0.2 * np.sin(2 * turns), np.sin(turns)),
    }[label]
    hand = np.stack([x, y, np.ones(steps)], axis=1) * rng.uniform(0.5, 1.5)  # the third is gravity
    slant = np.linalg.qr(np.eye(3) + 0.2 * rng.standard_normal((3, 3)))
    values = hand @ (slant[0] * np.sign(np.diag(slant[1]))) + 0.3 * rng.standard_normal((steps, 3))
    values[rng.random(values.shape) < missing] = np.nan
    return Signal(values=values.astype(np.float32), label=label)


examples = [gesture(label, rng.uniform(0, 2 / 3)) for _ in range(175) for label in GESTURES]
model = Classifier(hidden_size=24, dropout=0.1, embedding_dropout=0.0)
model.fit(examples[:600], examples[600:], epochs=12, checks=4, learning_rate=1e-2)
print("of 200 gestures that it never saw   right")
found = {}
for missing in (0, 1 / 3, 2 / 3):
    test = [gesture(label, missing) for _ in range(50) for label in GESTURES]
    found[missing] = model.evaluate(test)["metrics"]["accuracy"]
    print(f"  {missing:3.0%} of the numbers missing       {found[missing]:6.1%}")

example = next(one for one in test if one.label == "circle back")
begun = model.predict([example.values[:steps] for steps in range(2, len(example.values) + 1)])
figure, (above, below) = plt.subplots(2, 1, figsize=(9, 4.5), sharex=True, layout="constrained")
above.plot(example.values, marker=".", linewidth=0.8, label=("x", "y", "z"))
above.legend(ncols=3, fontsize=8)
above.set_title("what the sensor told of a circle back", fontsize=10)
for label in GESTURES:
    below.plot(range(2, len(example.values) + 1), [one.probabilities[label] for one in begun], label=label)
below.legend(ncols=4, fontsize=8)
below.set_xlabel("steps read")
below.set_ylabel("probability")
figure.savefig("gestures.png", dpi=90)

assert found[0] > 0.95
assert found[2 / 3] > 0.6
