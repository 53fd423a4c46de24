"""A captioner of stored features: examples for the laws of `test_every_task`."""

from __future__ import annotations

import numpy as np

from unrolled.data.captions import Captioned, as_image

TASK = "captioner"
SIZES = {"picture_dropout": 0.0}
UP_TO = {"cider": 10.0}
CAPTIONS = ("red box", "a green bar", "blue", "a line that is red", "green box", "blue bar .")


def examples() -> list[Captioned]:
    """Of one to three places, two of them as long as each other."""
    rng = np.random.default_rng(3)
    found = [as_image(rng.normal(size=(1 + k % 3, 4))) for k in range(len(CAPTIONS))]
    found[4] = as_image(rng.normal(size=(1, 4)))
    return [Captioned(image=image, caption=caption) for image, caption in zip(found, CAPTIONS, strict=True)]
