"""The contract of every tokeniser: text to tokens, and tokens, which may come from a model, back to text.

    build(texts) -> tokeniser          a rule looks at no text; pieces of words are learnt from all of them
    tokens(text) -> tokens             none is empty
    text(tokens) -> text               text(tokens(x)) is x in the chosen case, up to runs of white space
    begins(tokens) -> booleans         which tokens begin a word; the others go on with the one before them
    to_json(), from_json(value)        plain data, to be stored with a model

A subclass is one file, and its file's name is the tokeniser's name. A tokeniser never changes and keeps nothing of the
texts that it has seen but a cache, so threads share it. One for two languages is one that was built from the texts of
both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

from unrolled.errors import BadOption, UnknownName
from unrolled.lookup import find

PACKAGE = "unrolled.data.tokenisers"
Case = Literal["keep", "lower"]

SomeTokeniser = TypeVar("SomeTokeniser", bound="Tokeniser")


class Tokeniser(ABC):
    """One way to cut text.

    Attributes:
        case: whether tokens `keep` the text's case, or are `lower` case throughout, as Unicode has it.
    """

    cuts_everywhere: ClassVar[bool] = False
    """Whether the tokens of a text are those of its characters, one after the other, white space too."""
    closed: ClassVar[tuple[str, ...] | None] = None
    """All tokens that there can be, where they are few and known beforehand."""

    def __init__(self, *, case: Case = "keep") -> None:
        if case not in get_args(Case):
            raise UnknownName("case", case, get_args(Case))
        self.case = case

    @classmethod
    @abstractmethod
    def build(
        cls: type[SomeTokeniser], texts: Iterable[str], *, size: int | None = None, case: Case = "keep"
    ) -> SomeTokeniser:
        """A tokeniser for such texts; the same texts in the same order give the same one.

        Args:
            texts: to learn from, read once; those of both sides for a joint tokeniser.
            size: how many pieces are to be learnt; None for the kind's own number.
            case: what tokens are to look like.

        Raises:
            BadOption: a size for a rule, which learns nothing, or too small a one.
            BadData: there is nothing to learn from.
        """

    @abstractmethod
    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, of any text; an empty text has none."""

    def tokens_of_all(self, texts: Iterable[str]) -> list[list[str]]:
        """The tokens of each text."""
        return [self.tokens(text) for text in texts]

    @abstractmethod
    def text(self, tokens: Iterable[str]) -> str:
        """The text of tokens in whatever order; one that `tokens` could not have given is taken as it is."""

    @abstractmethod
    def begins(self, tokens: Sequence[str]) -> list[bool]:
        """Which tokens begin a word; the first always does. One that cuts everywhere says where characters begin."""

    @property
    def name(self) -> str:
        """The name by which it is found: its file's."""
        return type(self).__module__.rpartition(".")[2]

    def to_json(self) -> dict[str, Any]:
        """A plain value that `from_json` turns back."""
        return {"tokeniser": self.name, "case": self.case, **self._learnt()}

    @classmethod
    def from_json(cls: type[SomeTokeniser], value: Any) -> SomeTokeniser:
        """The tokeniser of such a value, of whatever kind it says.

        Raises:
            ValueError: it is no such value; the message says why.
            UnknownName: there is no tokeniser of that name here.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"a tokeniser is a JSON object, not {type(value).__name__}")
        name, case = value.get("tokeniser"), value.get("case")
        if not isinstance(name, str) or case not in get_args(Case):
            raise ValueError("a tokeniser has a name and a case, which is keep or lower")
        kind: Any = find(PACKAGE, name, Tokeniser, "tokenisation")
        if not issubclass(kind, cls):
            raise ValueError(f"{name} is no {cls.__name__}")
        learnt = {key: content for key, content in value.items() if key not in ("tokeniser", "case")}
        return kind._restored(case, learnt)

    @abstractmethod
    def _learnt(self) -> dict[str, Any]:
        """What `to_json` holds besides name and case."""

    @classmethod
    @abstractmethod
    def _restored(cls: type[SomeTokeniser], case: Case, learnt: dict[str, Any]) -> SomeTokeniser:
        """`_learnt` turned back. Raises `ValueError` that says what is wrong with it."""

    def _cased(self, text: str) -> str:
        return text.lower() if self.case == "lower" else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokeniser) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.name, self.case))

    def __deepcopy__(self: SomeTokeniser, memory: dict[int, Any]) -> SomeTokeniser:
        return self  # it never changes

    def __reduce__(self) -> tuple[Any, ...]:
        return Tokeniser.from_json, (self.to_json(),)  # caches and a library's objects stay behind


class Rule(Tokeniser):
    """A tokeniser that learns nothing, and whose every token is a word of its own."""

    @classmethod
    def build(
        cls: type[SomeTokeniser], texts: Iterable[str], *, size: int | None = None, case: Case = "keep"
    ) -> SomeTokeniser:
        if size is not None:
            name = cls.__module__.rpartition(".")[2]
            raise BadOption(f"the tokenisation {name} is a rule, which learns no pieces: it takes no size")
        return cls(case=case)

    def begins(self, tokens: Sequence[str]) -> list[bool]:
        return [True] * len(tokens)

    def _learnt(self) -> dict[str, Any]:
        return {}

    @classmethod
    def _restored(cls: type[SomeTokeniser], case: Case, learnt: dict[str, Any]) -> SomeTokeniser:
        if learnt:
            raise ValueError(f"a rule has a name and a case, not {', '.join(map(str, learnt))}")
        return cls(case=case)
