"""DNA: a promoter on either strand.

A gene is read where a protein finds a promoter before it: in bacteria two short words, near TTGACA and near TATAAT,
some seventeen bases apart. A promoter may lie on either strand, and a sequence is one of the two strands; from the
other the same words are read backwards and in complement, ATTATA and TGTCAA.

The sequences here are random letters; in half of them somebody wrote the two words, one of them with a mistake, on one
of the strands. One classifier reads a sequence as it is given. The other (`strands=both`) reads it and its reverse
complement by the same network and makes the two into one: whichever strand is given, the answer is the same to the
last bit. It need not learn everything twice.

In the picture is what the answer about one sequence rests on: by how much its log-probability falls when a base is
another one, the mean over the other three. With real data it is the same: `unrolled train classifier --data
promoters.fasta --set strands=both`; `--set similarity=0.2` keeps sequences that are relatives on one side of a split.
"""

import random

import matplotlib.pyplot as plt
import numpy as np

from unrolled import Classifier
from unrolled.data.examples import LabelledText

random.seed(1)
COMPLEMENT = str.maketrans("ACGT", "TGCA")
LENGTH = 57


def other_strand(sequence: str) -> str:
    return sequence.translate(COMPLEMENT)[::-1]


def misspelt(word: str) -> str:
    place = random.randrange(len(word))
    return word[:place] + random.choice("ACGT") + word[place + 1 :]


def sequence(promoter: bool) -> str:
    letters = "".join(random.choices("ACGT", k=LENGTH))
    if promoter:
        between = random.randint(16, 18)
        begin = random.randint(0, LENGTH - 12 - between)
        first, second = random.choice([("TTGACA", misspelt("TATAAT")), (misspelt("TTGACA"), "TATAAT")])
        words = first + letters[begin + 6 : begin + 6 + between] + second
        letters = letters[:begin] + words + letters[begin + len(words) :]
    return random.choice((letters, other_strand(letters)))


labels = ("promoter", "none")
examples = [LabelledText(text=sequence(label == "promoter"), label=label) for _ in range(1100) for label in labels]
train, valid, test = examples[:1600], examples[1600:1800], examples[1800:]
turned = [LabelledText(text=other_strand(one.text), label=one.label) for one in test]

print("of 400 sequences that it never saw   right   the same from the other strand")
found = {}
for strands in ("given", "both"):
    model = Classifier(
        tokens="characters", strands=strands, hidden_size=32, word_size=8, dropout=0.1, embedding_dropout=0.0,
        word_dropout=0.0, pooling="max",
    )  # fmt: skip
    model.fit(train, valid, epochs=16, checks=8, learning_rate=8e-3)
    said, again = ([one.label for one in model.predict(given)] for given in (test, turned))
    right = np.mean([a == one.label for a, one in zip(said, test, strict=True)])
    same = np.mean([a == b for a, b in zip(said, again, strict=True)])
    print(f"  strands={strands:5}                      {right:6.1%}   {same:6.1%}")
    found[strands] = right, same, model

model = found["both"][2]
example = next(one for one in test if one.label == "promoter" and model.predict(one.text).label == "promoter")
changed = [
    example.text[:place] + base + example.text[place + 1 :]
    for place in range(LENGTH)
    for base in "ACGT".replace(example.text[place], "")
]
sure = [np.log(one.probabilities["promoter"]) for one in model.predict([example.text, *changed])]
fall = sure[0] - np.array(sure[1:]).reshape(LENGTH, 3).mean(axis=1)
figure, axes = plt.subplots(figsize=(9, 2.2), layout="constrained")
axes.bar(range(LENGTH), fall, color="#d97706")
axes.set_xticks(range(LENGTH), list(example.text), fontsize=8)
axes.set_title("what the answer 'promoter' rests on", fontsize=10)
figure.savefig("genes.png", dpi=90)

assert found["both"][1] == 1.0
assert found["both"][0] > 0.8
