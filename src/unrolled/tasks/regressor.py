"""Many to one: a quantity for numbers at each step, or for a text (a price, an age, a number of stars).

What was read is pooled into one vector, of which a linear function is the quantity. It learns the quantity scaled by
the mean and the standard deviation that it has in training, from the squared error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.data.examples import LabelledText, Signal
from unrolled.data.tokenisers.base import Tokeniser
from unrolled.data.tokens import Rule, tokenise
from unrolled.data.vocabulary import Vocabulary
from unrolled.errors import BadData, BadOption
from unrolled.layers.pooling import poolings_of
from unrolled.layers.stack import CellName
from unrolled.metrics.regression import regression_scores
from unrolled.tasks._numbers import NumberReader, as_signal, encoded, must_be_texts, numeric, reader_of
from unrolled.tasks._pretrained import sequences_below
from unrolled.tasks._reader import Encoder, begun, layer_groups, text_vocabularies
from unrolled.tasks.base import Loss, Task


class Regressor(Task):
    """A quantity for a text or for numbers at each step; it stands in the example's label, as digits.

    Args:
        vocabularies: of texts, `words` and `characters`; of numbers none.
        tokens: how a text is cut: `words`, `blanks` (at white space), `characters`, or, as DNA, overlapping
            `2-mers` to `6-mers`, `placed`, `placed-2-mers`.
        pooling: what is made of the vectors of all elements, as in `Classifier`.
        cell, hidden_size, layers, directions, connections, word_size, characters, character_size, character_hidden,
            feature_size, embedding_dropout, dropout, word_dropout, weight_drop, zoneout, initialisation, forget_bias,
            chrono, cell_options, encoders, encoder_training, encoder_dropout, encoder_rates: as in `Tagger`.
        scaling, missing, sound, rate, bands, frame_shift, masked_features, masked_steps, inputs, means, deviations: as
            in `Classifier`.
        centre, spread: the quantity's mean and deviation in training; the training examples say them.
    """

    example = LabelledText
    reads = (LabelledText, Signal)
    metric = "r2"
    settings: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-3, "batch_elements": 8192, "epochs": 6.0}

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        tokenisers: Mapping[str, Tokeniser] | None = None,
        *,
        tokens: Rule = "words",
        cell: CellName = "lstm",
        hidden_size: int = 128,
        layers: int = 1,
        directions: Literal["both", "forward"] = "both",
        connections: Literal["plain", "residual", "skip"] = "plain",
        pooling: Literal["last", "mean", "max", "mean_max", "attention"] = "mean_max",
        word_size: int = 100,
        characters: Literal["lstm", "cnn", "none"] = "none",
        character_size: int = 32,
        character_hidden: int = 50,
        feature_size: int = 16,
        embedding_dropout: float = 0.6,
        dropout: float = 0.6,
        word_dropout: float = 1.0,
        weight_drop: float = 0.0,
        zoneout: float = 0.0,
        initialisation: Literal["orthogonal", "uniform"] = "orthogonal",
        forget_bias: float = 1.0,
        chrono: int | None = None,
        cell_options: dict[str, Any] | None = None,
        encoders: list[dict[str, Any]] | None = None,
        encoder_training: Literal["tuned", "frozen"] = "tuned",
        encoder_dropout: float = 0.0,
        encoder_rates: float = 0.5,
        inputs: int = 0,
        scaling: Literal["standard", "none"] = "standard",
        means: list[float] | None = None,
        deviations: list[float] | None = None,
        missing: Literal["refused", "told"] = "refused",
        sound: Literal["none", "mel", "mfcc"] = "none",
        rate: float = 0.0,
        bands: int = 40,
        frame_shift: float = 10.0,
        masked_features: int = 0,
        masked_steps: int = 0,
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__(vocabularies, tokenisers)
        if inputs:
            self.example = Signal  # type: ignore[misc, assignment]
        self.reader = reader_of(vocabularies, self.tokenisers, self.options)
        size = self.reader.output_size
        self.poolings = poolings_of(pooling, size, self.reader.ahead)
        self.output = nn.Linear(size * len(self.poolings), 1)
        self.centre, self.spread = centre, spread

    @classmethod
    def prepare(
        cls,
        examples: Sequence[LabelledText] | Sequence[Signal],
        *,
        minimum_count: int = 1,
        vectors: str | None = None,
        encoder: Encoder = (),
        **options: Any,
    ) -> Regressor:
        """A regressor for these training examples. Arguments as `Classifier.prepare`.

        Raises:
            BadData: no examples, one whose label is no number, one whose text is empty, numbers of different width.
            BadOption: options of texts for numbers.
        """
        if not examples:
            raise BadData("there are no examples to learn from")
        for name in ("centre", "spread"):
            if name in options:
                raise BadOption(f"{name} is not to be given: the training examples say it")
        amounts = np.array([_amount(example) for example in examples])
        options |= {"centre": float(amounts.mean()), "spread": float(amounts.std()) or 1.0}
        if isinstance(examples[0], Signal):
            given = {"minimum_count": minimum_count > 1, "vectors": vectors, "encoder": encoder}
            return numeric(cls, {}, examples, options, **given)
        must_be_texts(examples, options)
        if encoder:
            options = {"layers": 0, "word_size": 0, "embedding_dropout": 0.0, "dropout": 0.4, **options}
        cut = [tokenise(example.text, options.get("tokens", "words")) for example in examples]  # type: ignore[union-attr]
        vocabularies = text_vocabularies(cut, minimum_count)
        return begun(cls, vocabularies, options, vectors=vectors, encoders=encoder)

    def encode(self, example: LabelledText | Signal) -> Any:
        target = None if example.label is None else (_amount(example) - self.centre) / self.spread
        return encoded(self.reader, example, target, self.options["tokens"])

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return layer_groups(self, self.reader.encoders)

    def collate(self, encoded: Sequence[Any]) -> Any:
        return self.reader.collate(encoded)

    def loss(self, batch: Any) -> Loss:
        if any(target is None for target in batch.targets):
            raise BadData("an example without a quantity cannot be learnt from")
        found = self._scaled(batch)
        wanted = torch.tensor(batch.targets, dtype=found.dtype)
        return Loss((found - wanted).square().sum(), len(wanted))

    def decide(self, batch: Any, **options: Any) -> list[dict[str, Any]]:
        # Six digits of how far quantities are from each other are all that single precision knows.
        places = 6 - math.floor(math.log10(self.spread))
        found = self._scaled(batch).double() * self.spread + self.centre
        return [{"label": repr(round(amount, places))} for amount in found.tolist()]

    def _scaled(self, batch: Any) -> Tensor:
        """In deviations from the mean: (rows,), in the caller's order."""
        read = self.reader(batch)
        return self.output(torch.cat([pooling(read) for pooling in self.poolings], dim=-1)).squeeze(-1)

    def vectors(self) -> nn.Module:
        return self.reader.vectors()

    def sequences_below(self, encoded: Any) -> dict[str, tuple[str, ...]]:
        return sequences_below(self.reader.encoders, encoded)

    def score(self, predicted: Sequence[Any], gold: Sequence[Any]) -> dict[str, float]:
        """`r2` (the share of the variance that is explained), `mean_squared_error`, `mean_absolute_error`."""
        return regression_scores([_amount(e) for e in gold], [_amount(e) for e in predicted])

    @torch.inference_mode()
    def stream_outputs(self, examples: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each example: what the network makes of its elements at once, and read one by one."""
        yield from self.reader.stream_outputs([self.encode(example) for example in examples])

    def read(self, raw: Any) -> LabelledText | Signal:
        if isinstance(self.reader, NumberReader):
            return as_signal(raw)
        if isinstance(raw, (LabelledText, Signal)):
            return raw
        return LabelledText(text=raw if isinstance(raw, str) else " ".join(raw))


def _amount(example: LabelledText | Signal) -> float:
    """The quantity in the label. Raises `BadData` for anything else."""
    try:
        amount = float(example.label)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        amount = float("nan")
    if not math.isfinite(amount):
        raise example.problem(f"the label is {example.label!r} where a number is expected")
    return amount
