"""The command line. It translates and prints; everything that it does is in `api`.

Results go to standard output, progress to standard error. Exit code 0: well; 1: a check failed, or the training
diverged; 2: the user's mistake, said in one message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from unrolled.errors import BadOption, UnrolledError, UserMistake

app = typer.Typer(
    help="Recurrent sequence models: trained, understood and shipped, on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
ModelFolder = Annotated[Path, typer.Argument(metavar="MODEL", help="A model's folder.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option, as often as needed; `info TASK` lists them."),
]


@app.command()
def train(
    task: Annotated[str | None, typer.Argument(help="What to learn: `unrolled list tasks`.")] = None,
    data: Annotated[str | None, typer.Option(help="A folder with train, valid, test files; or one file.")] = None,
    output: Annotated[Path | None, typer.Option(help="The model's folder [runs/TASK-DATA].")] = None,
    options: Set = None,
    minutes: Annotated[float | None, typer.Option(help="A time budget; the epochs follow it.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice [1].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model that is there.")] = False,
    recipe: Annotated[Path | None, typer.Option(help="A recipe (TOML) instead of TASK, --data and --set.")] = None,
    as_json: Json = False,
) -> None:
    """Train a model on a folder or file, and save it."""
    from unrolled import api, console

    wanted = console.recipe_of(task, data, output, _pairs(options), minutes, seed, recipe)
    finished = console.show_training(api.train(wanted, resumed=resume, overwrite=overwrite), wanted)
    console.print_finished(finished, wanted, as_json=as_json)


@app.command()
def evaluate(
    model: ModelFolder,
    data: Annotated[str, typer.Option(help="A file, or a folder with a test file.")],
    unseen: Annotated[str, typer.Option(help="A label that training never saw: `refuse` it, or `count` a miss.")] = (
        "refuse"
    ),
    options: Set = None,
    as_json: Json = False,
) -> None:
    """Figures of a model on a file with the answers in it."""
    from unrolled import api, console

    if unseen not in ("refuse", "count"):
        raise BadOption(f"--unseen is `refuse` or `count`, not {unseen!r}")
    console.print_evaluation(api.load(model).evaluate(data, unseen=unseen, **_pairs(options)), as_json=as_json)


@app.command()
def predict(
    model: ModelFolder,
    source: Annotated[str, typer.Argument(metavar="[FILE | -]", help="A file, or - for standard input.")] = "-",
    output: Annotated[Path | None, typer.Option(help="Write here, in the format of its suffix.")] = None,
    options: Set = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Fill in the blanks of a file: the same format out as in."""
    from unrolled import api, console

    console.predict(api.load(model), source, output, _pairs(options), as_json=as_json)


@app.command()
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL|TASK", help="A model's folder, or a task's name.")],
    as_json: Json = False,
) -> None:
    """What a model is: task, options, sizes, figures. Or which options a task has."""
    from unrolled import api, console
    from unrolled.recipe import option_table

    if not Path(model).exists() and model in api.listing("tasks"):
        console.print_options(model, option_table(model), as_json=as_json)
    else:
        console.print_info(api.info(model), as_json=as_json)


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(help="cells, tasks or formats")],
    as_json: Json = False,
) -> None:
    """The names that there are."""
    from unrolled import api

    found = api.listing(what)
    print(json.dumps({what: found}) if as_json else "\n".join(found))


@app.command()
def check(
    model: ModelFolder,
    data: Annotated[str, typer.Option(help="A file, or a folder with a test file.")],
    examples: Annotated[int, typer.Option(help="How many of its examples to look at.")] = 32,
    options: Set = None,
    as_json: Json = False,
) -> None:
    """The laws, on your own model: padding, batching, streaming, saving, overfitting one batch."""
    from unrolled import api, console

    verdicts = api.check(api.load(model), data, examples, **_pairs(options))
    if not console.print_verdicts(verdicts, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="The model's folder.")] = Path("runs/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 2.0,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 1,
    as_json: Json = False,
) -> None:
    """Train a sentiment model on real film reviews, in about two minutes."""
    from unrolled import console, demos

    console.demo(demos.sentiment(output, minutes, seed), as_json=as_json)


def _pairs(options: list[str] | None) -> dict[str, Any]:
    wrong = [option for option in options or [] if "=" not in option]
    if wrong:
        raise BadOption(f"--set takes name=value, not {wrong[0]!r}")
    return {name.strip(): value for name, value in (option.split("=", 1) for option in options or [])}


def main() -> None:
    """The entry point of the command `unrolled`."""
    try:
        app()
    except UserMistake as error:
        _fail(error, 2)
    except UnrolledError as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        print("interrupted; --resume goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _fail(error: UnrolledError, code: int) -> None:
    lines = str(error).splitlines()
    print("\n".join([f"unrolled: {lines[0]}", *(f"          {line}" for line in lines[1:])]), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
