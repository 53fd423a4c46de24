"""Depth: recurrences on top of each other.

A second recurrent layer reads what the first one says, a third what the second says. Each can work on what the one
below has made of the sequence, which is why deep stacks do better on language (Graves 2013, Hermans & Schrauwen 2013).
But a gradient that comes from the top now has to go down the layers as well as back in time, and it vanishes on that
way, too. A connection around each layer, that adds what it read to what it says, gives it a way past (He et al. 2016,
of recurrent stacks Wu et al. 2016): then a deep stack learns at once.

Here stacks of 1 to 20 layers are asked which of two letters came first in a sequence of ten. We measure how long the
gradient of the weights is in the lowest layer, before training, and how many answers are right after as many steps.
"""

import random

import torch

from unrolled import Classifier
from unrolled.data.examples import LabelledText
from unrolled.tasks import classifier

random.seed(1)


def example() -> LabelledText:
    letters = random.choices("abcdefgh", k=8)
    first, second = random.sample("xy", 2)
    letters.insert(random.randint(0, 3), first)
    letters.insert(random.randint(5, 9), second)
    return LabelledText(text=" ".join(letters), label=first)


train, valid, test = ([example() for _ in range(count)] for count in (1600, 100, 400))
print("layers               gradient in the lowest layer   right after 25 steps (guessing: 50 %)")
found = {}
for connections in ("plain", "residual"):
    for layers in (1, 4, 20):
        options = {"directions": "forward", "tokens": "blanks", "hidden_size": 16, "word_size": 16, "pooling": "last",
                   "embedding_dropout": 0.0, "dropout": 0.0, "word_dropout": 0.0}  # fmt: skip
        options |= {"layers": layers, "connections": connections}
        torch.manual_seed(1)
        task = classifier.Classifier.prepare(train, **options)
        task.loss(task.collate([task.encode(one) for one in train[:64]])).total.backward()
        lowest = [p.grad.norm() for name, p in task.named_parameters() if "layers.0." in name and p.grad is not None]
        gradient = float(torch.stack(lowest).norm())
        model = Classifier(**options).fit(train, valid, epochs=1, checks=1, batch_rows=64, averaging="none")
        found[connections, layers] = gradient, model.evaluate(test)["metrics"]["accuracy"]
        print(f"{layers:3} {connections:10} {gradient:24.1e} {found[connections, layers][1]:27.0%}")

assert found["plain", 20][0] < 0.01 * found["plain", 1][0]
assert found["residual", 20][1] > found["plain", 20][1] + 0.2
