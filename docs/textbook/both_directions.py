"""Reading in both directions.

A network that reads from left to right knows, at each element, what came before it. What comes after it does not
know, and for many questions that is the half that decides: whether "lead" is a metal or a verb, where a name ends.
Where the whole sequence is there, a second network reads it from its end, and both say what they know side by side
(Schuster & Paliwal 1997). It cannot be had where answers must come while one reads.

Here each letter of a random word is to be marked: is there an `x` somewhere before it, or somewhere after it? One
reader looks ahead, from left to right; one looks in both directions. The first can answer the one question and can
only guess at the other, about which it knows how often the answer is yes, and no more.
"""

import random

from unrolled import Tagger
from unrolled.data.examples import TaggedTokens

random.seed(1)


def word() -> tuple[str, ...]:
    return tuple(random.choices("abcdx", weights=(6, 6, 6, 6, 2), k=random.randint(6, 14)))


def asked(tokens: tuple[str, ...], where: str) -> TaggedTokens:
    """Of each letter, whether an x stands on that side of it."""
    sides = {"before": lambda k: tokens[:k], "after": lambda k: tokens[k + 1 :]}
    return TaggedTokens(
        tokens=tokens, tags=tuple("yes" if "x" in sides[where](k) else "no" for k in range(len(tokens)))
    )


words = [word() for _ in range(2200)]
print("right answers to: is there an x …   before?   after?")
found = {}
for directions in ("forward", "both"):
    for where in ("before", "after"):
        examples = [asked(tokens, where) for tokens in words]
        size = 24 if directions == "forward" else 12  # as many units in all
        tagger = Tagger(directions=directions, hidden_size=size, characters="none", word_size=8)
        tagger.fit(examples[:2000], examples[2000:2100], epochs=4, checks=1, learning_rate=0.01, word_dropout=0.0,
                   embedding_dropout=0.0, dropout=0.0)  # fmt: skip
        found[directions, where] = tagger.evaluate(examples[2100:])["metrics"]["accuracy"]
    before, after = (found[directions, where] for where in ("before", "after"))
    print(f"  {directions:8}                        {before:7.1%}  {after:7.1%}")

assert found["forward", "before"] > 0.99
assert found["both", "before"] > 0.99
assert found["both", "after"] > 0.99
assert found["forward", "after"] < 0.9
