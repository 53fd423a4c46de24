"""Sequences that can only be answered by remembering: the tasks by which recurrences are compared.

    adding     two of many numbers are marked; their sum is asked for at the end (Hochreiter & Schmidhuber 1997, 5.4)
    copy       ten digits, then a long nothing, then the digits are to be said again (Arjovsky, Shah & Bengio 2016,
               arXiv:1511.06464, 4.1; that they are asked for by eleven signs is of Bai et al.)
    pixels     an image, pixel by pixel, one a step; in the usual order, or all images permuted in the same way
               (Le, Jaitly & Hinton 2015, arXiv:1504.00941, 4.3)

In the sizes of Bai, Kolter & Koltun (2018, arXiv:1803.01271, 4.1) all three are ways to write a folder with train,
valid and test files; each split is drawn from a seed of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unrolled.data import reading
from unrolled.data.examples import Example, Signal, TaggedTokens
from unrolled.data.lines import read_bytes
from unrolled.errors import BadData, BadOption, CannotWrite

DIGITS, SHOWN = 8, 10
"""Of `copy`: so many different digits to remember, 1 to 8, and so many of them in a sequence."""
NOTHING, NOW = "0", "9"
"""Of `copy`: what there is nothing to remember of, and what asks for the digits."""
SPLITS = ("train", "valid", "test")


class Sizes(NamedTuple):
    """Examples of each split."""

    train: int = 50_000
    valid: int = 1_000
    test: int = 1_000


def adding(count: int, length: int, rng: np.random.Generator) -> Iterator[Signal]:
    """Examples of the adding problem: values (length, 2), a number in [0, 1) and whether it is marked; the label is the
    sum of the two marked ones. Always saying 1 has a mean squared error of 1/6.
    """
    if length < 2:
        raise BadOption(f"length must be 2 or more, not {length}")
    for _ in range(count):
        values = np.zeros((length, 2), dtype=np.float32)
        values[:, 0] = rng.random(length, dtype=np.float32)
        places = rng.choice(length, 2, replace=False)
        values[places, 1] = 1.0
        yield Signal(values=values, label=repr(float(values[places, 0].sum(dtype=np.float64))))


def copy(count: int, length: int, rng: np.random.Generator) -> Iterator[TaggedTokens]:
    """Examples of copy memory, `length` + 20 tokens each: ten digits, nothing, and eleven times the sign that they are
    asked for now; the tags are nothing, and in the last ten places the digits. Without a memory the best mean
    cross-entropy is 10 ln 8 / (length + 20).
    """
    if length < 1:
        raise BadOption(f"length must be 1 or more, not {length}")
    for _ in range(count):
        digits = tuple(map(str, rng.integers(1, DIGITS + 1, SHOWN).tolist()))
        tokens = (*digits, *(NOTHING,) * (length - 1), *(NOW,) * (SHOWN + 1))
        yield TaggedTokens(tokens=tokens, tags=(*(NOTHING,) * (length + SHOWN), *digits))


def pixels(images: NDArray[np.uint8], labels: NDArray[np.uint8], order: NDArray[np.int64] | None) -> Iterator[Signal]:
    """Images, a pixel a step, 0 to 255. images: (examples, …); order: (pixels,), which comes when; None: as it is."""
    flat = images.reshape(len(images), -1, 1)
    for image, label in zip(flat if order is None else flat[:, order], labels.tolist(), strict=True):
        yield Signal(values=image, label=str(label))


def write_adding(folder: str | Path, *, length: int = 600, sizes: Sizes | None = None, seed: int = 1) -> None:
    """A folder for `regressor`. sizes: 50,000 to learn from where none are given."""
    for split, count, rng in _draws(sizes or Sizes(), seed):
        _write(folder, f"{split}.npz", adding(count, length, rng))


def write_copy(folder: str | Path, *, length: int = 1000, sizes: Sizes | None = None, seed: int = 1) -> None:
    """A folder for `tagger`. sizes: 10,000 to learn from where none are given."""
    for split, count, rng in _draws(sizes or Sizes(train=10_000), seed):
        _write(folder, f"{split}.jsonl.gz", copy(count, length, rng))


def write_pixels(
    folder: str | Path, *, images: str | Path, permuted: bool = False, valid: int = 5_000, seed: int = 1
) -> None:
    """A folder for `classifier`.

    Args:
        folder: to write into.
        images: a folder with the four files of MNIST, or of what has its form, such as `train-images-idx3-ubyte.gz`.
        permuted: whether the pixels come in an order drawn from the seed, the same for all images.
        valid: so many of the training images, the last ones, are set apart.
        seed: of the order.

    Raises `BadData` for files that are not there or of another form.
    """
    parts = {name: read_images(images, name) for name in ("train", "t10k")}
    (train, labels), test = parts["train"], parts["t10k"]
    for name, (some, _) in parts.items():
        if not len(some) or some.shape[1:] != train.shape[1:]:
            shapes = f"{len(some):,} of {some.shape[1:]}, beside those of train, {train.shape[1:]}"
            raise BadData(f"the images of {name} must be some, and all of one size; they are {shapes}", images)
    if not 0 < valid < len(train):
        raise BadOption(f"valid must be 1 to {len(train) - 1:,}, not {valid:,}")
    size = train[0].size
    order = np.random.default_rng([seed, size]).permutation(size) if permuted else None
    splits = ((train[:-valid], labels[:-valid]), (train[-valid:], labels[-valid:]), test)
    for split, (some, theirs) in zip(SPLITS, splits, strict=True):
        _write(folder, f"{split}.npz", pixels(some, theirs, order))


def read_images(folder: str | Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (examples, rows, columns) and labels (examples,) of the IDX files of a part, `train` or `t10k`."""
    images = _idx(folder, f"{part}-images-idx3-ubyte", 3)
    labels = _idx(folder, f"{part}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise BadData(f"{len(images):,} images of {part} but {len(labels):,} labels", folder)
    return images, labels


def _idx(folder: str | Path, name: str, axes: int) -> NDArray[np.uint8]:
    """An array in the form of MNIST's files: two zero bytes, the type (8: bytes), the number of axes, their sizes."""
    path = next((p for p in (Path(folder) / f"{name}.gz", Path(folder) / name) if p.exists()), Path(folder) / name)
    content = b"".join(read_bytes(path))
    head = 4 + 4 * axes
    if len(content) < head or content[:4] != bytes([0, 0, 8, axes]):
        raise BadData(f"no IDX file of bytes in {axes} axes: it begins with {content[:4].hex(' ')}", path)
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    if len(content) - head != np.prod(shape, dtype=np.int64):
        raise BadData(f"{len(content) - head:,} values where its head promises {shape}", path)
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _draws(sizes: Sizes, seed: int) -> Iterator[tuple[str, int, np.random.Generator]]:
    for number, (split, count) in enumerate(zip(SPLITS, sizes, strict=True)):
        if count < 1:
            raise BadOption(f"{split} must be 1 example or more, not {count}")
        yield split, count, np.random.default_rng([seed, number])


def _write(folder: str | Path, name: str, examples: Iterator[Example]) -> None:
    path = Path(folder) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot write into {folder}: {error.strerror or error}") from None
    if path.exists():
        raise CannotWrite(f"{path} is there already: choose another folder, or remove it")
    reading.write(path, examples)
