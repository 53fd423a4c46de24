"""Pictures to captions: what the options mean, what is looked at, and what is refused."""

from __future__ import annotations

import numpy as np

from unrolled.data.captions import Captioned

SIZES = {"size": 8, "blocks": [4, 6], "picture_dropout": 0.0}
UP_TO = {"cider": 10.0}
COLOURS = {"red": (220, 30, 20), "green": (20, 200, 60), "blue": (30, 40, 230)}


def picture(colour: str, shape: str, seed: int = 0, size: int = 8) -> np.ndarray:
    """A shape in a colour on white, with some noise."""
    found = np.full((size, size, 3), 250, dtype=np.uint8)
    middle = slice(size // 4, -(size // 4))
    if shape == "box":
        found[middle, middle] = COLOURS[colour]
    elif shape == "bar":
        found[:, middle] = COLOURS[colour]
    else:
        found[np.eye(size, dtype=bool)] = COLOURS[colour]
    noise = np.random.default_rng(seed).integers(-5, 6, found.shape)
    return (found.astype(int) + noise).clip(0, 255).astype(np.uint8)


CAPTIONS = ("red box", "a green bar", "blue", "a line that is red", "green box", "blue bar .")
SHOWN = (("red", "box"), ("green", "bar"), ("blue", "line"), ("red", "line"), ("green", "box"), ("blue", "bar"))


def examples() -> list[Captioned]:
    """For the laws of `test_every_task`: captions of different lengths, and some of one length."""
    shown = zip(SHOWN, CAPTIONS, strict=True)
    return [Captioned(image=picture(*what, k), caption=caption) for k, (what, caption) in enumerate(shown)]
