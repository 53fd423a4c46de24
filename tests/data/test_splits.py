"""Splits of folders, and by lot."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.data.examples import LabelledText, Pair, Passage, Question, TaggedTokens
from unrolled.data.splits import Paths, by_lot, find, load, set_apart
from unrolled.errors import BadData, BadOption, UnknownName


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


def test_files_of_the_format_s_own_suffix_go_before_others(tmp_path):
    fill(tmp_path, "train.txt", "train.tsv", "dev.dat", "test.tsv", "test.dat")
    assert find(tmp_path, format="tsv") == Paths(*(tmp_path / name for name in ("train.tsv", "dev.dat", "test.tsv")))
    with pytest.raises(BadData, match=r"both test\.dat and test\.tsv could be the test split"):
        find(tmp_path, format="text")


def test_an_underscore_separates_where_nothing_else_does(tmp_path):
    train, test = "qa1_single-fact_train.txt.gz", "qa1_single-fact_test.txt"
    fill(tmp_path, train, test)
    found = Paths(tmp_path / train, None, tmp_path / test)
    assert find(tmp_path) == find(tmp_path, format="babi") == find(tmp_path / "qa1_single-fact") == found
    fill(tmp_path, "train.tsv", "test.tsv")
    assert find(tmp_path, format="babi") == found
    assert find(tmp_path) == find(tmp_path, format="tsv") == Paths(tmp_path / "train.tsv", None, tmp_path / "test.tsv")
    fill(tmp_path, "qa2_train.txt")
    with pytest.raises(BadData, match=rf"both {train} and qa2_train\.txt could be the train split; name a prefix"):
        find(tmp_path, format="babi")


@pytest.mark.parametrize("options", [{}, {"format": "parallel"}, {"columns": {"source": "en", "target": "fr"}}])
@pytest.mark.parametrize("prefix", ["", "ptb."])
def test_parallel_text_has_two_files_or_more_a_split(tmp_path, options, prefix):
    fill(tmp_path, *(f"{prefix}{name}" for name in ("train.en.xz", "train.fr.xz", "val.en", "val.fr", "val.de")))
    fill(tmp_path, "test_2016.en", "test_2016.fr", "README.md")
    expected = Paths(tmp_path / f"{prefix}train", tmp_path / f"{prefix}val", None)
    assert find(tmp_path, example_type=Pair, **options) == expected
    if prefix:
        assert find(tmp_path / "ptb", example_type=Pair, **options) == expected


def test_only_who_can_hold_pairs_finds_parallel_text(tmp_path):
    fill(tmp_path, "train.en", "train.de")
    with pytest.raises(BadData, match=r"no training split \(.*\); there are: train\.de, train\.en$"):
        find(tmp_path, example_type=LabelledText)


def test_files_of_a_known_suffix_go_before_parallel_text(tmp_path):
    fill(tmp_path, "train.en", "train.de", "train.tsv")
    assert find(tmp_path, example_type=Pair).train == tmp_path / "train.tsv"
    assert find(tmp_path, format="parallel").train == tmp_path / "train"


def pairs(folder, name, count):
    (folder / f"{name}.en").write_text("".join(f"{name} {k}\n" for k in range(count)))
    (folder / f"{name}.de").write_text("".join(f"{name} {k} auch\n" for k in range(count)))


LANGUAGES = {"source": "en", "target": "de"}


def test_a_folder_of_parallel_text_is_loaded(tmp_path):
    pairs(tmp_path, "train", 50)
    pairs(tmp_path, "dev", 3)
    loaded = load(tmp_path, Pair, seed=1, columns=LANGUAGES)
    assert (len(loaded.train), len(loaded.valid), loaded.test) == (50, 3, None)
    assert loaded.valid[0] == Pair(source="dev 0", target="dev 0 auch")
    (tmp_path / "dev.de").unlink()
    with pytest.raises(BadData, match=r"dev\.en: it has no counterpart: there is no dev\.de$"):
        load(tmp_path, Pair, seed=1, columns=LANGUAGES)
    with pytest.raises(BadData, match=r"train: parallel text in de, en: say which is the source and which the target"):
        load(tmp_path, Pair, seed=1)
    with pytest.raises(UnknownName, match=r"train: unknown language 'fr'; there are: de, en$"):
        load(tmp_path, Pair, seed=1, columns={"source": "en", "target": "fr"})


@pytest.mark.parametrize("name", ["europarl", "europarl.en", "europarl.de"])
def test_two_files_are_split_as_one_is(tmp_path, name):
    pairs(tmp_path, "europarl", 200)
    loaded = load(tmp_path / name, Pair, seed=1, columns=LANGUAGES)
    assert [len(part) for part in loaded] == [160, 20, 20]
    assert all(pair.target == f"{pair.source} auch" for part in loaded for pair in part)


def test_pairs_of_one_source_stay_on_one_side(file):
    rows = "".join(f"word {k // 3}\tphones {k}\n" for k in range(300))
    parts = load(file("all.tsv", "source\ttarget\n" + rows), Pair, seed=1)
    sides = [{pair.source for pair in part} for part in parts]
    assert sum(map(len, sides)) == 100
    assert sum(map(len, parts)) == 300


def test_real_folders_are_loaded(shared_data):
    multi30k = load(shared_data / "multi30k", Pair, seed=1, columns=LANGUAGES)
    assert (len(multi30k.train), len(multi30k.valid), multi30k.test) == (29_000, 1_014, None)
    tatoeba = {"source": "en", "target": "fr"}
    assert find(shared_data / "tatoeba_en_fr", columns=tatoeba).test == shared_data / "tatoeba_en_fr" / "test"
    commands = {"source": "commands", "target": "actions"}
    scan = load(shared_data / "scan" / "simple", Pair, seed=1, columns=commands)
    assert len(scan.train) + len(scan.valid) == 16_728
    babi = load(shared_data / "babi_qa1", Question, seed=1, format="babi")
    assert len(babi.train) + len(babi.valid) == 10_000
    assert find(shared_data / "babi_qa1", format="babi").test.name == "qa1_single-supporting-fact_test.txt"
    story = load(shared_data / "babi_qa1", Question, seed=1, columns={"context": "story"})
    assert len(story.train) + len(story.valid) == 10_000


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


def test_a_text_that_runs_on_is_parted_where_it_stands(tmp_path):
    path = tmp_path / "novel.txt"
    path.write_text("".join(f"line {k % 7}\n" for k in range(50)))
    whole = [f"line {k % 7}" for k in range(50)]
    splits = load(path, Passage, seed=1)
    assert [[e.text for e in part] for part in splits] == [whole[:40], whole[40:45], whole[45:]]
    left, apart = set_apart(splits.train, 0.1, seed=2)
    assert (left, apart) == (splits.train[:36], splits.train[36:])
    path.write_text("one\ntwo\n")
    with pytest.raises(BadData, match="2 lines cannot be split in 3"):
        load(path, Passage, seed=1)


def test_a_column_tells_to_which_part_a_row_belongs(tmp_path: Path) -> None:
    path = tmp_path / "all.tsv"
    path.write_text("text\tlabel\tpart\na\tx\ttrain\nb\ty\tdev\nc\tx\ttest\nd\ty\tTrain\n")
    found = load(path, LabelledText, seed=1, split="part")
    assert [[example.text for example in part] for part in found[:2]] == [["a", "d"], ["b"]]
    assert found.test is None, "it is looked at by an evaluation alone"
    path.write_text("text\tlabel\tpart\n" + "".join(f"w{k}\tx\ttrain\n" for k in range(20)))
    found = load(path, LabelledText, seed=1, split="part")
    assert [len(found.train), len(found.valid)] == [18, 2]


def test_a_column_that_tells_no_part_is_named(tmp_path: Path) -> None:
    path = tmp_path / "all.tsv"
    path.write_text("text\tlabel\tpart\na\tx\ttrain\nb\ty\tthird\n")
    with pytest.raises(BadData, match=r"all\.tsv:3: 'third' in the column 'part' where one of train, test, valid, dev"):
        load(path, LabelledText, seed=1, split="part")
    with pytest.raises(BadOption, match=r"all\.tsv: there is no column 'parts' that tells the parts"):
        load(path, LabelledText, seed=1, split="parts")
    path.write_text("text\tlabel\tpart\na\tx\ttest\n")
    with pytest.raises(BadData, match=r"all\.tsv: no row has 'train' in the column 'part'"):
        load(path, LabelledText, seed=1, split="part")
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\n")
    with pytest.raises(BadOption, match=r"split=part is the column of a single file; .* has a file for each part"):
        load(tmp_path, LabelledText, seed=1, split="part")
