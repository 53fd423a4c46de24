"""Everything about a model on one page: what is in it, of each kind of task, and that the page is safe and whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import api, reporting
from unrolled.data import reading
from unrolled.data.captions import Captioned
from unrolled.data.examples import LabelledText, Pair, Passage, Series, Signal, Speech, TaggedTokens
from unrolled.data.music import Roll
from unrolled.errors import BadData, BadOption
from unrolled.inspection.report import Report, figure
from unrolled.lookup import find
from unrolled.model import model_class
from unrolled.recipe import option_table
from unrolled.tasks.base import Task

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
TEXTS = [("a good film", "up"), ("not so good .", "down"), (NASTY, "up"), ("so dull , so long", "down")]
PNG = b"\x89PNG\r\n\x1a\n"


def examples_of(task: str) -> tuple[list[Any], str]:
    """Some for a task, and the suffix of a file that holds them."""
    if task == "classifier":
        return [LabelledText(text=text, label=label) for text, label in TEXTS], ".tsv"
    if task == "tagger":
        tags = ("D", "N", "V")
        words = (("the", "dog", "barks"), ("the", "cat"), ("a", "bird", "sings"), ("a", NASTY.replace(" ", "_")))
        return [TaggedTokens(tokens=row, tags=tags[: len(row)]) for row in words], ".jsonl"
    if task == "translator":
        return [Pair(source=s, target=s.upper()) for s in ("ab c", "b a", "c", "a a b")], ".tsv"
    if task == "language_model":
        return [Passage(text=text) for text, _ in TEXTS * 40], ".txt"  # enough for 32 streams
    rng = np.random.default_rng(0)
    if task == "transcriber":
        return [Speech(values=rng.random((9, 2)), transcript=text) for text in ("ab", "b a", "a", "ba")], ".jsonl"
    if task == "captioner":
        pixels = rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
        said = zip(pixels, ("a b", "b", "c a b", NASTY), strict=True)
        return [Captioned(image=image, caption=caption) for image, caption in said], ".jsonl"
    if task == "forecaster":
        return [Series(values=rng.random(60), series=name) for name in ("a", "b")], ".csv"
    if task == "composer":
        return [Roll(notes=rng.random((n, 128)) < 0.03, name=str(n)) for n in (3, 5, 4)], ".rolls"
    return [Signal(values=rng.random((n, 2)), label=str(n)) for n in (2, 5, 3, 7)], ".npz"


TASKS = (
    "classifier", "tagger", "translator", "language_model", "regressor", "transcriber", "forecaster", "composer",
    "captioner",
)  # fmt: skip
NO_CHOICE = ("translator", "language_model", "regressor", "transcriber", "forecaster", "composer", "captioner")
SMALL = {
    "hidden_size": 5, "word_size": 4, "layers": 1, "characters": "none", "encoder_hidden": 4, "attention_size": 3,
    "size": 8, "blocks": [4, 4],
}  # fmt: skip


def made(task: str, folder: Path) -> tuple[api.Model, Path]:
    """A model that was not trained, and a file."""
    torch.manual_seed(0)
    examples, suffix = examples_of(task)
    known = option_table(task)["model"]
    asked = {
        k: v for k, v in SMALL.items() if k in known and not (suffix == ".npz" and k in ("word_size", "characters"))
    }
    prepared = find("unrolled.tasks", task, Task, "task").prepare(examples, **asked)
    path = folder / f"test{suffix}"
    reading.write(path, examples)
    return model_class(task)(prepared), path


@pytest.fixture(params=TASKS, scope="module")
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Report:
    model, path = made(request.param, tmp_path_factory.mktemp(request.param))
    return reporting.report(model, path, path, shown=2)


class Read(HTMLParser):
    """A page's elements and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def without_plotly(html: str) -> str:
    """The page but for the library, whose text is long."""
    return html[: html.index("<script>")] + html[html.index(";const PLOTS") :]


def test_every_task_has_a_report_that_is_plain_json_and_prints(found: Report) -> None:
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["figures"].keys() == found.figures.keys()
    assert found.flow is not None
    assert found.findings
    assert found.means
    assert len(found.shown) == 2
    for name, value in found.figures.items():
        assert f"{name:24} {figure(value):>10}" in str(found)
    for section, why in found.absent.items():
        assert f"no {section}: {why}" in str(found)


def test_what_a_task_cannot_have_is_said_to_be_absent(found: Report) -> None:
    task = found.facts["task"]
    assert ("calibration" in found.absent) == (task in NO_CHOICE)
    assert ("confusion" in found.absent) == (task in NO_CHOICE)
    assert ("attention" in found.absent) == (task not in ("translator", "captioner"))
    assert (found.calibration is None) == ("calibration" in found.absent)


def test_the_page_has_a_section_for_all_that_is_there_and_none_for_the_rest(found: Report) -> None:
    ids = {attrs.get("id") for tag, attrs in Read(without_plotly(found.to_html())).elements if tag == "section"}
    there = {
        "summary": True,
        "gradients": found.flow,
        "gates": found.means,
        "values": found.shown,
        "absent": found.absent,
    }
    there |= {"confusion": found.confusion, "calibration": found.calibration, "attention": found.attention}
    there |= {"mistakes": found.mistakes, "memory": found.memory, "saliency": found.saliency, "training": found.history}
    assert ids == {name for name, value in there.items() if value}


def test_every_plot_has_its_place_and_every_choice_its_plot(found: Report) -> None:
    html = without_plotly(found.to_html())
    data = json.loads(html[html.index("const PLOTS = ") + 14 : html.index(";\n\n(() =>")].replace("<\\/", "</"))
    elements = Read(html).elements
    places = {str(a["id"]).removeprefix("plot-") for t, a in elements if t == "div" and a.get("class") == "plot"}
    assert places == set(data)
    options = sum(tag == "option" for tag, _ in elements)
    assert options == sum(len(variants) for variants in data.values() if len(variants) > 1)


def test_the_page_asks_nothing_of_anyone_and_runs_its_own_script_alone(found: Report) -> None:
    html = found.to_html()
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    lock = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{lock}&#x27;" in html or f"script-src 'sha256-{lock}'" in html
    for tag, attrs in Read(without_plotly(html)).elements:
        assert tag not in ("img", "link", "iframe", "object")
        assert not {name for name in attrs if name.startswith("on") or name == "src"}
        assert tag != "a" or str(attrs["href"]).startswith("#")


def test_what_the_data_say_is_shown_and_not_run(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    html = reporting.report(model, path, path, (NASTY,), shown=4).to_html()
    assert html.count("<script>") == 1
    assert "&lt;img" in html
    assert "<img" not in without_plotly(html)


def test_confusion_and_mistakes_are_those_of_the_predictions(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    found = reporting.report(model, path, path)
    examples, _ = examples_of("classifier")
    predicted = model.predict(examples)
    wrong = [(p.label, e.label) for p, e in zip(predicted, examples, strict=True) if p.label != e.label]
    assert sorted((m.said, m.right) for m in found.mistakes) == sorted(wrong)
    sure = [m.confidence for m in found.mistakes]
    assert sure == sorted(sure, reverse=True)  # type: ignore[type-var]
    assert found.confusion is not None
    assert sum(map(sum, found.confusion.counts)) == len(examples)
    assert sum(found.confusion.counts[k][k] for k in range(len(found.confusion.labels))) == len(examples) - len(wrong)
    assert all(m.place.startswith("test.tsv:") for m in found.mistakes)


def test_calibration_measures_what_predictions_say(tmp_path: Path) -> None:
    model, path = made("tagger", tmp_path)
    found = reporting.report(model, path, path).calibration
    assert found is not None
    examples, _ = examples_of("tagger")
    assert found.measured == found.fitted == sum(len(e.tokens) for e in examples)
    sure = [c for e in model.predict(examples) for c in e.confidence]
    assert sum(b.size * b.confidence for b in found.before) == pytest.approx(sum(sure), rel=1e-5)


def test_labels_of_any_kind_stand_in_the_page_as_they_are(tmp_path: Path) -> None:
    """Long ones that begin alike, such as name a colour or a method of JavaScript, and such as are HTML."""
    labels = ["Case=Acc|Gender=Masc|Number=Plur", "Case=Acc|Gender=Masc|Number=Sing", "@", "constructor", NASTY]
    examples = [LabelledText(text=f"w{k}", label=label) for k, label in enumerate(labels)]
    task = find("unrolled.tasks", "classifier", Task, "task").prepare(examples, hidden_size=4, word_size=3)
    path = tmp_path / "<b>test.tsv"
    reading.write(path, examples)
    html = without_plotly(reporting.report(model_class("classifier")(task), path, path).to_html())
    plots = json.loads(html[html.index("const PLOTS = ") + 14 : html.index(";\n\n(() =>")])
    (plot,) = plots["confusion"]
    shown = [row[0][0] for row in plot["data"][0]["customdata"]]
    escaped = [label.replace("<", "&lt;").replace(">", "&gt;") for label in sorted(labels)]
    assert shown == escaped
    assert plot["layout"]["xaxis"]["tickvals"] == list(range(5))
    assert "<img" not in html
    assert "<b>test" not in html


def test_a_wide_and_long_example_makes_no_endless_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    examples = [Signal(values=rng.random((450 + k, 40)), label="ab"[k % 2]) for k in range(4)]
    task = find("unrolled.tasks", "classifier", Task, "task").prepare(examples, hidden_size=70)
    path = tmp_path / "a.npz"
    reading.write(path, examples)
    found = reporting.report(model_class("classifier")(task), path, path, shown=1)
    html = without_plotly(found.to_html())
    assert len(html) < 2_000_000
    assert "the last 200 elements" in html
    assert "the first 64 units" in html


def test_what_is_not_finite_is_left_out_of_the_page(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    with torch.no_grad():
        model.task.get_parameter("output.weight").fill_(float("nan"))
    found = reporting.report(model, path, path)
    broken = replace(found, history=[{"epoch": 1.0, "train_loss": float("nan"), "accuracy": 0.5}, {"epoch": 2.0}])
    html = without_plotly(broken.to_html())
    plots = html[html.index("const PLOTS = ") + 14 : html.index(";\n\n(() =>")]
    assert not re.findall(r"NaN|Infinity", plots)
    assert json.loads(json.dumps(broken.to_json(), allow_nan=False))["history"][0]["train_loss"] is None
    assert "calibration" in found.absent
    assert found.verdict == "not finite"


def test_a_transcript_is_shown_with_what_was_heard_in_its_place() -> None:
    assert reporting._aligned("go left now", "go right now please") == "go «left → right» now «+ please»"
    assert reporting._aligned("go now", "now") == "«- go» now"


def test_several_labels_are_right_in_any_order(tmp_path: Path) -> None:
    examples = [LabelledText(text=f"w{k % 2} w", label=("b", "a") if k % 2 else ()) for k in range(8)]
    task = find("unrolled.tasks", "classifier", Task, "task").prepare(examples, hidden_size=4, word_size=3)
    with torch.no_grad():
        task.get_parameter("output.weight").zero_()
        task.get_parameter("output.bias").fill_(5.0)
    path = tmp_path / "a.jsonl"
    reading.write(path, examples)
    found = reporting.report(model_class("classifier")(task), path, path)
    assert [(m.said, m.right) for m in found.mistakes] == [("a | b", "")] * 4
    assert found.mistakes[0].confidence == pytest.approx(torch.tensor(5.0).sigmoid().item() ** 2)


def test_a_regressors_mistakes_are_the_largest(tmp_path: Path) -> None:
    model, path = made("regressor", tmp_path)
    found = reporting.report(model, path)
    apart = [abs(float(m.said) - float(m.right)) for m in found.mistakes]
    assert apart == sorted(apart, reverse=True)


def test_of_a_crf_the_confidences_are_its_marginals(tmp_path: Path) -> None:
    examples = [
        TaggedTokens(tokens=("a", "b", "c"), tags=("B-X", "I-X", "O")),
        TaggedTokens(tokens=("d",), tags=("O",)),
    ]
    task = find("unrolled.tasks", "tagger", Task, "task").prepare(
        examples, hidden_size=4, word_size=3, characters="none"
    )
    assert task.options["decoder"] == "crf"
    path = tmp_path / "a.jsonl"
    reading.write(path, examples)
    found = reporting.report(model_class("tagger")(task), path, path).calibration
    assert found is not None
    assert found.measured == 4


def test_what_controls_a_screen_is_not_printed(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    reading.write(path, [LabelledText(text="a \x1b[2J film", label=label) for label in ("up", "down")])
    assert "\x1b" not in str(reporting.report(model, path, path))


def test_without_a_validation_file_there_is_no_temperature_and_it_says_so(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    found = reporting.report(model, path)
    assert found.calibration is None
    assert "name one with --validation" in found.absent["calibration"]


def test_labels_that_training_never_saw_are_counted_and_left_out_where_they_cannot_be(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    reading.write(path, [*examples_of("classifier")[0], LabelledText(text="a new one", label="sideways")])
    found = reporting.report(model, path, path)
    assert "sideways" in {m.right for m in found.mistakes}
    assert found.calibration is not None
    assert found.calibration.measured == 4
    reading.write(path, [LabelledText(text="a new one", label="sideways")])
    with pytest.raises(BadData, match="no example whose answer the model knows"):
        reporting.report(model, path, path)


def test_pictures_are_there_for_what_there_is(found: Report) -> None:
    pictures = found.to_pngs()
    assert "gradient_flow" in pictures
    assert ("confusion" in pictures) == (found.confusion is not None)
    assert all(content.startswith(PNG) for content in pictures.values())


def test_a_report_is_written_as_page_or_json(tmp_path: Path) -> None:
    model, path = made("classifier", tmp_path)
    found = reporting.report(model, path, path)
    found.save(tmp_path / "a.html")
    found.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == found.to_json()
    assert (tmp_path / "a.html").read_text() == found.to_html()
    with pytest.raises(BadOption, match=r"a\.pdf: a report is written as \.html or \.json"):
        found.save(tmp_path / "a.pdf")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page with")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_opens_in_a_browser_without_an_error_and_its_keys_hide_traces(width: int, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    model, path = made("tagger", tmp_path)
    reporting.report(model, path, path).save(tmp_path / "a.html")

    def told(page: Path) -> tuple[str, Sequence[str]]:
        command = [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr",
            "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=5000",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom", page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    dom, complaints = told(tmp_path / "a.html")
    assert complaints == []
    assert dom.count('class="main-svg"') > 4
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    clicked = """<script>
      const keys = [...document.querySelectorAll(".keys[data-plot=flow] button")];
      const seen = () => document.querySelectorAll("#plot-flow .scatterlayer .trace").length;
      const before = seen();
      keys[0].click();
      const after = seen();
      keys[0].click();
      document.title = [keys[0].ariaPressed, keys.length, before, after, seen()].join(" ");
    </script>"""
    open_to_scripts = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page, count=1)
    (tmp_path / "clicked.html").write_text(open_to_scripts + clicked, encoding="utf-8")
    dom, complaints = told(tmp_path / "clicked.html")
    assert complaints == []
    pressed, *counts = re.findall(r"<title>(.*?)</title>", dom)[0].split()
    keys, before, after, again = map(int, counts)
    assert (pressed, before, after, again) == ("true", 3 * keys, 3 * keys - 3, 3 * keys)
    (tmp_path / "bad.html").write_text("<script>console.error('heard')</script>")
    assert "heard" in told(tmp_path / "bad.html")[1][0]


@pytest.mark.parametrize("task", ["classifier", "tagger"])
def test_of_a_model_that_begins_with_a_language_model_it_says_what_is_not_told(task: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    examples, suffix = examples_of(task)
    lines = examples_of("language_model")[0][:4]
    below = find("unrolled.tasks", "language_model", Task, "task").prepare(lines, hidden_size=4, word_size=3)
    prepared = find("unrolled.tasks", task, Task, "task").prepare(examples, encoder=[below], layers=0, word_size=0)
    path = tmp_path / f"test{suffix}"
    reading.write(path, examples)
    found = reporting.report(model_class(task)(prepared), path, path)
    for section in ("memory", "saliency"):
        assert "reads a language model's vectors" in found.absent[section]
    assert {cell.partition(".models")[0] for cell, *_ in found.means} == {"reader.encoders"}
    assert "What is not here" in found.to_html()
