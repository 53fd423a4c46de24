"""`unrolled make`: the command line's data sets that a recurrence can only answer by remembering."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

make = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make data that put a memory to the test.")

Output = Annotated[Path, typer.Option(metavar="FOLDER", help="Where the train, valid and test files go.")]
Train = Annotated[int, typer.Option("--train", metavar="N", min=1, help="Examples to learn from.")]
Rest = Annotated[int, typer.Option("--test", metavar="N", min=1, help="Examples to validate on, and as many to test.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of every random choice.")]


@make.command("adding")
def make_adding(
    output: Output,
    length: Annotated[int, typer.Option(metavar="N", min=2, help="Numbers in a sequence.")] = 600,
    train: Train = 50_000,
    test: Rest = 1_000,
    seed: Seed = 1,
) -> None:
    """Two of many numbers are marked: what is their sum? For `unrolled train regressor`."""
    from unrolled.data import memory_tasks

    memory_tasks.write_adding(output, length=length, sizes=memory_tasks.Sizes(train, test, test), seed=seed)
    print(f"unrolled train regressor --data {output} --set directions=forward --set pooling=last")


@make.command("copy")
def make_copy(
    output: Output,
    length: Annotated[int, typer.Option(metavar="N", min=1, help="Steps of nothing between.")] = 1_000,
    train: Train = 10_000,
    test: Rest = 1_000,
    seed: Seed = 1,
) -> None:
    """Ten digits, a long nothing: which digits were they? For `unrolled train tagger`."""
    from unrolled.data import memory_tasks

    memory_tasks.write_copy(output, length=length, sizes=memory_tasks.Sizes(train, test, test), seed=seed)
    print(f"unrolled train tagger --data {output} --set directions=forward --set characters=none")


@make.command("pixels")
def make_pixels(
    output: Output,
    images: Annotated[Path, typer.Option(metavar="FOLDER", help="With the four files of MNIST.")],
    permuted: Annotated[bool, typer.Option("--permuted", help="All images' pixels in one drawn order.")] = False,
    valid: Annotated[int, typer.Option(metavar="N", min=1, help="Training images set apart to validate on.")] = 5_000,
    seed: Seed = 1,
) -> None:
    """Digits that are read pixel by pixel. For `unrolled train classifier`."""
    from unrolled.data import memory_tasks

    memory_tasks.write_pixels(output, images=images, permuted=permuted, valid=valid, seed=seed)
    print(f"unrolled train classifier --data {output} --set directions=forward --set pooling=last")
