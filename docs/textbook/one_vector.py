"""One vector for a whole sentence, and attention.

An encoder reads a sentence and ends in one vector; a decoder writes another sentence from it. However long the
sentence is, the vector has the same few numbers, into which all of it has to go. That is the bottleneck of the first
encoder-decoders (Sutskever, Vinyals & Le 2014). Attention takes it away (Bahdanau, Cho & Bengio 2015): the decoder
looks back at every state of the encoder, and at each word chooses anew which of them it needs.

Here two small models learn to write words of random letters backwards, from the same examples in the same time; one
has its encoder's last vector only, the other looks back as well. What either gets right depends on the length.
"""

import random

import matplotlib.pyplot as plt

from unrolled import Translator
from unrolled.data.examples import Pair

random.seed(1)
LENGTHS = (3, 6, 9, 12, 15)


def pair(length: int) -> Pair:
    letters = random.choices("abcdefghij", k=length)
    return Pair(source=" ".join(letters), target=" ".join(reversed(letters)))


train = [pair(random.randint(2, 15)) for _ in range(3000)]
valid = [pair(random.randint(2, 15)) for _ in range(50)]
tests = {length: [pair(length) for _ in range(60)] for length in LENGTHS}

print("words that are written backwards without a mistake, by length:")
print(" " * 18, *(f"{length:7}" for length in LENGTHS))
right = {}
for name, attention in (("the vector alone", "none"), ("with attention", "additive")):
    model = Translator(
        attention=attention, hidden_size=64, layers=1, encoder_hidden=32, word_size=32, attention_size=32,
        source_tokens="blanks", target_tokens="blanks", embedding_dropout=0.0, dropout=0.0, readout_dropout=0.0,
        label_smoothing=0.0,
    )  # fmt: skip
    model.fit(train, valid, epochs=18, checks=1, learning_rate=0.006, batch_rows=50)
    right[name] = [
        sum(got.target == given.target for got, given in zip(model.predict(test, beam=1), test, strict=True)) / 60
        for test in tests.values()
    ]
    print(f"{name:18}", *(f"{share:7.0%}" for share in right[name]))

assert right["with attention"][-1] > right["the vector alone"][-1] + 0.3

for name, shares in right.items():
    plt.plot(LENGTHS, shares, marker=".", label=name)
plt.xlabel("letters")
plt.ylabel("written without a mistake")
plt.ylim(0, 1.02)
plt.legend()
plt.savefig("one_vector.png", dpi=100, bbox_inches="tight")
