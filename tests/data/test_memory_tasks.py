"""The memory tasks: what is asked for, and how often chance is right."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from unrolled.data import memory_tasks, reading
from unrolled.data.examples import Signal, TaggedTokens
from unrolled.data.memory_tasks import Sizes
from unrolled.errors import BadData, BadOption, CannotWrite

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
FEW = Sizes(train=6, valid=2, test=3)


def test_the_sum_is_that_of_the_marked_numbers() -> None:
    for example in memory_tasks.adding(50, 20, np.random.default_rng(0)):
        numbers, marks = example.values.T
        assert marks.sum() == 2
        assert set(marks.tolist()) == {0.0, 1.0}
        assert ((numbers >= 0) & (numbers < 1)).all()
        assert float(example.label or "") == pytest.approx(float((numbers * marks).sum()), abs=1e-6)


def test_always_saying_one_misses_the_sum_by_a_sixth() -> None:
    labels = [float(e.label or "") for e in memory_tasks.adding(20_000, 2, np.random.default_rng(1))]
    assert np.mean((np.array(labels) - 1) ** 2) == pytest.approx(1 / 6, rel=0.03)


def test_the_digits_are_asked_for_after_nothing() -> None:
    for example in memory_tasks.copy(20, 30, np.random.default_rng(0)):
        tokens, tags = example.tokens, example.tags or ()
        assert len(tokens) == len(tags) == 50
        digits = tokens[:10]
        assert set(digits) <= set("12345678")
        assert tokens[10:39] == ("0",) * 29
        assert tokens[39:] == ("9",) * 11
        assert tags[:40] == ("0",) * 40
        assert tags[40:] == digits
    assert len({e.tokens for e in memory_tasks.copy(50, 5, np.random.default_rng(0))}) == 50


def test_folders_are_read_again_and_are_the_same_for_a_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        memory_tasks.write_adding(tmp_path / name, length=7, sizes=FEW, seed=3)
        memory_tasks.write_copy(tmp_path / name / "copy", length=7, sizes=FEW, seed=3)
    for file in (f"{folder}{split}" for folder in ("", "copy/") for split in ("train", "valid", "test")):
        path = next((tmp_path / "one").glob(f"{file}.*"))
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    sizes = [len(reading.read(tmp_path / "one" / f"{split}.npz", Signal)) for split in ("train", "valid", "test")]
    assert sizes == list(FEW)
    read = reading.read(tmp_path / "one" / "copy" / "test.jsonl.gz", TaggedTokens)
    assert [len(e.tokens) for e in read] == [27] * 3
    memory_tasks.write_adding(tmp_path / "three", length=7, sizes=FEW, seed=4)
    assert (tmp_path / "three" / "test.npz").read_bytes() != (tmp_path / "one" / "test.npz").read_bytes()


def test_splits_have_no_example_in_common(tmp_path: Path) -> None:
    memory_tasks.write_copy(tmp_path, length=3, sizes=Sizes(200, 50, 50))
    every = [e.tokens for s in memory_tasks.SPLITS for e in reading.read(tmp_path / f"{s}.jsonl.gz", TaggedTokens)]
    assert len(set(every)) == len(every)


def idx(folder: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    for name, array in ((f"{part}-images-idx3-ubyte.gz", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (folder / name).write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("t10k", 3)):
        idx(tmp_path, part, rng.integers(0, 256, (count, 2, 3)), rng.integers(0, 10, count))
    return tmp_path


def test_images_are_read_pixel_by_pixel(images: Path, tmp_path: Path) -> None:
    memory_tasks.write_pixels(tmp_path / "out", images=images, valid=2)
    given, labels = memory_tasks.read_images(images, "train")
    train = reading.read(tmp_path / "out" / "train.npz", Signal)
    valid = reading.read(tmp_path / "out" / "valid.npz", Signal)
    assert [e.label for e in train + valid] == [str(label) for label in labels]
    for example, image in zip(train + valid, given, strict=True):
        assert example.values[:, 0].tolist() == image.reshape(-1).tolist()
        assert example.values.dtype == np.uint8


def test_permuted_pixels_are_moved_alike_in_all_images(images: Path, tmp_path: Path) -> None:
    memory_tasks.write_pixels(tmp_path / "a", images=images, valid=2)
    memory_tasks.write_pixels(tmp_path / "b", images=images, valid=2, permuted=True)
    orders = set()
    for split in memory_tasks.SPLITS:
        pairs = zip(*(reading.read(tmp_path / f / f"{split}.npz", Signal) for f in "ab"), strict=True)
        for plain, moved in pairs:
            assert sorted(plain.values[:, 0].tolist()) == sorted(moved.values[:, 0].tolist())
            orders.add(tuple(plain.values[:, 0].tolist().index(v) for v in moved.values[:, 0].tolist()))
    assert len(orders) == 1
    assert orders != {tuple(range(6))}


def test_other_files_than_those_of_images_are_named(images: Path) -> None:
    path = images / "train-images-idx3-ubyte.gz"
    good = gzip.decompress(path.read_bytes())
    for content, message in (
        (good[:-1], r"47 values where its head promises \(8, 2, 3\)"),
        (b"\0\0\x0d\x03" + good[4:], "no IDX file of bytes in 3 axes: it begins with 00 00 0d 03"),
        (b"", "it begins with"),
    ):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(BadData, match=message):
            memory_tasks.read_images(images, "train")
    idx(images, "train", np.zeros((4, 2, 2)), np.zeros(5))
    with pytest.raises(BadData, match="4 images of train but 5 labels"):
        memory_tasks.read_images(images, "train")
    path.unlink()
    with pytest.raises(BadData, match="no such file"):
        memory_tasks.read_images(images, "train")


def test_sizes_that_cannot_be_are_refused(images: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(BadOption, match="length must be 2 or more, not 1"):
        next(memory_tasks.adding(1, 1, rng))
    with pytest.raises(BadOption, match="length must be 1 or more, not 0"):
        next(memory_tasks.copy(1, 0, rng))
    with pytest.raises(BadOption, match="valid must be 1 example or more"):
        memory_tasks.write_adding(tmp_path / "x", length=5, sizes=Sizes(1, 0, 1))
    with pytest.raises(BadOption, match="valid must be 1 to 7, not 8"):
        memory_tasks.write_pixels(tmp_path / "x", images=images, valid=8)


@pytest.mark.skipif(not MNIST.is_dir(), reason="no ../shared/data/mnist")
def test_mnist_is_what_its_readme_says() -> None:
    pictures, labels = memory_tasks.read_images(MNIST, "t10k")
    assert pictures.shape == (10_000, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    memory_tasks.write_adding(tmp_path / "a", length=5, sizes=FEW)
    before = (tmp_path / "a" / "train.npz").read_bytes()
    with pytest.raises(CannotWrite, match=r"train\.npz is there already"):
        memory_tasks.write_adding(tmp_path / "a", length=6, sizes=FEW)
    assert (tmp_path / "a" / "train.npz").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot write into"):
        memory_tasks.write_copy(tmp_path / "file", length=6, sizes=FEW)


@pytest.mark.parametrize("shape", [(3, 2, 2), (3, 3, 3), (0, 2, 3)])
def test_images_of_two_sizes_or_none_are_refused_before_anything_is_written(
    images: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    idx(images, "t10k", np.zeros(shape), np.zeros(shape[0]))
    with pytest.raises(BadData, match="the images of t10k must be some, and all of one size"):
        memory_tasks.write_pixels(tmp_path / "out", images=images, valid=2, permuted=True)
    assert not (tmp_path / "out").exists()
