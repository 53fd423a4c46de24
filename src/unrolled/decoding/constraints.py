"""What a sequence must and must not hold.

Lengths count tokens, without the marks of begin and end, and with the forced prefix. The prefix stands whatever else is
asked for; the other constraints hold for what comes behind it, and look back into it.

What is forbidden is taken away from the model's choice, and what is left is not normalised anew: a hypothesis's
log-probability stays the model's own. Where nothing is left that may follow, not even the end mark, the hypothesis ends
where it stands, without the mark, as one that did not finish.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from torch import Tensor

from unrolled.errors import BadOption

Phrase: TypeAlias = tuple[int, ...]

T = TypeVar("T")


@dataclass(frozen=True)
class Constraints:
    """Of all sources of a batch. Sequences are turned into tuples, so that it is a value.

    Attributes:
        minimum_length: the end mark stands behind so many tokens or more.
        maximum_length: what is so long is cut off; one number, or one a source.
        prefix: for each source the tokens that its sequences begin with, which may be none; None: for no source.
        forbidden: what is never produced: tokens, and phrases, which are sequences of tokens one behind the other. A
            phrase may end with the end mark.
        required: for each source the phrases that its sequences hold, in any order; they may overlap. Beam search alone
            can do it. None: for no source.
        no_repeat_ngram: no so many tokens stand twice in a sequence (Paulus, Xiong & Socher 2017, arXiv:1705.04304,
            section 2.5); 0: they may.

    Raises `BadOption` where a value can never be right.

    >>> Constraints(maximum_length=20, forbidden=[7, [3, 4]]).forbidden
    ((7,), (3, 4))
    """

    minimum_length: int = 0
    maximum_length: int | Sequence[int] | Tensor = 256
    prefix: Sequence[Sequence[int]] | None = None
    forbidden: Sequence[int | Sequence[int]] = ()
    required: Sequence[Sequence[Sequence[int]]] | None = None
    no_repeat_ngram: int = 0

    def __post_init__(self) -> None:
        most = self.maximum_length
        one = not isinstance(most, Iterable) or getattr(most, "ndim", 1) == 0
        self._set("minimum_length", _whole(self.minimum_length, "minimum_length"))
        self._set("no_repeat_ngram", _whole(self.no_repeat_ngram, "no_repeat_ngram"))
        self._set("maximum_length", _whole(most, "maximum_length") if one else _phrase(most, "maximum_length"))
        if self.prefix is not None:
            self._set("prefix", tuple(_phrase(each, "prefix") for each in self.prefix))
        self._set("forbidden", tuple(_forbidden(each) for each in self.forbidden))
        if self.required is not None:
            phrases = (tuple(_phrase(each, "required") for each in source) for source in self.required)
            # That one phrase is asked for twice says no more than that it is asked for.
            self._set("required", tuple(tuple(dict.fromkeys(source)) for source in phrases))
        if not all(self.banned()) or not all(all(source) for source in self.required or ()):
            raise BadOption("a forbidden or required phrase has at least one token, not none")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def banned(self) -> tuple[Phrase, ...]:
        """What is forbidden; a single token is a phrase of one."""
        return cast("tuple[Phrase, ...]", self.forbidden)

    def requires(self) -> bool:
        """Whether any source must hold a phrase."""
        return any(self.required or ())

    def limits(self, batch: int) -> list[int]:
        """The greatest length of each source. Raises `BadOption` where there is another number of them."""
        if isinstance(self.maximum_length, int):
            return [self.maximum_length] * batch
        return list(_one_each(cast("Phrase", self.maximum_length), batch, "maximum_length"))

    def prefixes(self, batch: int) -> Sequence[Phrase]:
        """Each source's prefix. Raises as `limits`."""
        given = cast("tuple[Phrase, ...] | None", self.prefix)
        return [()] * batch if given is None else _one_each(given, batch, "prefix")

    def phrases(self, batch: int) -> Sequence[Sequence[Phrase]]:
        """Each source's required phrases. Raises as `limits`."""
        given = cast("tuple[tuple[Phrase, ...], ...] | None", self.required)
        return [()] * batch if given is None else _one_each(given, batch, "required")

    def require_possible(self, batch: int, end: int) -> None:
        """Raise `BadOption` where they contradict each other, or are not for so many sources."""
        for source, (limit, prefix) in enumerate(zip(self.limits(batch), self.prefixes(batch), strict=True)):
            if limit < self.minimum_length:
                raise BadOption(f"source {source}: at least {self.minimum_length} tokens, but at most {limit}")
            if limit < len(prefix):
                raise BadOption(f"source {source}: a prefix of {len(prefix)} tokens, but at most {limit} in all")
            if end in prefix:
                raise BadOption(f"source {source}: the prefix holds the end mark, {end}")
        for source, (limit, phrases) in enumerate(zip(self.limits(batch), self.phrases(batch), strict=True)):
            for phrase in phrases:
                if limit < len(phrase):
                    raise BadOption(f"source {source}: {list(phrase)} is required, but at most {limit} tokens")
                if end in phrase:
                    raise BadOption(f"source {source}: the required {list(phrase)} holds the end mark, {end}")
                for each in self.banned():
                    if occurs(each, phrase):
                        raise BadOption(f"source {source}: {list(phrase)} is required, but {list(each)} forbidden")


def occurs(phrase: Sequence[int], tokens: Sequence[int]) -> bool:
    """Whether the phrase stands somewhere in the tokens, in one piece.

    >>> occurs((2, 3), (1, 2, 3)), occurs((1, 3), (1, 2, 3))
    (True, False)
    """
    size = len(phrase)
    return any(tuple(tokens[k : k + size]) == tuple(phrase) for k in range(len(tokens) - size + 1))


def _one_each(values: Sequence[T], batch: int, name: str) -> Sequence[T]:
    if len(values) != batch:
        raise BadOption(f"{name} for {len(values)} sources, but the batch has {batch}")
    return values


def _whole(value: Any, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise BadOption(f"{name} must be a whole number, not {value!r}") from None
    if number < 0:
        raise BadOption(f"{name} must be 0 or more, not {number}")
    return number


def _phrase(value: Any, name: str) -> Phrase:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise BadOption(f"{name} must be whole numbers, not {value!r}")
    return tuple(_whole(each, name) for each in value)


def _forbidden(value: Any) -> Phrase:
    return _phrase(value, "forbidden") if isinstance(value, Iterable) else (_whole(value, "forbidden"),)


FREE = Constraints()
"""Nothing is asked for but an end: after 256 tokens."""
