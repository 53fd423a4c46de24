"""What a text is compared with where several texts are right: all translations of a sentence, all pronunciations."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from unrolled.metrics.pairs import require_pairs

References = str | Sequence[str]
"""The one right text, or several, of which each is as right as the others."""

Key = TypeVar("Key", bound=Hashable)


def references_of(keys: Iterable[Key], targets: Iterable[str]) -> dict[Key, tuple[str, ...]]:
    """Each different key, in the order of first appearance, with all its different targets, in that order too.

    A file may say several things of one source, each on its own line. Predict each source once, and compare with all:

        right = references_of(sources, targets)
        sequence_error_rate(list(right.values()), [predict(source) for source in right])

    Args:
        keys: of the lines, what stands for the source.
        targets: of the lines; as many.

    >>> references_of(["read", "a", "read"], ["R IY1 D", "AH0", "R EH1 D"])
    {'read': ('R IY1 D', 'R EH1 D'), 'a': ('AH0',)}
    """
    found: dict[Key, dict[str, None]] = {}
    for key, target in zip(keys, targets, strict=True):
        found.setdefault(key, {})[target] = None
    return {key: tuple(several) for key, several in found.items()}


def require_references(gold: Sequence[References], predicted: Sequence[str], what: str) -> list[tuple[str, ...]]:
    """The references of each predicted text. Raises `ValueError` where some have none, or the numbers differ."""
    require_pairs(gold, predicted, what)
    found = [(one,) if isinstance(one, str) else tuple(one) for one in gold]
    if () in found:
        raise ValueError(f"{what} {found.index(())}: no reference to compare with")
    return found
