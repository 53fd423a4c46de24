"""`unrolled inspect`: the command line's reports on the inside of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unrolled.cli_options import Data, Json, ModelFolder, Reading, pairs

inspect = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See inside a model.")

File = Annotated[str | None, typer.Option("--data", metavar="FILE", help="A file of examples.")]
Text = Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A text; as often as needed.")]
Many = Annotated[int, typer.Option(metavar="N", min=1, help="How many of the file's examples.")]


@inspect.command("attention")
def inspect_attention(
    model: ModelFolder,
    data: Annotated[str | None, typer.Option(metavar="FILE", help="Sentences, with or without their targets.")] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A sentence; as often as needed.")] = None,
    examples: Annotated[int, typer.Option(metavar="N", min=1, help="How many of the file's sentences.")] = 8,
    output: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Write one page that works offline.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Write a picture.")] = None,
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """What each output word looked at, as text, page, picture or JSON."""
    from unrolled import api, console

    loaded = api.load(model)
    report = api.attention(loaded, data, text or (), examples, **pairs(options))
    console.print_attention(report, output, png, as_json=as_json)


@inspect.command("gradients")
def inspect_gradients(
    model: ModelFolder, data: Data, examples: Many = 256, options: Reading = None, as_json: Json = False
) -> None:
    """How the gradient fares on its way back through time, layer by layer."""
    from unrolled import api, console, looking

    console.print_report(looking.gradients(api.load(model), data, examples, **pairs(options)), as_json=as_json)


@inspect.command("gates")
def inspect_gates(
    model: ModelFolder,
    data: File = None,
    text: Text = None,
    examples: Many = 100,
    where: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Which units tell what this matches from the rest?")
    ] = None,
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """What every gate and state does, by kind of element; which units tell some elements from the rest."""
    from unrolled import api, console, looking

    found = looking.gate_report(api.load(model), data, text or (), examples, where, **pairs(options))
    console.print_report(found, as_json=as_json)


@inspect.command("saliency")
def inspect_saliency(
    model: ModelFolder,
    data: File = None,
    text: Text = None,
    examples: Many = 4,
    answer: Annotated[str | None, typer.Option(metavar="NAME", help="Which answer [the model's own].")] = None,
    place: Annotated[
        int,
        typer.Option(metavar="N", help="About which element, where each has an answer; shorter examples are left out."),
    ] = -1,
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """Which elements an answer rests on: integrated gradients, and what is without each."""
    from unrolled import api, console, looking

    found = looking.saliency_report(api.load(model), data, text or (), examples, answer, place, **pairs(options))
    console.print_report(found, as_json=as_json)


@inspect.command("memory")
def inspect_memory(
    model: ModelFolder,
    data: File = None,
    text: Text = None,
    examples: Many = 32,
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """How far back a change of an element still changes the answer about the last one."""
    from unrolled import api, console, looking

    found = looking.memory_report(api.load(model), data, text or (), examples, **pairs(options))
    console.print_report(found, as_json=as_json)


@inspect.command("predictions")
def inspect_predictions(
    model: ModelFolder,
    data: Data,
    output: Annotated[Path, typer.Option(metavar="FILE.png", help="Where the picture is written.")],
    examples: Annotated[int, typer.Option(metavar="N", min=1, max=12, help="How many of the file's examples.")] = 4,
    options: Reading = None,
) -> None:
    """Predictions as a picture: what follows a piece of music, forecasts beside the naive ones."""
    from unrolled import api, console, looking

    picture = looking.predictions(api.load(model), data, examples, **pairs(options))
    console.write_picture(picture, output)


@inspect.command("report")
def inspect_report(
    model: ModelFolder,
    data: Data,
    validation: Annotated[
        str | None, typer.Option(metavar="FILE", help="To fit the temperature on, where DATA is a file.")
    ] = None,
    text: Text = None,
    examples: Annotated[int, typer.Option(metavar="N", min=1, help="How many examples are looked into.")] = 3,
    most: Annotated[int | None, typer.Option(metavar="N", min=1, help="Read so many examples, at most.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="PAGE.html", help="Write one page that works offline.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write the plots as pictures.")] = None,
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """All of it on one page: curves, gradients, gates, mistakes, calibration."""
    from unrolled import api, console, reporting

    console.make_ready(output, png)
    found = reporting.report(
        api.load(model), data, validation, text or (), shown=examples, most=most, folder=model, **pairs(options)
    )
    console.print_whole_report(found, output, png, as_json=as_json)
