"""Text drawn from a language model, element by element, as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.decoding import filters
from unrolled.decoding.sampling import Uniforms, choose
from unrolled.errors import BadOption
from unrolled.layers.language import LanguageNetwork
from unrolled.layers.prepared_language import prepare
from unrolled.state import State
from unrolled.tasks._cutting import LINE_END
from unrolled.tasks._stopping import begun, certain, stops_of


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a text is drawn.

    Attributes:
        length: elements, at most.
        temperature, top_k, top_p, min_p, typical: as `decoding.sampling.choose` has them.
        repetition_penalty: 1 for none; of all elements so far, the prompt's among them.
        stop: words at which a text ends; where elements are characters or bytes, any strings. They are no part of it.
        unknown: whether the unknown element may be drawn.

    Raises `BadOption` for a length below 1, and for values that `choose` and the penalty refuse.
    """

    length: int = 100
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical: float = 1.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    unknown: bool = False

    def __post_init__(self) -> None:
        if self.length < 1:
            raise BadOption(f"length must be 1 or more, not {self.length}")
        # Asked now, so that nothing is said before.
        self.draw(torch.zeros(1, 2), torch.zeros(1, 0, dtype=torch.long), torch.zeros(1))

    def draw(self, logits: Tensor, history: Tensor, uniforms: Tensor) -> Tensor:
        """An element a row. logits: (rows, vocabulary); history: (rows, length), what each has had -> (rows,)."""
        logits = filters.repetition_penalty(logits, history, self.repetition_penalty)
        if not self.unknown:
            logits = logits.index_fill(1, torch.zeros(1, dtype=torch.long), -torch.inf)
        return choose(
            logits,
            uniforms,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            typical=self.typical,
        )


def last_line(ids: NDArray[np.int64], line_end: int) -> NDArray[np.int64]:
    """Of a text, (elements,), what its last line has, the ends of empty lines above it included."""
    ends = np.flatnonzero((ids == line_end) & (np.append(line_end, ids)[:-1] != line_end))
    return ids[ends[-1] + 1 :] if len(ends) else ids


def elements(
    network: LanguageNetwork,
    begin: State,
    first: Tensor,
    history: Sequence[int],
    how: Sampling,
    seed: int,
    sample: int,
    *,
    anew: int | None = None,
) -> Iterator[int]:
    """Numbers of elements, without end.

    Args:
        begin: the state behind what was read.
        first: (1, vocabulary), the logits there.
        history: the numbers of what stands before.
        seed, sample: of the draws; the same ones give the same elements, whatever else is drawn.
        anew: the line end, where each line stands for itself: behind a line there is nothing to go on from.
    """
    uniforms, state, logits = Uniforms([seed], sample + 1), begin, first
    had = torch.tensor([list(history)], dtype=torch.long)
    step, place = prepare(network), 0
    before = history[-1] if history else anew
    while True:
        drawn = how.draw(logits, had, torch.from_numpy(uniforms.at(np.array([sample]), place)))
        yield int(drawn)
        if how.repetition_penalty != 1:
            had = torch.cat([had, drawn.unsqueeze(1)], dim=1)
        if anew is not None:
            # An empty line is one with the line below it, as in training.
            if int(drawn) == anew != before:
                state = network.initial_state(1)
            before = int(drawn)
        logits, state = step(drawn, state)
        place += 1


def said(
    drawn: Iterator[int], vocabulary: Vocabulary, tokeniser: Tokeniser, how: Sampling, before: str
) -> Iterator[str]:
    """The text of drawn elements behind a prompt, in pieces: each as soon as nothing that follows can change it.

    before: the tokens' text so far, of the prompt's last line.
    """
    stops, line = stops_of(how.stop, vocabulary, tokeniser), begun(tokeniser, before)
    held: list[str] = []  # units that are certain and may become a stop
    shown = len(tokeniser.text(tokeniser.tokens(before)))  # of their text
    for _ in range(how.length):
        (token,) = vocabulary.decode([next(drawn)])
        if token == LINE_END:
            held += [*line.finish(), LINE_END]
            line = begun(tokeniser, "")
        else:
            held += line.add(token)
        units = [*held, *line.open]
        due, ends = certain(units, len(held), shown, stops)
        text = "".join(units[:due])
        yield text[shown:]
        if ends:
            return
        shown = max(shown, len(text)) - len("".join(held[:due]))
        held = held[due:]
    held += line.finish()
    due, ends = certain(held, len(held), shown, stops)
    if rest := "".join(held[:due] if ends else held)[shown:]:
        yield rest
