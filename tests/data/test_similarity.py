"""Relatives stay on one side: families by hand, and against comparing every two sequences."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.examples import LabelledText, Passage, Signal, TaggedTokens
from unrolled.data.similarity import families, word_length
from unrolled.data.splits import by_lot, families_of, load
from unrolled.errors import BadOption

AMINO = "ACDEFGHIKLMNPQRSTVWY"


def relatives(seed: int = 1, count: int = 8, each: int = 5, changed: float = 0.1) -> list[str]:
    """So many families of proteins of 100 residues, the members of each changed here and there."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        first = [rng.choice(AMINO) for _ in range(100)]
        for _ in range(each):
            found.append("".join(rng.choice(AMINO) if rng.random() < changed else letter for letter in first))
    return found


def test_members_of_a_family_are_found_and_strangers_are_not() -> None:
    assert families(relatives(), 0.2).tolist() == [k for k in range(8) for _ in range(5)]
    assert len(set(families(relatives(changed=1.0), 0.2).tolist())) == 40


def test_relatives_of_relatives_are_relatives() -> None:
    first, last = "ACDEFGHIKLMNPQRSTVWY", "YWVTSRQPNMLKIHGFEDCA"
    assert families([first, last, first[4:] + last[:16]], 0.4).tolist() == [0, 0, 0]
    assert families([first, last], 0.4).tolist() == [0, 1]


def test_either_strand_of_dna_is_a_relative_and_case_does_not_matter() -> None:
    rng = random.Random(2)
    one, other = ("".join(rng.choice("ACGT") for _ in range(60)) for _ in range(2))
    back = one[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert families([one, back, one.lower(), other], 0.9).tolist() == [0, 0, 0, 1]
    protein = relatives()[0]
    assert families([protein, protein[::-1]], 0.2).tolist() == [0, 1]


def test_a_sequence_shorter_than_a_word_is_a_word() -> None:
    assert families(["AC", "AC", "AG"], 1.0).tolist() == [0, 0, 1]


def test_words_are_as_long_as_it_takes_for_strangers_to_share_few() -> None:
    assert word_length(["ACGT" * 15]) == 7  # 4^6 < 100 * 60 <= 4^7
    assert word_length([AMINO * 20]) == 4  # 20^3 < 100 * 400 <= 20^4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=12), min_size=1, max_size=8), st.sampled_from([0.2, 0.5, 1.0]))
def test_families_are_those_that_comparing_every_two_finds(sequences: list[str], share: float) -> None:
    size = word_length([sequence.upper() for sequence in sequences])
    words = [{s[at : at + size] for at in range(max(len(s) - size, 0) + 1)} for s in sequences]
    family = list(range(len(sequences)))
    for a, b in combinations(range(len(sequences)), 2):
        if len(words[a] & words[b]) >= share * min(len(words[a]), len(words[b])):
            family = [family[a] if one == family[b] else one for one in family]
    found = families(sequences, share).tolist()
    for a, b in combinations(range(len(sequences)), 2):
        assert (found[a] == found[b]) == (family[a] == family[b])


def test_a_family_stays_on_one_side_of_a_lot() -> None:
    examples = [LabelledText(text=text, label="x") for text in relatives()]
    family = dict(zip(relatives(), families(relatives(), 0.2).tolist(), strict=True))
    parts = by_lot(examples, [0.2, 0.2], seed=1, similarity=0.2)
    sides = [{family[example.text] for example in part} for part in parts]
    assert sum(map(len, parts)) == 40
    assert all(sides)
    assert not any(one & other for one, other in combinations(sides, 2))
    plain = by_lot(examples, [0.2, 0.2], seed=1)
    assert {family[e.text] for e in plain[0]} & {family[e.text] for e in plain[1]}


def test_a_file_is_parted_by_families_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "proteins.fasta"
    path.write_text("".join(f">{k} label=x\n{text}\n" for k, text in enumerate(relatives())))
    parted = load(path, LabelledText, seed=1, similarity=0.2)
    family = dict(zip(relatives(), families(relatives(), 0.2).tolist(), strict=True))
    assert not {family[e.text] for e in parted.train} & {family[e.text] for e in [*parted.valid, *(parted.test or ())]}


def test_where_parts_are_given_similarity_is_refused_and_not_ignored(tmp_path: Path) -> None:
    for name in ("train", "valid"):
        (tmp_path / f"{name}.fasta").write_text(">a label=x\nACGTACGT\n>b label=y\nTTTTCCCC\n")
    with pytest.raises(BadOption, match=r"similarity=0\.2 is for parting examples, and these are parted already"):
        load(tmp_path, LabelledText, seed=1, similarity=0.2)
    (tmp_path / "all.tsv").write_text("text\tlabel\tpart\nACGT\tx\ttrain\nTTTT\ty\tvalid\n")
    with pytest.raises(BadOption, match=r"parted already \(.*all\.tsv\): leave it out"):
        load(tmp_path / "all.tsv", LabelledText, seed=1, similarity=0.2, split="part")


def test_tokens_of_one_letter_are_a_sequence() -> None:
    texts = relatives()[:6]
    tagged = [TaggedTokens(tokens=tuple(text)) for text in texts]
    assert families_of(tagged, 0.2) == families(texts, 0.2).tolist()


def test_what_is_no_sequence_of_letters_is_not_similar() -> None:
    with pytest.raises(BadOption, match="similarity is of sequences of letters, not of numbers with labels"):
        by_lot([Signal(values=np.zeros((2, 1)))] * 3, [0.1], seed=1, similarity=0.2)
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(BadOption, match="similarity must be more than 0, and 1 at most"):
            families(["A"], wrong)


def test_a_running_text_is_not_parted_by_similarity(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b\n" * 50)
    with pytest.raises(BadOption, match="a running text is parted where it stands"):
        load(tmp_path / "a.txt", Passage, seed=1, similarity=0.2)
