"""From a batch of sources to the texts of targets: the search, its options, and words put in for unknown ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn.utils.rnn import pack_sequence

from unrolled.decoding.beam import beam
from unrolled.decoding.constraints import Constraints
from unrolled.decoding.greedy import greedy
from unrolled.decoding.hypothesis import Hypothesis
from unrolled.decoding.sampling import sample
from unrolled.errors import BadOption
from unrolled.layers.encoder_decoder import attention_of
from unrolled.unroll import fused

if TYPE_CHECKING:
    from unrolled.tasks._sequence_to_sequence import Batch, Encoded, SequenceToSequence


@dataclass(frozen=True, kw_only=True)
class Searching:
    """How targets are looked for.

    Attributes:
        decoding: `beam`, or `sample`: drawn by chance.
        beam: hypotheses that are kept; 1 is greedy.
        best: how many answers are given, the best first.
        length_penalty: alpha: scores are divided by length to the power of it.
        coverage_penalty: beta of Wu et al. 2016: places of the source that were hardly looked at cost.
        minimum_length, maximum_length: of a target, in tokens; None: three times the longest target of the training.
        prefix: text with which each target begins.
        forbidden, required: words or phrases that no target holds, and that each does.
        no_repeat_ngram: no so many tokens stand twice in a target; 0: they may.
        unknown: what is put in for a word that the vocabulary has not: the word of the `source` that was looked at
            most; nothing (`drop`, and where the source is no text); or the `mark` as it is.
        temperature, top_k, top_p, min_p, typical, seed: of `sample`.
        precision: what the compiled kernels multiply: `float32`, or numbers rounded to `bfloat16`, which is quicker.
    """

    decoding: Literal["beam", "sample"] = "beam"
    beam: int = 5
    best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    minimum_length: int = 0
    maximum_length: int | None = None
    prefix: str = ""
    forbidden: list[str] | None = None
    required: list[str] | None = None
    no_repeat_ngram: int = 0
    unknown: Literal["source", "drop", "mark"] = "source"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical: float = 1.0
    seed: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        """Raise `BadOption` for a value that no search would refuse."""
        if self.decoding not in ("beam", "sample"):
            raise BadOption(f"decoding is 'beam' or 'sample', not {self.decoding!r}")
        if self.unknown not in ("source", "drop", "mark"):
            raise BadOption(f"unknown is 'source', 'drop' or 'mark', not {self.unknown!r}")
        if self.best < 1:
            raise BadOption(f"best must be 1 or more, not {self.best}")


def search(task: SequenceToSequence, batch: Batch, how: Searching) -> list[list[tuple[str, float]]]:
    """For each row, in the caller's order, the texts that were found, the best first, each with its score."""
    # float32 is what is so anyhow: a precision that a caller has set around this is to hold.
    with nullcontext() if how.precision == "float32" else fused.precision(how.precision):
        return _texts(task, batch, how, _hypotheses(task, batch, how))


def _hypotheses(task: SequenceToSequence, batch: Batch, how: Searching) -> list[list[Hypothesis]]:
    memory = task.network.encode(batch.sources, batch.copied)
    given: dict[str, Any] = {
        "batch": len(batch.rows), "begin": task.begin, "end": task.end, "constraints": _constraints(task, batch, how),
    }  # fmt: skip
    with torch.no_grad():
        step, state = task.network.stepper(), memory.state
    found: list[list[Hypothesis]]
    if how.decoding == "sample":
        seeds = [how.seed] * len(batch.rows)
        options = {name: getattr(how, name) for name in ("temperature", "top_k", "top_p", "min_p", "typical")}
        found = sample(step, state, memory, generator=seeds, samples=how.best, **options, **given)
    elif how.beam == 1 and how.best == 1 and not how.required:
        found = [[hypothesis] for hypothesis in greedy(step, state, memory, **given)]
        found = [[h._replace(score=h.log_probability / (len(h.tokens) + 1) ** how.length_penalty)] for (h,) in found]
    else:
        covers = task.options["attention"] != "none"
        lengths = [len(row.tokens) for row in batch.rows]
        found = beam(
            step, state, memory, width=how.beam, best=how.best, length_penalty=how.length_penalty,
            coverage_penalty=how.coverage_penalty, attention=attention_of if covers else None, source_lengths=lengths,
            **given,
        )  # fmt: skip
    return found


def _constraints(task: SequenceToSequence, batch: Batch, how: Searching) -> Constraints:
    def numbers(text: str) -> list[int]:
        return task.target.encode(task.target.tokeniser.tokens(text)).tolist()

    count = len(batch.rows)
    never: list[int | list[int]] = [task.begin]
    never += [numbers(text) for text in how.forbidden or ()]
    return Constraints(
        minimum_length=how.minimum_length,
        maximum_length=task.options["longest_said"] if how.maximum_length is None else how.maximum_length,
        prefix=[numbers(how.prefix)] * count if how.prefix else None,
        forbidden=never,
        required=[[numbers(text) for text in how.required]] * count if how.required else None,
        no_repeat_ngram=how.no_repeat_ngram,
    )


def _texts(
    task: SequenceToSequence, batch: Batch, how: Searching, found: Sequence[Sequence[Hypothesis]]
) -> list[list[tuple[str, float]]]:
    symbols, size = task.target.vocabulary.symbols, len(task.target.vocabulary)
    texts = []
    for row, several in enumerate(found):
        made = []
        for hypothesis in several:
            tokens = [symbols[n] if n < size else batch.beyond[n - size] for n in hypothesis.tokens]
            if 0 in hypothesis.tokens and how.unknown != "mark":
                tokens = _without_unknown(task, batch, row, hypothesis, tokens, how)
            made.append((task.target.tokeniser.text(tokens), float(hypothesis.score)))
        texts.append(made)
    return texts


def _without_unknown(
    task: SequenceToSequence, batch: Batch, row: int, hypothesis: Hypothesis, tokens: list[str], how: Searching
) -> list[str]:
    """The tokens with something in the place of each unknown one.

    What was looked at most is found by reading the target once more, so that no search carries it along.
    """
    places = [place for place, number in enumerate(hypothesis.tokens) if number == 0]
    if how.unknown == "drop" or task.options["attention"] == "none" or not task.reads_text:
        return [token for token, number in zip(tokens, hypothesis.tokens, strict=True) if number]
    one = task.collate([batch.rows[row]._replace(target=None)])
    read = pack_sequence([torch.tensor([task.begin, *hypothesis.tokens])])
    with torch.no_grad():
        (weights,) = task.network.attend(task.network.encode(one.sources, one.copied), read)
    for place in places:
        tokens[place] = _word_at(task, batch.rows[row], int(weights[place].argmax()))
    return tokens


def _word_at(task: SequenceToSequence, row: Encoded, place: int) -> str:
    """The whole word of the source that has a token at a place, of whatever pieces it is made."""
    begins = task.source.tokeniser.begins(row.tokens)
    first = place
    while first > 0 and not begins[first]:
        first -= 1
    last = place + 1
    while last < len(begins) and not begins[last]:
        last += 1
    return task.source.tokeniser.text(row.tokens[first:last])
