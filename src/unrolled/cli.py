"""The command line. It translates and prints; everything that it does is in `api`.

Results go to standard output, progress to standard error. Exit code 0: well; 1: a check failed, or the training
diverged; 2: the user's mistake, said in one message.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from unrolled.cli_inspect import inspect
from unrolled.cli_make import make
from unrolled.cli_options import Data, Json, ModelFolder, Reading, Set, pairs
from unrolled.errors import BadOption, CannotWrite, UnknownName, UnrolledError, UserMistake


class Commands(typer.core.TyperGroup):
    """All commands: what they raise becomes one message on standard error and an exit code."""

    def make_context(self, *given: Any, **named: Any) -> Any:
        try:
            with _standard_output():  # `--help` and `--version` print here
                return super().make_context(*given, **named)
        except CannotWrite as error:
            _fail(error, 2)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            with _standard_output():
                return super().invoke(ctx)
        except UserMistake as error:
            _fail(error, 2)
        except UnrolledError as error:
            _fail(error, 1)
        except KeyboardInterrupt:
            going_on = "; the same command with --resume goes on" if ctx.invoked_subcommand == "train" else ""
            print(f"unrolled: interrupted{going_on}", file=sys.stderr)
            sys.exit(130)


@contextmanager
def _standard_output() -> Iterator[None]:
    """Within this is printed. Where who reads it has seen enough, the process ends with exit code 141, without a word.

    Raises `CannotWrite` where standard output takes no more, on a full disk say.
    """
    try:
        try:
            yield
        finally:
            # Here, not when Python ends: then nobody could say it well. A process may have no standard output at all.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(141)
    except OSError as error:
        if not _is_of_output(error):
            raise
        _drop_output()
        raise CannotWrite(f"cannot write to standard output: {error.strerror or error}") from None


def _is_of_output(error: OSError) -> bool:
    """Whether it comes from standard output: then it comes again where more is written."""
    try:
        print(flush=True)
    except OSError as again:
        return again.errno == error.errno
    return False


def _drop_output() -> None:
    # What is left in the buffer would be tried again when Python ends, and be complained of once more.
    if sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(inspect, name="inspect")
app.add_typer(make, name="make")

FIELDS = ("text", "label", "tokens", "tags", "source", "target", "question", "context", "answer", "values")
"""Of examples: the names that their columns have by default."""


def _version(wanted: bool) -> None:
    if wanted:
        print(f"unrolled {version('unrolled')}")
        raise typer.Exit


@app.callback()
def unrolled(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Recurrent sequence models: trained, understood and shipped, on a CPU."""


@app.command()
def train(
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="What to learn: `unrolled list tasks`.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder with train, valid and test files; or one file.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The model's folder [runs/TASK-DATA].")] = None,
    options: Set = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="A time budget; the epochs follow it.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of every random choice [1].")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run stopped; --output alone will do.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model that is there.")] = False,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A recipe (TOML) instead of TASK and --set.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model on a folder or file, and save it."""
    from unrolled import api, console
    from unrolled.recipe import from_toml

    given = api.unfinished(output) if resume and output is not None and task is recipe is None else None
    if recipe is not None:
        given = from_toml(recipe)
    wanted = console.recipe_of(given, task, data, output, pairs(options), minutes, seed)
    finished = console.show_training(api.train(wanted, resumed=resume, overwrite=overwrite), wanted)
    console.print_finished(finished, wanted, as_json=as_json)


@app.command()
def evaluate(
    model: ModelFolder,
    data: Data,
    unseen: Annotated[
        str, typer.Option(metavar="refuse|count", help="A label that training never saw: refuse it, or count a miss.")
    ] = "refuse",
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """Measure a model on a file with the answers in it."""
    from unrolled import api, console

    console.print_evaluation(api.load(model).evaluate(data, unseen=unseen, **pairs(options)), as_json=as_json)


@app.command()
def predict(
    model: ModelFolder,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A file, or - for standard input.")] = "-",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, in the format of its suffix.")
    ] = None,
    options: Reading = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Fill in the blanks of a file: the same format out as in."""
    from unrolled import api, console

    console.predict(api.load(model), source, output, pairs(options), as_json=as_json)


@app.command()
def generate(
    model: ModelFolder,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the text goes on from.")] = "",
    length: Annotated[int, typer.Option(metavar="N", help="Elements, at most.")] = 100,
    samples: Annotated[int, typer.Option(metavar="N", help="How many texts.")] = 1,
    temperature: Annotated[float, typer.Option(metavar="T", help="Below 1: the probable gets more so.")] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="K", help="Only the K likeliest; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(metavar="P", help="Only the likeliest that make up P; 1: all.")] = 1.0,
    min_p: Annotated[float, typer.Option(metavar="P", help="Only what is P times as likely as the likeliest.")] = 0.0,
    typical: Annotated[float, typer.Option(metavar="P", help="Only the most typical that make up P; 1: all.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(metavar="R", help="Above 1: what was there gets rarer.")] = 1.0,
    stop: Annotated[list[str] | None, typer.Option(metavar="WORD", help="End before it; as often as needed.")] = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Let the unknown element be drawn, too.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draws.")] = 1,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, in the format of its suffix, such as .mid.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write text with a language model, as it is drawn."""
    from unrolled import api, console_language

    how = {
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "typical": typical,
        "repetition_penalty": repetition_penalty,
        "stop": tuple(word.replace("\\n", "\n") for word in stop or ()),
        "unknown": unknown,
    }
    loaded = api.load(model)
    texts = loaded.drawn(prompt, samples=samples, seed=seed, **how)
    if output is None:
        console_language.print_generated(prompt, texts, as_json=as_json)
    else:
        console_language.write_generated(loaded, prompt, texts, output, as_json=as_json)


@app.command()
def stream(
    model: ModelFolder,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Go on from this state, if it is there; write it at the end.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="How to decide; as for predict.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Read standard input element by element, and answer at each, in constant memory.

    A transcriber hears it: samples of 16 bits at the model's rate, one channel, or what a WAV file holds.
    """
    from unrolled import api, console_language

    console_language.stream(api.load(model), state, pairs(options), as_json=as_json)


@app.command()
def compare(
    model: ModelFolder,
    text: Annotated[str, typer.Option(metavar="TEXT", help="With one gap, ___.")],
    choice: Annotated[list[str], typer.Option(metavar="TEXT", help="What may fill it; as often as needed.")],
    as_json: Json = False,
) -> None:
    """How probable a language model finds each filling of a gap."""
    from unrolled import api, console_language

    console_language.print_comparison(api.load(model).compare(text, choice), as_json=as_json)


@app.command()
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL|TASK", help="A model's folder, or a task's name.")],
    as_json: Json = False,
) -> None:
    """What a model is, or which options a task has."""
    from unrolled import api, console
    from unrolled.recipe import option_table

    if Path(model).exists():
        console.print_info(api.info(model), as_json=as_json)
    elif model in api.listing("tasks"):
        console.print_options(option_table(model), as_json=as_json)
    else:
        raise UnknownName("model folder or task", model, api.listing("tasks"))


@app.command("list")
def list_names(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="cells, tasks, formats or reports.")],
    as_json: Json = False,
) -> None:
    """What there is: cells, tasks, formats or reports."""
    from unrolled import api, console

    console.print_listing(what, api.described(what), as_json=as_json)


@app.command()
def check(
    model: ModelFolder,
    data: Data,
    examples: Annotated[int, typer.Option(metavar="N", min=1, help="How many of its examples to look at.")] = 32,
    options: Reading = None,
    as_json: Json = False,
) -> None:
    """Check on your own model that the laws hold.

    Padding and batch mates change nothing, nor does the order; a batch's loss is the sum of its rows'; streaming
    equals the whole; one batch can be overfitted; saved equals loaded. Exit code 1 where one fails.
    """
    from unrolled import api, console

    verdicts = api.check(api.load(model), data, examples, **pairs(options))
    if not console.print_verdicts(verdicts, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def doctor(
    patient: Annotated[str, typer.Argument(metavar="MODEL|TASK", help="A trained model's folder, or what to learn.")],
    data: Annotated[
        str, typer.Option(metavar="PATH", help="TASK: as for train. MODEL: a file with the answers in it.")
    ],
    options: Set = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="TASK: of each training.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of every random choice.")] = 1,
    distance: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Over how many elements something is to be remembered.")
    ] = None,
    treat: Annotated[bool, typer.Option("--treat", help="TASK: train once more with what would help.")] = False,
    as_json: Json = False,
) -> None:
    """Is the gradient healthy, and if not, why and what to do.

    Of a task: the data, and the model before, while and after it is trained; nothing is kept. Of a model: as it is.
    Exit code 1 where something is amiss.
    """
    from unrolled import api, console_doctor, recipe
    from unrolled import doctor as consulted

    if Path(patient).is_dir():
        if treat or minutes is not None:
            raise BadOption("--treat and --minutes are of a training: name the task, not a trained model")
        found = consulted.examine_model(api.load(patient), data, distance=distance, **pairs(options))
        is_healthy = console_doctor.print_diagnosis(found, as_json=as_json)
    else:
        wanted = recipe.build(patient, data, pairs(options), seed=seed, minutes=minutes)
        events = consulted.doctor(wanted, distance=distance, treat=treat)
        is_healthy = console_doctor.print_doctor(events, wanted, as_json=as_json)
    if not is_healthy:
        raise typer.Exit(1)


@app.command()
def demo(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="sentiment: film reviews; pronounce: from spelling to sound.")
    ] = "sentiment",
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The model's folder [runs/demo].")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="How long to train [2; pronounce: 3].")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of every random choice.")] = 1,
    as_json: Json = False,
) -> None:
    """Train on real film reviews, or on a pronouncing dictionary, in a few minutes."""
    from unrolled import console
    from unrolled.demos.pronounce import pronounce
    from unrolled.demos.sentiment import sentiment

    if what == "sentiment":
        console.demo(sentiment(output or Path("runs/demo"), minutes or 2.0, seed), as_json=as_json)
    elif what == "pronounce":
        console.demo_pronounce(pronounce(output or Path("runs/pronounce"), minutes or 3.0, seed), as_json=as_json)
    else:
        raise UnknownName("demo", what, ("sentiment", "pronounce"))


def _fail(error: UnrolledError, code: int) -> None:
    lines = [*str(error).splitlines(), *_advice(error)]
    print("\n".join([f"unrolled: {lines[0]}", *(f"          {line}" for line in lines[1:])]), file=sys.stderr)
    sys.exit(code)


def _advice(error: UnrolledError) -> list[str]:
    """What only a command line can say."""
    if isinstance(error, UnknownName) and error.kind == "column" and error.name in FIELDS:
        return [f"Name the column that holds it: --set {error.name}=COLUMN"]
    return []


def main() -> None:
    """The entry point of the command `unrolled`."""
    app()


if __name__ == "__main__":
    main()
