"""What the text tasks share: tokens to numbers, numbers to one vector a token that knows its context.

    token ──► its word (lower case, a table) ─┐
          └─► its spelling (characters) ──────┼──► dropout ──► stack of recurrences ──► dropout ──► (elements, output)
    other columns (features), a table each ───┘

A batch is packed: element k of the packed order is time t of row b. A spelling is looked at once for each distinct
word of the batch, and its vector is then handed to all places where the word stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from unrolled.cells.base import Cell
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import Rule
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadOption
from unrolled.layers.characters import CharacterCNN, CharacterLSTM
from unrolled.layers.dropout import LockedDropout
from unrolled.layers.embedding import Embedding
from unrolled.layers.packed import caller_order, lengths
from unrolled.layers.recurrent import Stack
from unrolled.layers.stack import make_cell, make_stack
from unrolled.layers.vectors import load_vectors
from unrolled.layers.weight_drop import WeightDrop
from unrolled.layers.zoneout import Zoneout
from unrolled.lookup import Trained
from unrolled.state import State
from unrolled.tasks._packing import packed, packing
from unrolled.tasks._pretrained import Context, Contexts, Encoders, begin_with, copy_weights, in_order
from unrolled.tasks._spellings import SpellingStore
from unrolled.tasks.base import SomeTask

Encoder = Annotated[tuple[str, ...], Trained()]
"""Folders of trained language models; what `prepare` gets are the models."""


@dataclass(frozen=True, kw_only=True)
class ReaderOptions:
    """The options of a text task's network; see `Tagger` for what each means."""

    cell: str
    hidden_size: int
    layers: int
    directions: Literal["both", "forward"]
    connections: Literal["plain", "residual", "skip"]
    word_size: int
    characters: Literal["lstm", "cnn", "none"]
    character_size: int
    character_hidden: int
    feature_size: int
    embedding_dropout: float
    dropout: float
    word_dropout: float
    weight_drop: float
    zoneout: float
    initialisation: Literal["orthogonal", "uniform"]
    forget_bias: float
    chrono: int | None
    encoders: Sequence[Mapping[str, Any]]
    encoder_training: Literal["tuned", "frozen"]
    encoder_dropout: float
    encoder_rates: float
    cell_options: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ReaderOptions:
        """Those among a task's options that its reader has. Raises `BadOption` for what no part below would refuse."""
        if not 0 <= options.get("label_smoothing", 0.0) < 1:
            raise BadOption(f"label_smoothing must be in [0, 1), not {options['label_smoothing']}")
        if not options["word_dropout"] >= 0:
            raise BadOption(f"word_dropout must be 0 or more, not {options['word_dropout']}")
        if not options["encoders"] and not (options["layers"] and (options["word_size"] or options.get("inputs"))):
            raise BadOption("layers and word_size must be 1 or more where there is no encoder")
        if not 0 <= options["encoder_rates"] <= 1:
            raise BadOption(f"encoder_rates must be in [0, 1], not {options['encoder_rates']}")
        return cls(
            **{f.name: options[f.name] for f in fields(cls) if f.name != "encoders"}, encoders=options["encoders"] or ()
        )


class Encoded(NamedTuple):
    """One example in numbers. words: (length,); features: name -> (length,); target: the task's own."""

    tokens: tuple[str, ...]
    words: np.ndarray
    features: dict[str, np.ndarray]
    target: Any
    contexts: tuple[Context, ...] = ()

    @property
    def length(self) -> int:
        """Elements that the example costs."""
        return len(self.tokens)


class Batch(NamedTuple):
    """One packed batch of tokens.

    words: data (elements,), the rows' order and lengths; forms: (elements,) which distinct word stands there;
    distinct: the distinct words; spellings: of each, the numbers of its characters; features: name -> (elements,);
    targets: the task's own, one a row.
    """

    words: PackedSequence
    forms: Tensor
    distinct: list[str]
    spellings: list[np.ndarray]
    features: dict[str, Tensor]
    targets: list[Any]
    place: np.ndarray
    """(elements,): element k of the packed batch is this one of the rows laid end to end in the caller's order."""
    contexts: list[Contexts]
    """What each encoder reads."""


class Reader(nn.Module):
    """Tokens to one context-aware vector a token.

    Args:
        vocabularies: `words` (lower-case forms, with their counts), `characters`, and `feature.NAME` for each further
            column.
        tokenisers: of the encoders.
        options: the sizes and rates.
    """

    def __init__(
        self, vocabularies: Mapping[str, Vocabulary], tokenisers: Mapping[str, Tokeniser], options: ReaderOptions
    ) -> None:
        super().__init__()
        o = self.options = options
        words, characters = vocabularies["words"], vocabularies["characters"]
        features = {n.partition(".")[2]: v for n, v in vocabularies.items() if n.startswith("feature.")}
        self.word_vocabulary, self.character_vocabulary, self.feature_vocabularies = words, characters, features
        self.words = Embedding(len(words), o.word_size) if o.word_size else None
        self.spelling: nn.Module | None = None
        size = o.word_size
        if o.characters != "none":
            kind = CharacterLSTM if o.characters == "lstm" else CharacterCNN
            self.spelling = kind(len(characters), o.character_size, o.character_hidden)
            size += self.spelling.output_size
        self.features = nn.ModuleDict({name: Embedding(len(v), o.feature_size) for name, v in features.items()})
        size += o.feature_size * len(self.features)
        rates = o.encoder_rates if o.encoder_training == "tuned" else None
        self.encoders = Encoders(o.encoders, vocabularies, tokenisers, rates=rates) if o.encoders else None
        self.encoder_dropout = nn.Dropout(o.encoder_dropout)
        size += 0 if self.encoders is None else self.encoders.output_size
        self.embedding_dropout = LockedDropout(o.embedding_dropout)
        self.stack = stack_of(size, o) if o.layers else None
        self.dropout = LockedDropout(o.dropout)
        self.output_size = size if self.stack is None else self.stack.output_size
        self.output_size += size if o.connections == "skip" and o.layers else 0
        self.register_buffer("_keep", _keep_rates(words, o.word_dropout), persistent=False)
        self._spelled: dict[str, np.ndarray] = {}
        self._store = SpellingStore(self.spelling) if self.spelling is not None else None

    @property
    def ahead(self) -> int:
        """How many of the features of a token, from the first on, know what stands before it."""
        if self.stack is None:
            return self.output_size - (0 if self.encoders is None else self.encoders.backward_size)
        return self.output_size // 2 if self.options.directions == "both" else self.output_size

    def encode(
        self, tokens: Sequence[str], features: Mapping[str, Sequence[str]], target: Any, text: str, rule: Rule = "words"
    ) -> Encoded:
        """Numbers for one example's tokens. text: in which they stand; rule: that cut it."""
        words = self.word_vocabulary.encode([token.lower() for token in tokens])
        known = {name: v.encode(features[name]) for name, v in self.feature_vocabularies.items()}
        contexts = () if self.encoders is None else self.encoders.encode(text, tokens, rule)
        return Encoded(tuple(tokens), words, known, target, contexts)

    def collate(self, encoded: Sequence[Encoded]) -> Batch:
        """One packed batch. Rows keep their order through `sorted_indices`."""
        order, rank, place, sizes = packing([e.length for e in encoded])
        index: dict[str, int] = {}
        forms = [index.setdefault(token, len(index)) for e in encoded for token in e.tokens]
        spellings = [self._spell(form) for form in index] if self.spelling is not None else []
        words = packed(np.concatenate([e.words for e in encoded])[place], order, rank, sizes)
        features = {
            name: torch.from_numpy(np.concatenate([e.features[name] for e in encoded])[place]) for name in self.features
        }
        return Batch(
            words,
            torch.from_numpy(np.array(forms)[place]),
            list(index),
            spellings,
            features,
            [e.target for e in encoded],
            place,
            [] if self.encoders is None else self.encoders.collate([e.contexts for e in encoded], place),
        )

    def forward(self, batch: Batch) -> PackedSequence:
        """The vectors, packed as the batch is; data (elements, output)."""
        x = self.embedding_dropout(batch.words._replace(data=self._vectors(batch)))
        if self.stack is None:
            return self.dropout(x)
        outputs, _ = self.stack(x)
        if self.options.connections == "skip":
            outputs = outputs._replace(data=torch.cat([outputs.data, x.data], dim=-1))
        return self.dropout(outputs)

    def _vectors(self, batch: Batch) -> Tensor:
        """What the stack reads: (elements, word + spelling + features)."""
        words, parts = batch.words.data, []
        if self.words is not None:
            if self.training and self.options.word_dropout:
                dropped = torch.rand(len(words)) >= self._keep[words]  # type: ignore[index]
                words = words.masked_fill(dropped, 0)
            parts.append(self.words(words))
        if self.spelling is not None:
            parts.append(self._spellings(batch).index_select(0, batch.forms))
        parts += [table(batch.features[name]) for name, table in self.features.items()]
        if self.encoders is not None:
            parts += [self.encoder_dropout(vectors) for vectors in self.encoders(batch.contexts)]
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def _spellings(self, batch: Batch) -> Tensor:
        """The vectors of the batch's distinct words, (distinct words, features)."""
        assert self.spelling is not None
        assert self._store is not None
        if self.training or torch.is_grad_enabled():
            self._store.forget()
            return self.spelling(torch.from_numpy(np.concatenate(batch.spellings)), _lengths(batch.spellings))

        def compute(places: list[int]) -> Tensor:
            new = [batch.spellings[place] for place in places]
            return self.spelling(torch.from_numpy(np.concatenate(new)), _lengths(new))  # type: ignore[misc]

        return self._store.vectors(batch.distinct, compute)

    def stream_outputs(self, encoded: Sequence[Encoded]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: the vectors of the whole at once, and those of its elements read one by one.

        Raises `BadOption` where encoders read the whole text.
        """
        if self.encoders is not None:
            raise BadOption("what pretrained encoders read is not streamed")
        for one in encoded:
            batch = self.collate([one])
            whole = self(batch).data
            state, stepped = self.initial_state(1), []
            for x in self._vectors(batch).split(1):
                vector, state = self._tick(x, state)
                stepped.append(vector)
            yield whole, torch.cat(stepped)

    def vectors(self) -> nn.Module:
        """As `Task.vectors`. Raises `BadOption` where they are a language model's, and know the text around them."""
        if self.encoders is not None:
            raise BadOption(
                "this model reads a language model's vectors, each of which knows the text around its element: what an "
                "element by itself does is not told; `inspect gates` shows what the cells do, the language model's, too"
            )
        return self.embedding_dropout

    def initial_state(self, rows: int) -> State:
        return () if self.stack is None else self.stack.initial_state(rows)

    def step(self, token: str, state: State) -> tuple[Tensor, State]:
        """One token, for streams, without features and encoders -> its vector, (1, output), and the state after.

        Raises `BadOption` where layers read backwards.
        """
        batch = self.collate([self.encode([token], {}, None, token)])
        return self._tick(self._vectors(batch), state)

    def _tick(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.stack is None:
            return x, state
        output, state = self.stack.step(x, state)
        return torch.cat([output, x], dim=-1) if self.options.connections == "skip" else output, state

    def _spell(self, form: str) -> np.ndarray:
        known = self._spelled.get(form)
        if known is None:
            known = self.character_vocabulary.encode(form)
            if len(self._spelled) >= 100_000:  # a server that lives for months meets words without end
                self._spelled.clear()
            self._spelled[form] = known
        return known


def begun(
    kind: type[SomeTask],
    vocabularies: dict[str, Vocabulary],
    options: Mapping[str, Any],
    *,
    vectors: str | None,
    encoders: Sequence[Any],
) -> SomeTask:
    """A task that begins with what is known already.

    Args:
        vocabularies, options: of its constructor.
        vectors: a file with vectors of words; `word_size` is then the file's.
        encoders: trained language models, whose layers are below its own.
    """
    tokenisers: dict[str, Tokeniser] = {}
    models = in_order(encoders)
    if models:
        options = {**options, "encoders": begin_with(models, vocabularies, tokenisers)}
    if vectors is not None:
        rows, found = load_vectors(vectors, vocabularies["words"].symbols)
        options = {**options, "word_size": rows.shape[1]}
    task = kind(vocabularies, tokenisers, **options)
    if vectors is not None:
        table = task.get_parameter("reader.words.weight")
        with torch.no_grad():
            table[found] = rows[found].to(table.dtype)
    if models:
        copy_weights(models, task.get_submodule("reader.encoders"))  # type: ignore[arg-type]
    return task


def text_vocabularies(cut: Sequence[Sequence[str]], minimum_count: int) -> dict[str, Vocabulary]:
    """`words`, in lower case, and `characters`, of training texts that are cut into tokens. minimum_count: of a word
    seen less often the reader knows the characters alone."""
    return {
        "words": Vocabulary.build(([t.lower() for t in tokens] for tokens in cut), minimum_count=minimum_count),
        "characters": Vocabulary.build((token for tokens in cut for token in tokens), minimum_count=2),
    }


def layer_groups(task: nn.Module, encoders: Encoders | None) -> list[list[nn.Parameter]]:
    """A task's parameters: its own, then those of its encoders, layer by layer from the top."""
    below = [] if encoders is None else encoders.layers()
    theirs = {id(p) for layer in below for p in layer}
    return [[p for p in task.parameters() if p.requires_grad and id(p) not in theirs], *below]


def balanced(labels: Vocabulary) -> Tensor:
    """Weights that make every label count the same in all: total / (labels * count of the label)."""
    counts = _counts(labels)
    return counts.sum() / (len(counts) * counts)


def lengths_of(packed: PackedSequence) -> np.ndarray:
    """Each row's length, in the caller's order."""
    return caller_order(lengths(packed.batch_sizes), packed).numpy()


def _lengths(spellings: Sequence[np.ndarray]) -> Tensor:
    return torch.tensor([len(spelling) for spelling in spellings])


def _keep_rates(words: Vocabulary, strength: float) -> Tensor:
    """Per word, how likely it is *not* replaced by the unknown word in training: n / (n + strength), n its count.

    Rare words are dropped most, so that the unknown word's vector is learnt where unknown words stand (Kiperwasser &
    Goldberg 2016, Iyyer et al. 2015).
    """
    counts = _counts(words)
    return counts / (counts + strength)


def _counts(vocabulary: Vocabulary) -> Tensor:
    """How often each symbol was seen in training, at least once: what was never seen is as rare as what was once."""
    return torch.tensor([max(count, 1) for count in vocabulary.counts or [1] * len(vocabulary)], dtype=torch.float32)


def stack_of(size: int, o: ReaderOptions) -> Stack:
    """The recurrences that those options mean. size: features that they read."""
    return make_stack(
        size,
        lambda features: _cell(features, o),
        layers=o.layers,
        directions=o.directions,
        # What is skipped stands beside what the whole stack gives, not inside it.
        connections="residual" if o.connections == "residual" else "plain",
        dropout=o.dropout,
    )


def _cell(size: int, o: ReaderOptions) -> Cell:
    cell = make_cell(
        o.cell, size, o.hidden_size, o.cell_options,
        initialisation=o.initialisation, forget_bias=o.forget_bias, chrono=o.chrono,
    )  # fmt: skip
    if o.weight_drop:
        cell = WeightDrop(cell, o.weight_drop)
    return Zoneout(cell, o.zoneout) if o.zoneout else cell
