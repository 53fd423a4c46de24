"""Splits of folders, and by lot."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.examples import LabelledText, TaggedTokens
from unrolled.data.splits import Paths, by_lot, find, load, set_apart
from unrolled.errors import BadData, UnknownName


def fill(folder, *names):
    for name in names:
        (folder / name).write_text("")
    return folder


@pytest.mark.parametrize("valid", ["valid", "dev", "val", "validation"])
@pytest.mark.parametrize("pattern", ["{}.tsv", "ptb.{}.txt.xz", "en_ewt-ud-{}.conllu", "a.b.{}.csv.gz"])
def test_splits_are_found_by_their_names(tmp_path, valid, pattern):
    names = [pattern.format(split) for split in ("train", valid, "test")]
    fill(tmp_path, *names, "LICENSE", "README.md", "train.en", ".train.tsv", "devtest.tsv", "other.tsv", "qa_test.txt")
    (tmp_path / "train").mkdir()
    assert find(tmp_path) == Paths(*(tmp_path / name for name in names))


def test_splits_that_are_not_there_are_none(tmp_path):
    assert find(fill(tmp_path, "train.tsv")) == Paths(tmp_path / "train.tsv", None, None)


def test_a_prefix_chooses_among_several(tmp_path):
    fill(tmp_path, "en.train.tsv", "en.test.tsv", "fr.train.tsv")
    assert find(tmp_path / "en") == Paths(tmp_path / "en.train.tsv", None, tmp_path / "en.test.tsv")
    with pytest.raises(BadData, match=r"both en\.train\.tsv and fr\.train\.tsv could be the train split; name a pre"):
        find(tmp_path)


def test_a_named_format_makes_suffixes_irrelevant(tmp_path):
    fill(tmp_path, "train.dat", "dev.dat")
    with pytest.raises(BadData, match=r"no training split \(train\.tsv, .*\); there are: dev\.dat, train\.dat"):
        find(tmp_path)
    assert find(tmp_path, format="tsv") == Paths(tmp_path / "train.dat", tmp_path / "dev.dat", None)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train.tsv", "dev.tsv", "valid.tsv"], "both dev.tsv and valid.tsv could be the valid split; name a prefix"),
        (["train.tsv", "train.tsv.gz"], "both train.tsv and train.tsv.gz could be the train split"),
        (["dev.tsv", "README"], "no training split (train.tsv, train.conllu, …); there are: README, dev.tsv"),
        ([], "no training split (train.tsv, train.conllu, …); there are: no files"),
    ],
)
def test_a_folder_that_is_not_clear_is_a_mistake(tmp_path, names, message):
    with pytest.raises(BadData) as caught:
        find(fill(tmp_path, *names))
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_path_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(BadData, match="nothing: there is no such file or folder"):
        load(tmp_path / "nothing", LabelledText, seed=1)
    with pytest.raises(BadData, match="it cannot be read: No such file"):
        load(tmp_path / "no" / "nothing", LabelledText, seed=1)


def texts(count):
    return [LabelledText(text=f"text {k}", label="x") for k in range(count)]


def test_a_single_file_is_split_80_10_10(file):
    path = file("all.tsv", "label\ttext\n" + "".join(f"x\ttext {k}\n" for k in range(200)))
    train, valid, test = load(path, LabelledText, seed=1)
    assert (len(train), len(valid), len(test)) == (160, 20, 20)
    assert {e.text for e in (*train, *valid, *test)} == {f"text {k}" for k in range(200)}
    assert load(path, LabelledText, seed=1) == (train, valid, test)
    assert load(path, LabelledText, seed=2) != (train, valid, test)


def test_a_missing_validation_split_is_a_tenth_of_train_and_never_of_test(tmp_path):
    (tmp_path / "train.tsv").write_text("label\ttext\n" + "".join(f"x\ttext {k}\n" for k in range(50)))
    (tmp_path / "test.tsv").write_text("label\ttext\nx\ta test\n")
    train, valid, test = load(tmp_path, LabelledText, seed=1)
    assert (len(train), len(valid)) == (45, 5)
    assert test is None
    assert "a test" not in {example.text for example in (*train, *valid)}


def test_the_test_file_of_a_folder_is_not_read_before_the_evaluation(tmp_path):
    (tmp_path / "train.tsv").write_text("label\ttext\n" + "".join(f"x\ttext {k}\n" for k in range(50)))
    (tmp_path / "test.tsv").write_bytes(b"text\n\xff\n")
    assert load(tmp_path, LabelledText, seed=1).test is None
    (tmp_path / "dev.tsv").write_text("label\ttext\nx\ta dev\n")
    (tmp_path / "test.tsv").unlink()
    train, valid, test = load(tmp_path, LabelledText, seed=1)
    assert (len(train), valid, test) == (50, [LabelledText(text="a dev", label="x")], None)


def test_training_data_without_labels_are_a_mistake(file, tmp_path):
    with pytest.raises(UnknownName, match=r"all\.tsv: unknown column 'label'; there are: text"):
        load(file("all.tsv", "text\na\nb\nc\n"), LabelledText, seed=1)
    with pytest.raises(BadData, match=r"all\.conll:1: an example without tags, which training and evaluation need"):
        load(file("all.conll", "a\n\nb\n\nc\n\n"), TaggedTokens, seed=1)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=60), st.integers(0, 5))
def test_no_text_is_on_two_sides_and_no_example_is_lost(kinds, seed):
    examples = [LabelledText(text=f"text {kind}", label=str(number)) for number, kind in enumerate(kinds)]
    if len(set(kinds)) < 3:
        with pytest.raises(BadData, match=r"different examples? cannot be split in 3"):
            by_lot(examples, [0.1, 0.1], seed=seed)
        return
    parts = by_lot(examples, [0.1, 0.1], seed=seed)
    assert all(parts)
    sides = [{e.text for e in part} for part in parts]
    assert sum(map(len, sides)) == len(set(kinds))
    assert Counter(e.label for part in parts for e in part) == Counter(e.label for e in examples)
    assert all([int(e.label) for e in part] == sorted(int(e.label) for e in part) for part in parts)


def test_one_text_that_stands_often_does_not_swell_a_part():
    examples = texts(100) + [LabelledText(text="often", label="x")] * 100
    for seed in range(20):
        _, valid, test = by_lot(examples, [0.1, 0.1], seed=seed)
        assert len(valid) == len(test) == 20
        assert "often" not in {e.text for e in (*valid, *test)}


def test_every_example_has_the_same_chance():
    apart = Counter(e.text for seed in range(400) for e in set_apart(texts(20), 0.25, seed=seed)[1])
    # 400 draws of 5 from 20: each expected 100 times, standard deviation sqrt(400 * 1/4 * 3/4) = 8.7.
    assert sum(apart.values()) == 2000
    assert all(60 < apart[f"text {k}"] < 140 for k in range(20))


def test_the_lot_is_that_of_pcg64_s_raw_numbers_on_every_machine():
    # O'Neill 2014, PCG XSL RR 128/64 with NumPy's constants, on whole numbers: nothing that a platform could change.
    start = np.random.PCG64(np.random.SeedSequence(7)).state["state"]
    state, raw = start["state"], []
    for _ in range(10):
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + start["inc"]) % 2**128
        turn, word = state >> 122, (state >> 64 ^ state) % 2**64
        raw.append((word >> turn | word << (64 - turn)) % 2**64)
    first = sorted(range(10), key=lambda k: raw[k])[:3]
    _, apart = set_apart(texts(10), 0.3, seed=7)
    assert [e.text for e in apart] == [f"text {k}" for k in sorted(first)]


def test_something_is_always_left():
    left, apart = set_apart(texts(4), 0.99, seed=1)
    assert (len(left), len(apart)) == (1, 3)
    assert [len(part) for part in by_lot(texts(4), [0.9, 0.9], seed=1)] == [1, 2, 1]
