"""What each output word looked at: a report of attention that prints, draws itself, and turns into JSON.

report = attention(task, examples, title="Translator", facts={"model": "runs/de-en"})
print(report)
report.save("page.html")        # or .png, or .json
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from unrolled.errors import BadOption
from unrolled.files import write_whole
from unrolled.inspection.alignment import Alignment, checked, legible
from unrolled.inspection.attention_over_picture import Looked, over_picture_png
from unrolled.inspection.attention_page import attention_page
from unrolled.inspection.attention_picture import attention_png

OVERLOOKED = 0.5
"""A source token with less coverage than this was hardly looked at."""
NAMED = 3
PLACES = 6


@runtime_checkable
class Attends(Protocol):
    """A task that can say what its outputs looked at."""

    def align(self, examples: Sequence[Any]) -> Sequence[tuple[Sequence[str], Sequence[str], Any]]:
        """One triple an example: source tokens, target tokens, weights (target, source)."""


@runtime_checkable
class Shows(Protocol):
    """A task that looks at pictures, and can say what stands at which place."""

    def pictures(self, examples: Sequence[Any]) -> Sequence[tuple[Any, tuple[int, int]] | None]:
        """Of each example the pixels, (height, width, 3), and the rows and columns of the places; None: none."""


class Attention(NamedTuple):
    """The attention of some sentences. title and facts are shown as they are; they say whose attention it is.

    pictures: of each sentence the picture whose places are its source; empty where sources are no pictures.
    """

    title: str
    facts: Mapping[str, str]
    alignments: tuple[Alignment, ...]
    pictures: tuple[Looked | None, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Figures of all sentences together.

        entropy: mean over target tokens, in bits (None where there are none); overlooked: the share of source tokens
        with a coverage below 0.5.
        """
        entropy = np.concatenate([one.entropy() for one in self.alignments])
        coverage = np.concatenate([one.coverage() for one in self.alignments])
        return {
            "sentences": len(self.alignments),
            "source_tokens": len(coverage),
            "target_tokens": len(entropy),
            "entropy": round(float(entropy.mean()), PLACES) if len(entropy) else None,
            "overlooked": round(float((coverage < OVERLOOKED).mean()), PLACES),
        }

    def __str__(self) -> str:
        return "\n\n".join([*map(_printed, self.alignments), "; ".join(f"{v} {what}" for v, what in self._figures())])

    def to_json(self) -> dict[str, Any]:
        """All of it as plain lists and numbers, rounded to six places."""
        sentences = [
            {
                "source": list(one.source_tokens),
                "target": list(one.target_tokens),
                "weights": one.weights.round(PLACES).tolist(),
                "entropy": one.entropy().round(PLACES).tolist(),
                "coverage": one.coverage().round(PLACES).tolist(),
            }
            for one in self.alignments
        ]
        for told, seen in zip(sentences, self.pictures, strict=False):
            told |= {} if seen is None else {"grid": list(seen.grid)}
        return {"title": self.title, "facts": dict(self.facts), "summary": self.summary(), "sentences": sentences}

    def to_html(self) -> str:
        """One page that needs nothing else: no network, no other file."""
        drawn = over_picture_png("", self.alignments, self.pictures) if any(self.pictures) else None
        return attention_page(self.title, self.facts, self.alignments, self._figures(), drawn)

    def to_png(self) -> bytes:
        """A heat map a sentence, source across and target down; of what looks at a picture that, once for each word. Of
        many sentences the first ones.
        """
        if any(self.pictures):
            return over_picture_png(self.title, self.alignments, self.pictures)
        return attention_png(self.title, self.alignments)

    def save(self, path: str | Path) -> None:
        """Write a page, a picture or JSON, as the suffix says: .html, .png or .json. Whole, or not at all.

        Raises `BadOption` for another suffix, `CannotWrite` with the system's reason.
        """
        path = Path(path)
        if path.suffix in (".html", ".htm"):
            # Half of a surrogate pair, in a file's name say, cannot be encoded; it becomes a question mark.
            content = self.to_html().encode(errors="replace")
        elif path.suffix == ".png":
            content = self.to_png()
        elif path.suffix == ".json":
            content = json.dumps(self.to_json()).encode()
        else:
            raise BadOption(f"{path}: attention is written as .html, .png or .json, not as {path.suffix or 'this'!r}")
        write_whole(path, content)

    def _repr_png_(self) -> bytes:
        return self.to_png()  # how a notebook shows it

    def _figures(self) -> list[tuple[str, str]]:
        found = self.summary()
        entropy = found["entropy"]
        wide = (
            [] if entropy is None else [(f"{entropy:.2f} bits", f"entropy: a look as wide as {2**entropy:.1f} tokens")]
        )
        return [
            (f"{found['sentences']:,}", "sentence" if found["sentences"] == 1 else "sentences"),
            (f"{found['source_tokens']:,} → {found['target_tokens']:,}", "tokens read and written"),
            *wide,
            (f"{found['overlooked']:.0%}", f"of the source overlooked: coverage under {OVERLOOKED}"),
        ]


def attention(
    task: Any, examples: Sequence[Any], *, title: str = "Attention", facts: Mapping[str, str] | None = None
) -> Attention:
    """The report on examples. facts: about the model, for who reads the page.

    Raises `BadOption` where the task has no attention between two sequences.
    """
    if not isinstance(task, Attends):
        name = type(task).__name__.lower()
        raise BadOption(f"a {name} has no attention to draw: it does not write one sequence while reading another")
    seen = task.pictures(examples) if isinstance(task, Shows) else ()
    return of(task.align(examples), title=title, facts=facts, pictures=seen)


def of(
    triples: Sequence[tuple[Sequence[str], Sequence[str], Any]],
    *,
    title: str = "Attention",
    facts: Mapping[str, str] | None = None,
    pictures: Sequence[tuple[Any, tuple[int, int]] | None] = (),
) -> Attention:
    """The report on what is at hand: source tokens, target tokens, weights (target, source), a triple a sentence.

    pictures: as `Shows` gives them, of each sentence one.

    Raises `BadOption` where there is no sentence, `ValueError` where weights do not fit their tokens.
    """
    if not triples:
        raise BadOption("there is no sentence to draw the attention of")
    found = []
    for number, triple in enumerate(triples, 1):
        try:
            found.append(checked(*triple))
        except ValueError as error:
            raise ValueError(f"sentence {number}: {error}") from None
    looked = tuple(None if seen is None else Looked(*seen) for seen in pictures)
    return Attention(title, dict(facts or {}), tuple(found), looked)


def _printed(one: Alignment) -> str:
    """Both sentences, then a line a target token: what it looked at most."""
    sides = [" ".join(map(legible, tokens)) for tokens in (one.source_tokens, one.target_tokens)]
    width = max((len(legible(token)) for token in one.target_tokens), default=0)
    lines = [f"{sides[0]}  →  {sides[1]}"]
    for token, row, entropy in zip(one.target_tokens, one.weights, one.entropy(), strict=True):
        most = np.argsort(-row, kind="stable")[:NAMED]
        seen = ", ".join(f"{legible(one.source_tokens[s])} {row[s]:.2f}" for s in most if row[s] >= 0.05)
        lines.append(f"  {legible(token):{width}}  {entropy:4.2f} bits  {seen}")
    return "\n".join(lines)
