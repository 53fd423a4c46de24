"""What comes next: a language model of words, pieces of words, characters or any other symbols.

Each element of a text is predicted from those before it (Mikolov et al. 2010; as an LSTM Sundermeyer et al. 2012;
regularised as Merity, Keskar & Socher 2018, arXiv:1708.02182). A text is one long sequence, its line ends elements of
their own; it is trained in parallel streams, a window at a time, the state carried from window to window and cut off
from the graph (truncated back-propagation through time). Or each line stands for itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from unrolled.cells.base import Cell
from unrolled.data.examples import Passage
from unrolled.data.feeds import Feed, ShardedStreams, Streams, Window
from unrolled.data.long_text import LongText
from unrolled.data.token_file import TokenFile
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.language import LanguageNetwork, Rates
from unrolled.layers.packed import caller_order, last
from unrolled.layers.stack import make_cell
from unrolled.layers.weight_drop import WeightDrop
from unrolled.state import State
from unrolled.tasks._generating import LINE_END, Sampling, elements, said
from unrolled.tasks._packing import packed, packing
from unrolled.tasks._reader import CellName
from unrolled.tasks._text import Cutting, learn_text
from unrolled.tasks.base import Loss, Task
from unrolled.unroll.packing import equal

AT_ONCE = 512
"""Elements of a text that go through the network in one call when it is measured; the figures do not depend on it."""

Cut = Literal["words", "characters", "blanks", "bpe", "unigram"]


class Encoded(NamedTuple):
    """A line in numbers, the ends of empty lines before it and its own included."""

    ids: NDArray[np.int64]
    tokens: tuple[str, ...]

    @property
    def length(self) -> int:
        """Elements that it costs."""
        return len(self.ids)


class Batch(NamedTuple):
    """read: ids, data (elements,); due: (elements,) what follows each; tokens: of each row, in the caller's order, none
    of a window.
    """

    read: PackedSequence
    due: Tensor
    tokens: list[tuple[str, ...]]


@dataclass(frozen=True)
class Deciding:
    """How to predict. likeliest: how many next elements are named."""

    likeliest: int = 5

    def __post_init__(self) -> None:
        if self.likeliest < 1:
            raise BadOption(f"likeliest must be 1 or more, not {self.likeliest}")


class LanguageModel(Task):
    """The probability of each next element.

    Args:
        vocabularies: `elements`.
        tokenisers: `text`.
        cell: the recurrence, a file's name in `cells/`.
        hidden_size: units of a layer (of the last one `word_size`, where the softmax is tied).
        layers: recurrent layers on top of each other.
        word_size: features of an element's vector.
        tied: whether the softmax multiplies the same table as the embedding (Press & Wolf 2017): `yes` or `no`.
        lines: `running`: a line goes on where the one before it ended; `apart`: each stands for itself.
        window: `running`: elements of each stream that are read, and gone back through, in one step.
        windows: `running`: `equal` ones, or of `random` length around that.
        type_dropout: rate at which whole word types are dropped.
        embedding_dropout, dropout, output_dropout: rates of locked dropout on the vectors, between the layers, and on
            what the softmax reads.
        weight_drop: rate of DropConnect on the recurrent weights.
        activation_penalty, change_penalty: on the size of what the last layer gives, and on its change with time.
        initialisation, forget_bias, cell_options: as the other tasks have them.
    """

    example = Passage
    metric = "log_probability"
    deciding = Deciding
    generating = Sampling
    settings: ClassVar[Mapping[str, Any]] = {"learning_rate": 3e-3, "clip_norm": 1.0, "weight_decay": 0.01}

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser],
        *,
        cell: CellName = "lstm",
        hidden_size: int = 512,
        layers: int = 2,
        word_size: int = 512,
        tied: Literal["yes", "no"] = "yes",
        lines: Literal["running", "apart"] = "running",
        window: int = 35,
        windows: Literal["equal", "random"] = "equal",
        type_dropout: float = 0.1,
        embedding_dropout: float = 0.3,
        dropout: float = 0.3,
        output_dropout: float = 0.4,
        weight_drop: float = 0.0,
        activation_penalty: float = 0.0,
        change_penalty: float = 0.0,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        cell_options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        self.elements, self.tokeniser = vocabularies["elements"], tokenisers["text"]
        self.line_end = self.elements.index(LINE_END)

        def make(size: int, units: int) -> Cell:
            made = make_cell(cell, size, units, cell_options, initialisation=initialisation, forget_bias=forget_bias)
            return WeightDrop(made, weight_drop) if weight_drop else made

        self.network = LanguageNetwork(
            len(self.elements),
            word_size,
            make,
            hidden=hidden_size,
            layers=layers,
            tied=tied == "yes",
            rates=Rates(type_dropout, embedding_dropout, dropout, output_dropout),
            activation=activation_penalty,
            change=change_penalty,
        )

    @classmethod
    def prepare(
        cls,
        examples: Sequence[Passage],
        *,
        tokens: Cut = "blanks",
        pieces: int = 8000,
        case: Case = "keep",
        minimum_count: int = 1,
        most: int | None = None,
        **options: Any,
    ) -> LanguageModel:
        """A language model for this text.

        Args:
            examples: its lines; those of a `LongText` are not held, see `learn_text`.
            tokens: how it is cut: at `blanks`, into `words`, `characters`, or pieces of words that are learnt (`bpe`,
                `unigram`).
            pieces: how many are learnt.
            case: `keep` it, or read all in `lower` case.
            minimum_count: an element seen less often is unknown.
            most: so many different elements, at most.
            options: of the constructor.

        Raises `BadData` where there is no text.
        """
        if not examples:
            raise BadData("there is no text to learn from")
        how = Cutting(tokens, pieces, case, minimum_count, most)
        tokeniser, elements = learn_text(examples, how, (LINE_END,))
        return cls({"elements": elements}, {"text": tokeniser}, **options)

    # ------------------------------------------------------------------ text to numbers

    def encode(self, example: Passage) -> Encoded:
        tokens = tuple(self.tokeniser.tokens(example.text))
        ids = np.full(example.above + len(tokens) + 1, self.line_end)
        ids[example.above : -1] = self.elements.encode(tokens)
        return Encoded(ids, (*(LINE_END,) * example.above, *tokens, LINE_END))

    def feed(self, examples: Sequence[Any], *, elements: int, rows: int, seed: int) -> Feed:
        """See `Task.feed`. A `LongText` of running lines is read from a `TokenFile`; of lines that stand apart each is
        encoded and held.
        """
        if self.options["lines"] == "apart":
            return super().feed(examples, elements=elements, rows=rows, seed=seed)
        vary = self.options["windows"] == "random"
        how: dict[str, Any] = {"streams": rows, "window": self.options["window"], "vary": vary, "seed": seed}
        if isinstance(examples, LongText):
            of = {"tokeniser": self.tokeniser.to_json(), "elements": list(self.elements)}
            tokens = TokenFile(examples, lambda line: self.encode(line).ids, symbols=len(self.elements), of=of)
            return ShardedStreams(tokens, **how)
        return Streams(np.concatenate([self.encode(example).ids for example in examples]), **how)

    def collate(self, encoded: Sequence[Any]) -> Batch:
        if isinstance(encoded[0], Window):
            (window,) = encoded
            ids, due = (torch.from_numpy(np.ascontiguousarray(part).reshape(-1)) for part in window)
            return Batch(PackedSequence(ids, equal(*window.read.shape)), due, [])
        order, rank, place, sizes = packing([e.length for e in encoded])
        read = np.concatenate([part for e in encoded for part in ([self.line_end], e.ids[:-1])])[place]
        due = torch.from_numpy(np.concatenate([e.ids for e in encoded])[place])
        return Batch(packed(read, order, rank, sizes), due, [e.tokens for e in encoded])

    # ------------------------------------------------------------------ learning

    def loss(self, batch: Batch) -> Loss:
        return self.loss_after(batch, None)

    def loss_after(self, batch: Batch, state: State) -> Loss:
        total, after = self.network.loss(batch.read, batch.due, state)
        return Loss(total, len(batch.due), after)

    def measure(self, examples: Sequence[Any], **options: Any) -> dict[str, float]:
        """`perplexity` and `bits` of an element, `log_probability` in nats, and how many are `unknown`, as a rate.

        Of running text every element counts, the first as what follows a line end; the figures are those of reading
        it as one stream, element by element.
        """
        if self.options["lines"] == "apart":
            return self.score(self.predict(examples, **options), examples)
        ids = np.concatenate([self.encode(self.read(example)).ids for example in examples])
        return _figures(-self.log_probabilities(ids), float((ids == 0).mean()))

    def log_probabilities(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of each element of a text, from those before it, in nats; (elements,)."""
        found, state = [], None
        read = np.concatenate([[self.line_end], ids[:-1]])
        with self.evaluating():
            for start in range(0, len(ids), AT_ONCE):
                here = slice(start, start + AT_ONCE)
                piece = torch.from_numpy(read[here])
                stream = PackedSequence(piece, equal(len(piece), 1))
                losses, state = self.network.losses(stream, torch.from_numpy(ids[here]), state)
                found.append(losses.double().numpy())
        return -np.concatenate(found)

    # ------------------------------------------------------------------ predicting

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        likeliest = min(Deciding(**options).likeliest, len(self.elements))
        x, _ = self.network.read(batch.read)
        losses = self.network.softmax.losses(self.network.projection(x.data), batch.due)
        ends = caller_order(last(batch.read.batch_sizes), batch.read)
        probable = self.network.logits(x.data.index_select(0, ends)).softmax(1).topk(likeliest, dim=1)
        rows = unpack_sequence(batch.read._replace(data=losses))
        found = []
        for tokens, row, values, ids in zip(
            batch.tokens, rows, probable.values.tolist(), probable.indices.tolist(), strict=True
        ):
            following = tuple(zip(self.elements.decode(ids), values, strict=True))
            bits = (row.double() / math.log(2)).tolist()
            found.append({"following": following, "surprisals": tuple(zip(tokens, bits, strict=True))})
        return found

    def score(self, predicted: Sequence[Passage], gold: Sequence[Passage]) -> dict[str, float]:
        """Of lines that stand for themselves; figures as `measure`."""
        tokens, bits = zip(*(pair for e in predicted for pair in e.surprisals or ()), strict=True)
        return _figures(np.array(bits) * math.log(2), float((self.elements.encode(tokens) == 0).mean()))

    @torch.no_grad()
    def generate(self, prompt: str, *, seed: int, sample: int, how: Sampling) -> Iterator[str]:
        """The prompt's lines are read first; where it ends in a line end, the text begins with a new line."""
        lines = prompt.split(LINE_END)
        ids = np.concatenate([self.encode(Passage(text=line)).ids for line in lines])[:-1]
        read = torch.from_numpy(np.concatenate([[self.line_end], ids]))
        with self.evaluating():
            x, state = self.network.read(PackedSequence(read, equal(len(read), 1)))
            first = self.network.logits(x.data[-1:])
            drawn = elements(self.network, state, first, ids.tolist(), how, seed, sample)
            yield from said(drawn, self.elements, self.tokeniser, how, lines[-1])

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the network makes of its elements at once, and read one by one."""
        for example in examples:
            ids = torch.from_numpy(self.encode(example).ids)
            whole, _ = self.network.read(PackedSequence(ids, equal(len(ids), 1)))
            state, stepped = self.network.initial_state(1), []
            for one in ids.split(1):
                logits, state = self.network.step(one, state)
                stepped.append(logits)
            yield self.network.logits(whole.data), torch.cat(stepped)

    def read(self, raw: Any) -> Passage:
        if isinstance(raw, Passage):
            return raw
        return Passage(text=raw if isinstance(raw, str) else " ".join(raw))


def _figures(nats: NDArray[np.float64], unknown: float) -> dict[str, float]:
    mean = float(nats.mean())
    perplexity = math.exp(mean) if mean < 700 else math.inf
    return {"perplexity": perplexity, "bits": mean / math.log(2), "log_probability": -mean, "unknown": unknown}
