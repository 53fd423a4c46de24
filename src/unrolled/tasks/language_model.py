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
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, unpack_sequence

from unrolled.data.examples import Passage
from unrolled.data.feeds import Feed, ShardedStreams, Streams, Window
from unrolled.data.long_text import LongText
from unrolled.data.token_file import TokenFile
from unrolled.data.tokenisers.base import Case, Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.adaptive_softmax import cutoffs_for
from unrolled.layers.language import Kind
from unrolled.layers.packed import at, caller_order, last
from unrolled.layers.prepared_language import prepare
from unrolled.layers.stack import CellName
from unrolled.state import State
from unrolled.tasks import _side_by_side
from unrolled.tasks._cutting import LINE_END
from unrolled.tasks._generating import Sampling, elements, last_line, said
from unrolled.tasks._language import network_of
from unrolled.tasks._language_stream import LanguageStreamer
from unrolled.tasks._packing import one_row, packed, packing
from unrolled.tasks._reading_on import Reader, ReadingOn
from unrolled.tasks._text import Cutting, learn_text
from unrolled.tasks.base import Loss, Streamer, Task
from unrolled.unroll.packing import equal

GAP = "___"
"""In a text of which alternatives are compared."""

Cut = Literal["words", "characters", "bytes", "blanks", "bpe", "unigram"]


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


@dataclass(frozen=True, kw_only=True)
class Deciding(ReadingOn):
    """How to predict.

    Attributes:
        likeliest: how many next elements are named.
        context: what an element is predicted from: its own `line` alone, or the whole `text` before it. (Figures of a
            model of running text are always of the whole text.)
    """

    likeliest: int = 5
    context: Literal["line", "text"] = "line"

    def __post_init__(self) -> None:
        super().__post_init__()
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
        softmax: over the vocabulary: trained on words that are `sampled` where there are many (Jean et al. 2015), which
            in equal time gives the best perplexity; `full`; `adaptive`, in tails (Grave et al. 2017); a `mixture` of
            some (Yang et al. 2018).
        cutoffs: `adaptive`: the first word of each tail; chosen by the words' frequencies where none are given.
        samples: `sampled`: words of a step, on average, beside those that it asks for; all, where there are no more.
        components: `mixture`: of how many.
        direction: `forward`, or `backward`: the text is read from its end.
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
    settings: ClassVar[Mapping[str, Any]] = {"learning_rate": 4e-3, "clip_norm": 1.0, "weight_decay": 0.01}

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser],
        *,
        cell: CellName = "lstm",
        hidden_size: int = 320,
        layers: int = 2,
        word_size: int = 320,
        tied: Literal["yes", "no"] = "yes",
        softmax: Kind = "sampled",
        cutoffs: list[int] | None = None,
        samples: int = 1000,
        components: int = 5,
        direction: Literal["forward", "backward"] = "forward",
        lines: Literal["running", "apart"] = "running",
        window: int = 35,
        windows: Literal["equal", "random"] = "equal",
        type_dropout: float = 0.05,
        embedding_dropout: float = 0.15,
        dropout: float = 0.2,
        output_dropout: float = 0.3,
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

        self.network = network_of(self.options, self.elements)

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
            tokens: how it is cut: at `blanks`, into `words`, `characters`, `bytes` (none of which is unknown), or into
                pieces of words that are learnt (`bpe`, `unigram`).
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
        tokeniser, elements = learn_text(examples, how, LINE_END)
        if options.get("softmax") == "adaptive" and not options.get("cutoffs"):
            options["cutoffs"] = cutoffs_for(elements.counts or ())
        return cls({"elements": elements}, {"text": tokeniser}, **options)

    # ------------------------------------------------------------------ text to numbers

    def encode(self, example: Passage) -> Encoded:
        tokens = self._tokens(example)
        if self.is_backward:  # a line's end stands before it
            tokens = (tokens[-1], *tokens[:-1])[::-1]
        return Encoded(self.elements.encode(tokens), tokens)

    def _tokens(self, example: Passage) -> tuple[str, ...]:
        """A line's tokens in the order of the text, whichever way it is read, with the ends of empty lines before it
        and its own.
        """
        return (*(LINE_END,) * example.above, *self.tokeniser.tokens(example.text), LINE_END)

    @property
    def is_backward(self) -> bool:
        """Whether it reads a text from its end."""
        return bool(self.options["direction"] == "backward")

    def _ahead(self, example: Passage) -> NDArray[np.int64]:
        """Their numbers."""
        return self.elements.encode(self._tokens(example))

    def _text(self, examples: Sequence[Passage]) -> NDArray[np.int64]:
        """Running text as it is read."""
        lines = [self.encode(example).ids for example in examples]
        return np.concatenate(lines[::-1] if self.is_backward else lines)

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
            tokens = TokenFile(examples, self._ahead, symbols=len(self.elements), of=of)
            return ShardedStreams(tokens, backward=self.is_backward, **how)
        return Streams(self._text(examples), **how)

    def vectors(self) -> nn.Module:
        return self.network.vectors

    def says(self, batch: Batch, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """Of each element that may follow the one at that place, the line end before the first being at 0."""
        x, _ = self.network.read(batch.read)
        return self.network.logits(at(x, place)).log_softmax(-1), self.elements.symbols

    def sequences(self, encoded: Any) -> list[tuple[str, ...]]:
        return [(LINE_END, *encoded.tokens[:-1])]

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
        how = Deciding(**options)
        if self.options["lines"] == "apart":
            return self.score(self.predict(examples, **options), examples)
        ids = self._text([self.read(example) for example in examples])
        with self.evaluating():
            nats = self.reader(how).read(torch.from_numpy(ids))
        return _figures(nats.double().numpy(), float((ids == 0).mean()))

    def check(self, examples: Sequence[Any]) -> dict[str, float]:
        """Of running text nearly the figures of `measure`, much sooner: see `tasks._side_by_side`."""
        if self.options["lines"] == "apart":
            return self.measure(examples)
        ids = self._text([self.read(example) for example in examples])
        with self.evaluating():
            nats = _side_by_side.losses(self.network, ids, self.line_end)
        return _figures(nats.double().numpy(), float((ids == 0).mean()))

    def reader(self, how: ReadingOn) -> Reader:
        """What reads one text on and on."""
        return Reader(self.network, self.line_end, how)

    # ------------------------------------------------------------------ predicting

    def decide_all(self, encoded: Sequence[Any], *, rows: int, elements: int, **options: Any) -> list[dict[str, Any]]:
        how = Deciding(**options)
        if not how.learns and how.context == "line":
            return super().decide_all(encoded, rows=rows, elements=elements, **options)
        backward = self.is_backward and how.context == "text"
        reader, found = self.reader(how), []
        for one in reversed(encoded) if backward else encoded:
            if how.context == "line":
                reader.begin()
            nats = reader.read(torch.from_numpy(one.ids[:-1]))
            following = reader.following()
            nats = torch.cat([nats, reader.read(torch.from_numpy(one.ids[-1:]))])
            found.append(self._filled(one.tokens, nats, following.exp(), how.likeliest))
        return found[::-1] if backward else found

    def _filled(self, tokens: Sequence[str], nats: Tensor, following: Tensor, likeliest: int) -> dict[str, Any]:
        """nats: of each token; following: (vocabulary,), how probable each element is behind the last but one."""
        probable = following.topk(min(likeliest, len(self.elements)))
        named = zip(self.elements.decode(probable.indices), probable.values.tolist(), strict=True)
        bits = (nats.double() / math.log(2)).tolist()
        return {"following": tuple(named), "surprisals": tuple(zip(tokens, bits, strict=True))}

    def decide(self, batch: Batch, **options: Any) -> list[dict[str, Any]]:
        likeliest = Deciding(**options).likeliest
        x, _ = self.network.read(batch.read)
        losses = self.network.losses(x.data, batch.due)
        ends = caller_order(last(batch.read.batch_sizes), batch.read)
        probable = self.network.logits(x.data.index_select(0, ends)).softmax(1)
        rows = unpack_sequence(batch.read._replace(data=losses))
        each = zip(batch.tokens, rows, probable, strict=True)
        return [self._filled(tokens, row, following, likeliest) for tokens, row, following in each]

    def score(self, predicted: Sequence[Passage], gold: Sequence[Passage]) -> dict[str, float]:
        """Of lines that stand for themselves; figures as `measure`."""
        tokens, bits = zip(*(pair for e in predicted for pair in e.surprisals or ()), strict=True)
        return _figures(np.array(bits) * math.log(2), float((self.elements.encode(tokens) == 0).mean()))

    @torch.no_grad()
    def generate(self, prompt: str, *, seed: int, sample: int, how: Sampling) -> Iterator[str]:
        """The prompt's lines are read first, its last one alone where lines stand apart; where it ends in a line end,
        the text begins with a new line.
        """
        if self.is_backward:
            raise BadOption("a backward model reads a text from its end: there is no prompt that it goes on from")
        lines = prompt.split(LINE_END)
        ids = np.concatenate([self.encode(Passage(text=line)).ids for line in lines])[:-1]
        anew = self.line_end if self.options["lines"] == "apart" else None
        read = np.concatenate([[self.line_end], ids if anew is None else last_line(ids, anew)])
        with self.evaluating():
            x, state = self.network.read(one_row(torch.from_numpy(read)))
            first = self.network.logits(x.data[-1:])
            drawn = elements(self.network, state, first, ids.tolist(), how, seed, sample, anew=anew)
            yield from said(drawn, self.elements, self.tokeniser, how, lines[-1])

    def stream(self, saved: State | None = None, **options: Any) -> Streamer:
        how = Deciding(**options)
        if how.learns:
            raise BadOption("a stream does not learn on: dynamic_rate and cache_size are for evaluate and predict")
        if self.is_backward:
            raise BadOption("a backward model reads a text from its end, which a stream has not")
        lines = self.options["lines"]
        return LanguageStreamer(self.network, self.elements, self.tokeniser, how.likeliest, saved, lines=lines)

    def compare(self, text: str, alternatives: Sequence[str]) -> list[dict[str, Any]]:
        if text.count(GAP) != 1:
            raise BadOption(f"the text must have one gap, {GAP}, not {text.count(GAP)}")
        if len(alternatives) < 2:
            raise BadOption(f"a comparison needs two alternatives or more, not {len(alternatives)}")
        filled = self.predict([text.replace(GAP, alternative) for alternative in alternatives])
        bits = np.array([sum(b for _, b in line.surprisals) for line in filled])
        shares = np.exp2(bits.min() - bits)
        each = zip(alternatives, bits.tolist(), (shares / shares.sum()).tolist(), strict=True)
        return [{"alternative": a, "bits": b, "probability": p} for a, b, p in each]

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the network makes of its elements at once, and read one by one."""
        step = prepare(self.network)  # as a stream has it
        for example in examples:
            ids = torch.from_numpy(self.encode(example).ids)
            whole, _ = self.network.read(one_row(ids))
            state, stepped = self.network.initial_state(1), []
            for one in ids.split(1):
                logits, state = step(one, state)
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
