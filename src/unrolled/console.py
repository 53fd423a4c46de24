"""How the command line shows things: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from unrolled import recipe as recipes
from unrolled.api import Finished, Model
from unrolled.console_training import count, err, show_training
from unrolled.data import reading
from unrolled.data.captions import Captioned
from unrolled.data.examples import Passage, Speech, TaggedTokens
from unrolled.data.formats.base import likeliest
from unrolled.data.music import Roll, sounding
from unrolled.data.tagged_steps import TaggedSteps
from unrolled.demos.taught import Shown
from unrolled.errors import BadOption, CannotWrite
from unrolled.files import must_have_folder, write_whole
from unrolled.inspection.attention import Attention
from unrolled.inspection.laws import Verdict
from unrolled.inspection.report import Report, figure
from unrolled.recipe import Recipe, deciding_options
from unrolled.training.events import Event


def recipe_of(
    given: Recipe | None,
    task: str | None,
    data: str | None,
    output: Path | None,
    options: Mapping[str, Any],
    minutes: float | None,
    seed: int | None,
) -> Recipe:
    """The recipe that `train`'s arguments mean. given: one read from a file, which says the task and its options."""
    if given is not None:
        if task or options:
            raise BadOption("the recipe says the task and its options; give either it, or TASK and --set")
        task, options = given.task, {**given.reading, **given.model, **vars(given.training)}
        data, output = data or given.data, output or (Path(given.output) if given.output else None)
        minutes, seed = given.minutes if minutes is None else minutes, given.seed if seed is None else seed
    if task is None or data is None:
        raise BadOption("train what, on what? unrolled train TASK --data PATH, or --recipe FILE")
    place = output or Path("runs") / f"{task}-{Path(data).resolve().name.split('.')[0]}"
    return recipes.build(task, data, options, output=place, seed=1 if seed is None else seed, minutes=minutes)


def print_finished(finished: Finished, recipe: Recipe, *, as_json: bool) -> None:
    """Where the model is, how good it is, and what to type next."""
    verdict = finished.model.verdict
    if as_json:
        figures = {"validation": finished.scores} | ({} if finished.test is None else {"test": finished.test})
        told = {"folder": finished.folder, "examples": finished.examples, **figures, "seconds": finished.seconds}
        print(json.dumps(told if verdict is None else {**told, "verdict": verdict}))
        return
    say("model", str(finished.folder))
    say("", f"validation: {_figures(finished.scores)}")
    folder, data = quote(str(finished.folder)), quote(recipe.data)
    then = [f"unrolled evaluate {folder} --data {data}", f"unrolled predict {folder} FILE"]
    if finished.test is not None:
        say("", f"held out:   {_figures(finished.test)}  (a tenth of the file, neither learnt from nor chosen by)")
        del then[0]
    if verdict is not None:
        say("verdict", verdict)
    for number, command in enumerate(then):
        say("" if number else "next", command)


def say(left: str, right: str) -> None:
    """A line of results; the words on the left stand in a column."""
    print(f"{left:8} {right}")


def _figures(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def print_evaluation(found: Mapping[str, Any], *, as_json: bool) -> None:
    """The figures of `evaluate`."""
    if as_json:
        print(json.dumps(found))
        return
    rows = {"examples": f"{found['examples']:,}"} | {name: figure(v) for name, v in found["metrics"].items()}
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:{width}}  {value:>8}")
    if "verdict" in found:
        print(f"{'verdict':{width}}  {found['verdict']}")


def predict(model: Model, source: str, output: Path | None, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Predictions of a file or of standard input, to a file or to standard output."""
    deciding, options = deciding_options(model.task_name, options)
    how = model.how(options, source)
    written = None
    if as_json:
        written = reading.for_machines(model.task.example)
    elif output is not None:
        written = model.format_for(output, how)
    if output is not None:
        must_have_folder(output)
    if source == reading.STANDARD_STREAM:
        if sys.stdin.isatty():
            err.print("reading standard input, one text a line; Ctrl-D ends it")
        examples = reading.read_stream(sys.stdin, model.task.example, **how)
    else:
        examples = reading.read(source, model.task.example, **how)
    predicted = model.task.predict(examples, **deciding)
    if (verdict := model.verdict) is not None:  # behind the work: where that is refused, nothing else is said
        err.print(f"as measured in training: {verdict}", soft_wrap=True, markup=False)
    columns, example_type = how["columns"], model.task.example
    how["format"] = written or reading.format_name(source, how["format"], columns=columns, example_type=example_type)
    if output is None and reading.format_of(source, how["format"]).binary:
        for example in predicted:
            print(_label_line(example))
        return
    if output is not None:
        reading.write(output, predicted, **how)
        err.print(f"{count(len(predicted), 'prediction')} written to {output}", soft_wrap=True)
        return
    reading.write_stream(sys.stdout, predicted, **how)


def _label_line(example: Any) -> str:
    """What was found, for people: a transcript; a caption; notes; what may follow a text; tags; or labels.

    How probable labels are stands beside them, where it is known.
    """
    if isinstance(example, (Speech, Captioned)):
        return getattr(example, example.blank) or ""
    if isinstance(example, Roll):
        return "" if example.following is None else " | ".join(sounding(example.following))
    if isinstance(example, Passage):
        return "" if example.following is None else likeliest(example.following)
    if isinstance(example, (TaggedTokens, TaggedSteps)):
        return " ".join(example.tags or ())
    labels = (example.label,) if isinstance(example.label, str) else example.label
    sure = [f"{(example.probabilities or {})[label]:.4f}" for label in labels if label in (example.probabilities or {})]
    return "\t".join(["|".join(labels), *sure])


def print_info(found: Mapping[str, Any], *, as_json: bool) -> None:
    """What a model is."""
    if as_json:
        print(json.dumps(found))
        return
    metrics = found["metrics"]
    head = {"folder": found["folder"], "task": found["task"], "format version": found["format"]}
    head |= {"weights": f"{found['parameters']:,}", "trained": "to the end" if metrics.get("finished") else "–"}
    if metrics.get("steps_in", "float32") != "float32":
        head["trained"] += f", in {metrics['steps_in']}"
    if "verdict" in metrics:
        head["verdict"] = metrics["verdict"]
    head["kernels"] = found["kernels"]
    print(_columns(head, ""))
    sections = {
        "validation": {name: f"{value:.4f}" for name, value in metrics.get("validation", {}).items()},
        "test": {name: f"{value:.4f}" for name, value in metrics.get("test", {}).items()},
        "vocabularies": {name: f"{size:,}" for name, size in found["vocabularies"].items()},
        "options": found["options"],
    }
    for section, rows in sections.items():
        if rows:
            print(f"{section}\n{_columns(rows, '  ')}")


def _columns(rows: Mapping[str, Any], indent: str) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{indent}{name:{width}}  {spelled(value)}" for name, value in rows.items())


def spelled(value: Any) -> str:
    """A value as `--set` takes it.

    >>> spelled(None), spelled({"proj_size": 4}), spelled(0.5)
    ('none', 'proj_size:4', '0.5')
    """
    if isinstance(value, Mapping):
        return ",".join(f"{key}:{spelled(part)}" for key, part in value.items()) or "none"
    return "none" if value is None else str(value)


def print_options(table: Mapping[str, Mapping[str, tuple[str, Any]]], *, as_json: bool) -> None:
    """The options of a task, by section."""
    if as_json:
        named = {s: {n: {"type": k, "default": d} for n, (k, d) in rows.items()} for s, rows in table.items()}
        print(json.dumps(named, default=str))
        return
    rows = [(name, spelled(default), kind) for options in table.values() for name, (kind, default) in options.items()]
    widths = [max(len(row[k]) for row in rows) for k in (0, 1)]
    titles = {"model": "the network", "training": "the training", "reading": "the data files"}
    print("Options, each with its default and what it takes: --set NAME=VALUE")
    for section, options in table.items():
        print(f"\n{titles[section]}")
        for name, (kind, default) in options.items():
            shown = "–" if default is None and section == "reading" else spelled(default)
            print(f"  {name:{widths[0]}}  {shown:{widths[1]}}  {kind}")


def print_listing(what: str, found: Mapping[str, str], *, as_json: bool) -> None:
    """Names, each with what it is."""
    print(json.dumps({what: list(found)}) if as_json else _columns(found, ""))


def print_verdicts(verdicts: Iterator[Verdict], *, as_json: bool) -> bool:
    """The laws as they are checked; returns whether all hold."""
    seen = []
    for verdict in verdicts:
        seen.append(verdict)
        if not as_json:
            word = "–" if verdict.holds is None else "holds" if verdict.holds else "FAILS"
            print(f"{word:6} {verdict.law}: {verdict.found}", flush=True)
    if as_json:
        print(json.dumps([verdict._asdict() for verdict in seen]))
    return all(verdict.holds is not False for verdict in seen)


def print_report(report: Any, *, as_json: bool) -> None:
    """What was seen inside a model."""
    print(json.dumps(report.to_json(), ensure_ascii=False) if as_json else report)


def print_whole_report(report: Report, output: Path | None, png: Path | None, *, as_json: bool) -> None:
    """Everything about a model: in words or as JSON, and into the page and the pictures that were asked for."""
    if output is not None:
        report.save(output)
    if png is not None:
        for name, picture in report.to_pngs().items():
            write_whole(png / f"{name}.png", picture)
    print_report(report, as_json=as_json)
    for what, path in (("page", output), ("pictures", png)):
        if path is not None:
            err.print(f"the {what} {'is' if what == 'page' else 'are'} in {path}", soft_wrap=True, markup=False)


def make_ready(output: Path | None, png: Path | None) -> None:
    """Find mistakes in the names of a report's files before the work is done; make the folder of the pictures."""
    if output is not None and output.suffix != ".html":
        raise BadOption(f"{output} must end in .html")
    if output is not None:
        must_have_folder(output)
    if png is not None:
        try:
            png.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotWrite(f"cannot write into {png}: {error.strerror or error}") from None


def print_attention(report: Attention, output: Path | None, png: Path | None, *, as_json: bool) -> None:
    """What each output word looked at: in words or as JSON, and into the files that were asked for."""
    files = {"page": output, "picture": png}
    for path, suffix in ((output, ".html"), (png, ".png")):
        if path is not None and path.suffix != suffix:
            raise BadOption(f"{path} must end in {suffix}")
    for path in files.values():
        if path is not None:
            report.save(path)
    print(json.dumps(report.to_json()) if as_json else report)
    for what, path in files.items():
        if path is not None:
            err.print(f"the {what} is in {path}", soft_wrap=True, markup=False)


def write_picture(picture: bytes, output: Path) -> None:
    """A PNG into a file, whole or not at all."""
    if output.suffix != ".png":
        raise BadOption(f"{output} must end in .png")
    write_whole(output, picture)
    err.print(f"the picture is in {output}", soft_wrap=True, markup=False)


def demo(events: Iterator[Event | Finished | Shown], *, as_json: bool) -> None:
    """The demo, from its plan to what to type next."""
    if not as_json:
        err.print("Film reviews, sentence by sentence: which are positive? A tenth is held out.", soft_wrap=True)
    show_training(events, recipes.build("classifier", ""))
    shown = next(event for event in events if isinstance(event, Shown))
    if as_json:
        told = {e.text: {"label": e.label, "probabilities": e.probabilities} for e in shown.predictions}
        print(json.dumps({"folder": shown.folder, **shown.evaluation, "predictions": told}))
        return
    held_out, accuracy = shown.evaluation["examples"], shown.evaluation["metrics"]["accuracy"]
    say("held out", f"{held_out:,} sentences that it never saw: accuracy {accuracy:.4f}")
    for number, example in enumerate(shown.predictions):
        assert example.probabilities is not None
        sure = example.probabilities[str(example.label)]
        say("" if number else "says", f"{example.label:8} {sure:4.0%}  {example.text}")
    folder, data = quote(shown.folder), quote(shown.held_out)
    say("model", shown.folder)
    say("next", f"unrolled evaluate {folder} --data {data}")
    say("", f"echo 'Your own sentence.' | unrolled predict {folder}")
    say("", f"unrolled check {folder} --data {data}")


def demo_pronounce(events: Iterator[Event | Finished | Shown], *, as_json: bool) -> None:
    """The demo of spelling to sound."""
    if not as_json:
        err.print("English words, letter by letter: how are they said? A part of the dictionary is held out.")
    show_training(events, recipes.build("translator", ""))
    shown = next(event for event in events if isinstance(event, Shown))
    if as_json:
        told = {pair.source: pair.target for pair in shown.predictions}
        print(json.dumps({"folder": shown.folder, **shown.evaluation, "predictions": told, "pictures": shown.pictures}))
        return
    right = shown.evaluation["metrics"]["exact_match"]
    say("held out", f"{shown.evaluation['examples']:,} pronunciations that it never saw: {right:.1%} of words right")
    for number, pair in enumerate(shown.predictions):
        say("" if number else "says", f"{pair.source:12} {pair.target}")
    folder, data = quote(shown.folder), quote(shown.held_out)
    say("looked at", " and ".join(shown.pictures))
    say("model", shown.folder)
    say("next", f"echo zyzzyva | unrolled predict {folder}")
    say("", f"unrolled inspect attention {folder} --text zyzzyva --output zyzzyva.html")
    say("", f"unrolled evaluate {folder} --data {data}")
