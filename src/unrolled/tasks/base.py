"""The contract of every task: a model that knows what it is for.

A task holds its network, its vocabularies and its options. Five verbs are all that the rest needs:

    prepare(examples, **options) -> task      vocabularies from the training examples, weights drawn anew
    encode(example) -> Encoded                strings to numbers, once
    collate([Encoded, …]) -> Batch            one packed batch
    loss(batch) -> Loss                       the sum over its rows, and what to divide by
    predict(examples) -> examples             the blanks filled in, with confidences
    score(predicted, gold) -> {name: figure}  rates as fractions

`encode` and `collate` stand apart from `loss`, so that strings are looked at once and a loader can work ahead.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.data.batching import in_order
from unrolled.data.examples import Example
from unrolled.data.feeds import Feed, Shuffled
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadOption, UnknownName
from unrolled.state import State

SomeTask = TypeVar("SomeTask", bound="Task")


NEVER_SEEN = "training never saw it; `--unseen count`, in Python unseen='count', takes it for a miss"
"""What is said of a label that is in the data and not in the model."""


@dataclass(frozen=True)
class Loss:
    """total: the sum over the batch's rows, a scalar with a graph; count: how many decisions it sums over; state:
    without a graph, from which the next batch goes on, where the task's feed carries one.
    """

    total: Tensor
    count: int
    state: State = None


class Streamer(ABC):
    """What answers element by element, while a text or sound comes in pieces, in constant memory.

    Attributes:
        hears: it reads bytes of sound, where others read text.
    """

    hears: ClassVar[bool] = False

    @abstractmethod
    def read(self, piece: Any) -> Iterator[dict[str, Any]]:
        """An answer for each element that the pieces so far make certain: plain values by name, `element` first."""

    @abstractmethod
    def finish(self) -> Iterator[dict[str, Any]]:
        """The answers that wait for what comes next, as if white space did, or the recording ended."""

    @property
    @abstractmethod
    def state(self) -> State:
        """All that another one needs to go on from here; what waits is not a part of it. A value: it stays what it is,
        whatever is read afterwards, and several others may go on from it.
        """


class Task(nn.Module, ABC):
    """A trainable model for one kind of question. A subclass is one file.

    The keyword parameters of a subclass's constructor *are* its configuration: they are what a recipe may set, what a
    model folder stores, and what `options` gives back.

    Attributes:
        vocabularies: name -> vocabulary; stored with the model.
        tokenisers: name -> tokeniser, stored with the model; none for a task whose tokens are cut by a fixed rule. A
            task that has some takes them as its constructor's second argument.
        options: the constructor's keyword arguments, as given or by default.
    """

    example: ClassVar[type[Example]]
    """The example type that it reads and predicts; of a task that `reads` several, each model has its own."""
    reads: ClassVar[tuple[type[Example], ...]] = ()
    """All example types that it may be made for, where there are several; `example` is the first."""
    metric: ClassVar[str]
    """The figure of `score` that decides which weights are best; higher is better. Where it is left
    out, since it is not defined, it is worse than any."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Fields of `training.settings.Settings` whose best default for this task is another."""

    deciding: ClassVar[type | None] = None
    """A dataclass whose fields are what `predict` may be told of how to decide; None: nothing."""

    generating: ClassVar[type | None] = None
    """A dataclass whose fields are what `generate` may be told of how to write; None: it writes nothing."""

    options: dict[str, Any]
    progress: float = 0.0
    """The share of the training that is done, in [0, 1], for what changes on the way; `fit` sets it."""

    def __new__(cls: type[SomeTask], *given: Any, **named: Any) -> SomeTask:
        # The signature is the configuration: what was given, and the defaults of the rest, are read off it here, so
        # that no constructor repeats its own parameters. (Copying and unpickling give nothing.)
        task = super().__new__(cls)
        if given or named:
            signature = inspect.signature(cls.__init__)
            bound = signature.bind(task, *given, **named)
            bound.apply_defaults()
            kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
            keywords = [name for name, kind in kinds.items() if kind is inspect.Parameter.KEYWORD_ONLY]
            task.__dict__["options"] = {name: bound.arguments[name] for name in keywords}
        return task

    def __init__(
        self, vocabularies: Mapping[str, Vocabulary], tokenisers: Mapping[str, Tokeniser] | None = None
    ) -> None:
        super().__init__()
        self.vocabularies = dict(vocabularies)
        self.tokenisers = dict(tokenisers or {})

    @classmethod
    @abstractmethod
    def prepare(cls: type[SomeTask], examples: Sequence[Any], **options: Any) -> SomeTask:
        """A task for these training examples: vocabularies counted, weights drawn from torch's random stream."""

    @abstractmethod
    def encode(self, example: Any) -> Any:
        """Numbers for one example; it has `length`, the elements it costs. Raises `BadData` naming its origin."""

    @abstractmethod
    def collate(self, encoded: Sequence[Any]) -> Any:
        """One packed batch of encoded examples."""

    @abstractmethod
    def loss(self, batch: Any) -> Loss:
        """The sum of its rows' losses. Raises `BadData` where an example's blank was not filled in."""

    def loss_after(self, batch: Any, state: State) -> Loss:
        """As `loss`, going on from the state after the batch before, where the task's feed carries one; None: none."""
        return self.loss(batch)

    @abstractmethod
    def decide(self, batch: Any, **options: Any) -> list[dict[str, Any]]:
        """For each row of the batch, in the caller's order: the fields that a prediction fills in. options: of
        `deciding`."""

    @abstractmethod
    def score(self, predicted: Sequence[Any], gold: Sequence[Any]) -> dict[str, float]:
        """Figures of predicted examples against gold ones; rates as fractions."""

    @abstractmethod
    def read(self, raw: Any) -> Example:
        """An example from what a user has at hand: raw text, a list of tokens, or an example."""

    def is_one(self, raw: Any) -> bool:
        """Whether what a user has at hand is one input of a prediction, or many.

        An array of (steps, features) is one, and so is a row of numbers, as samples of a sound; one of texts is many.
        """
        if isinstance(raw, np.ndarray):
            return raw.ndim == 2 or (raw.ndim == 1 and raw.dtype.kind in "fiu")
        return isinstance(raw, (str, self.example))

    def asked(self, example: Any) -> Any:
        """An example with its answer, so that a prediction can be asked for: mostly as it is."""
        return example

    def feed(self, examples: Sequence[Any], *, elements: int, rows: int, seed: int) -> Feed:
        """What the steps of a training read. examples: those of the training; elements, rows: of a batch, at most.

        Where the feed carries a state, `loss_after` is given that of the batch before, and `Loss.state` is the next.
        """
        return Shuffled([self.encode(example) for example in examples], elements=elements, rows=rows, seed=seed)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The parameters in groups from the top of the network to its bottom: lower ones may learn more slowly, and
        later. Together they are all that learns.
        """
        return [[p for p in self.parameters() if p.requires_grad]]

    def generate(self, prompt: str, *, seed: int, sample: int, how: Any) -> Iterator[str]:
        """A text that goes on from a prompt, in pieces, as they come; for tasks that have `generating`.

        Args:
            prompt: raw text.
            seed, sample: the same ones give the same text.
            how: of `generating`.
        """
        raise NotImplementedError

    def stream(self, saved: State | None = None, **options: Any) -> Streamer:
        """What answers element by element as text or sound comes; for tasks that can.

        Args:
            saved: of `Streamer.state`, to go on from there.
            options: of `deciding`.

        Raises `BadOption` where the task cannot, or what was saved is of another model.
        """
        raise BadOption(f"a {self.name} does not answer element by element")

    def compare(self, text: str, alternatives: Sequence[str]) -> list[dict[str, Any]]:
        """How probable each of some fillings of a text's gap is, `___`; for tasks that can.

        Returns for each, in the order given: `alternative`, `bits` (-log2 of the whole text's probability),
        `probability` (among these alternatives).

        Raises `BadOption` where the task cannot, for a text without exactly one gap, and fewer than two alternatives.
        """
        raise BadOption(f"a {self.name} does not compare texts; a language_model does")

    def see(self, batch: Any) -> None:
        """Run the network over a batch once, each element that it holds: for who watches what happens in it."""
        self.decide(batch)

    def vectors(self) -> nn.Module:
        """The part through which the vectors of all elements pass on their way to the recurrences, as a
        `PackedSequence`: for who changes them on that way. Raises `BadOption` where there is none.
        """
        raise BadOption(f"a {self.name} has no such part")

    def says(self, batch: Any, place: int = -1) -> tuple[Tensor, Sequence[str]]:
        """What the task says about one element of each row, with a graph.

        Args:
            batch: of `collate`.
            place: of the element, negative from the end; of no importance where a row gets one answer.

        Returns:
            The log-probability of each choice, (rows, choices), in the caller's order, and what the choices are called.

        Raises `NoElement` where a row has no such element.
        """
        raise BadOption(f"a {self.name} does not say what it chooses from")

    def chances(self, batch: Any) -> tuple[Tensor, Tensor]:
        """How likely the task finds each choice, of every decision about a batch whose blanks are filled in.

        Returns log-probabilities, (decisions, choices), and the number of the right choice, (decisions,). Raises
        `BadOption` where decisions are not single choices from a few.
        """
        raise BadOption(f"a {self.name} does not choose one of a few")

    def sequences(self, encoded: Any) -> list[tuple[str, ...]]:
        """What the recurrences of `see` read of one encoded example, element by element, one sequence after the other.

        Sequences of parts of elements, the characters of a word, are none.
        """
        return [tuple(encoded.tokens)]

    def sequences_below(self, encoded: Any) -> dict[str, tuple[str, ...]]:
        """As `sequences`, of parts that cut the text into elements of their own, as a language model below does: by the
        path of the part, its elements in the order in which it reads them.
        """
        return {}

    @property
    def name(self) -> str:
        """Of the task: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def distinct_weights(self) -> dict[str, Tensor]:
        """The state by name, each tensor once: of weights that are tied the first name alone."""
        found: dict[tuple[Any, ...], str] = {}
        state = self.state_dict()
        for name, value in state.items():
            found.setdefault(_place(name, value), name)
        return {name: state[name] for name in found.values()}

    def load_weights(self, values: Mapping[str, Tensor]) -> None:
        """Take over what `distinct_weights` gave. Raises `RuntimeError` as `load_state_dict` where it does not fit."""
        whole, names = dict(values), dict[tuple[Any, ...], str]()
        for name, value in self.state_dict().items():
            first = names.setdefault(_place(name, value), name)
            if first in values and name not in values:
                whole[name] = values[first]
        self.load_state_dict(whole)

    def measure(self, examples: Sequence[Any], **options: Any) -> dict[str, float]:
        """Figures on examples with their blanks filled in. options: of `deciding`."""
        return self.score(self.predict(examples, **options), examples)

    def check(self, examples: Sequence[Any]) -> dict[str, float]:
        """The figures that a training's check looks at; a task whose predictions take long may have shorter ones."""
        return self.measure(examples)

    def rehearse(self, examples: Sequence[Any]) -> None:
        """What takes an untrained model as long as a check takes a trained one: for the plan of a training."""
        self.check(examples)

    def calibrate(self, examples: Sequence[Any]) -> None:
        """After a training: what is fitted on the validation examples with the weights as they are; nothing, mostly."""

    def signatures(self) -> dict[str, str]:
        """For figures that are computed in many ways elsewhere: figure -> how it is computed here."""
        return {}

    def verdict(self, figures: Mapping[str, float]) -> str | None:
        """What figures of `score` come to, in a sentence without its full stop; None: they speak for themselves."""
        return None

    @torch.no_grad()
    def predict(
        self, examples: Sequence[Any], *, batch_rows: int = 32, batch_elements: int = 4096, **options: Any
    ) -> list[Any]:
        """The examples with their blanks filled in, in the order given.

        Args:
            examples: raw inputs or examples of the task's type.
            batch_rows: examples that go through the network together, at most.
            batch_elements: rows times the longest row's elements, at most; one longer example goes alone.
            options: of how to decide, fields of `deciding`.

        Raises:
            UnknownName: another option.
            BadData: an example that cannot be read.
        """
        known = [] if self.deciding is None else [f.name for f in fields(self.deciding)]
        for name in options:
            if name not in known:
                raise UnknownName("option of predicting", name, known)
        read = [self.read(example) for example in examples]
        # What stands in the blank is taken out: a prediction cannot see it, and a label never seen does no harm.
        encoded = [self.encode(_fill(example, {self.example.blank: None})) for example in read]
        with self.evaluating():
            filled = self.decide_all(encoded, rows=batch_rows, elements=batch_elements, **options)
        return [_fill(example, found) for example, found in zip(read, filled, strict=True)]

    def decide_all(self, encoded: Sequence[Any], *, rows: int, elements: int, **options: Any) -> list[dict[str, Any]]:
        """What `decide` says of each encoded example, in the order given; in batches of near-equal length.

        rows, elements: of a batch, at most.
        """
        filled: list[dict[str, Any]] = [{}] * len(encoded)
        for batch in in_order([e.length for e in encoded], elements=elements, rows=rows):
            found = self.decide(self.collate([encoded[row] for row in batch]), **options)
            for row, fields_of_row in zip(batch, found, strict=True):
                filled[row] = fields_of_row
        return filled

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within this the task is in evaluation mode; afterwards in its own again, however it ended."""
        was_training = self.training
        if was_training:  # setting a mode walks through all modules, which a single sentence would feel
            self.eval()
        try:
            yield
        finally:
            if was_training:
                self.train()


def _place(name: str, value: Tensor) -> tuple[Any, ...]:
    """What two names of one tensor have in common, and no others."""
    return (value.data_ptr(), value.shape, value.stride()) if value.numel() else (name,)


def _fill(example: Example, fields: dict[str, Any]) -> Example:
    # dataclasses.replace costs 20 microseconds, a good part of what a small model takes for a sentence.
    filled = object.__new__(type(example))
    filled.__dict__.update(example.__dict__)
    filled.__dict__.update(fields)
    return filled
