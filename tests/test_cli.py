"""The command line from end to end: what goes in, what comes out. What users do wrong is in `test_bad_input`."""

from __future__ import annotations

import importlib.util
import io
import json
import lzma
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from unrolled import api, bundle, cli
from unrolled.errors import CannotWrite, NotFinite

ROOT = Path(__file__).resolve().parent.parent
TINY = [f"--set={o}" for o in ("hidden_size=4", "word_size=4", "epochs=2", "checks=2", "characters=none")]
LEXICON = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "sees": "VERB", "barks": "VERB"}
SENTENCES = [f"{a} {b} {c}" for a in ("the", "a") for b in ("dog", "cat") for c in ("sees", "barks")] * 3
TEXTS = [(f"a {('fine', 'dull')[k % 2]} film , number {k}", ("pos", "neg")[k % 2]) for k in range(24)]

Seen = tuple[int, str, str]
Run = Callable[..., Seen]


def tagged(text: str) -> list[tuple[str, str]]:
    return [(token, LEXICON[token]) for token in text.split()]


def as_conllu(text: str) -> str:
    rows = ["\t".join([str(n), token, "_", tag, *"______"]) for n, (token, tag) in enumerate(tagged(text), 1)]
    return "# a comment\n" + "\n".join(rows) + "\n\n"


FILES: dict[str, tuple[str, str]] = {
    "texts.tsv": ("classifier", "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in TEXTS)),
    "texts.csv": ("classifier", "id,label,text\n" + "".join(f'7,{label},"{text}"\n' for text, label in TEXTS)),
    "texts.jsonl": ("classifier", "".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in TEXTS)),
    "tags.tsv": (
        "tagger",
        "tokens\ttags\n" + "".join(f"{t}\t{' '.join(tag for _, tag in tagged(t))}\n" for t in SENTENCES),
    ),
    "tags.csv": (
        "tagger",
        "tokens,tags\n" + "".join(f"{t},{' '.join(tag for _, tag in tagged(t))}\n" for t in SENTENCES),
    ),
    "tags.jsonl": (
        "tagger",
        "".join(json.dumps({"tokens": t.split(), "tags": [g for _, g in tagged(t)]}) + "\n" for t in SENTENCES),
    ),
    "tags.conllu": ("tagger", "".join(map(as_conllu, SENTENCES))),
    "tags.conll": (
        "tagger",
        "".join("".join(f"{token} {tag}\n" for token, tag in tagged(t)) + "\n" for t in SENTENCES),
    ),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: exit code, standard output, standard error."""

    def command(*words: str | Path, given: str | bytes = "") -> Seen:
        raw = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "argv", ["unrolled", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="ascii", errors="strict"))
        with pytest.raises(SystemExit) as end:
            cli.main()
        seen = capsys.readouterr()
        return int(end.value.code or 0), seen.out, seen.err

    return command


def well(seen: Seen) -> str:
    code, out, told = seen
    assert code == 0, told
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small model of each task, and the files in every format."""
    folder = tmp_path_factory.mktemp("trained")
    for name, (_, text) in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    found = {"files": folder}
    for task, data in (("classifier", "texts.tsv"), ("tagger", "tags.conllu")):
        options = dict(word.removeprefix("--set=").split("=") for word in TINY)
        model = api.model_class(task).train(folder / data, output=folder / task, **options)
        assert model.predict("a dog")
        found[task] = folder / task
    return found


# ---------------------------------------------------------------------------------------------- end to end


@pytest.mark.parametrize("name", FILES)
def test_from_a_file_to_a_model_to_figures_to_predictions_in_the_same_format(
    run: Run, tmp_path: Path, name: str
) -> None:
    task, text = FILES[name]
    data, model = tmp_path / name, tmp_path / "model"
    data.write_text(text, encoding="utf-8")
    code, out, told = run("train", task, "--data", data, "--output", model, *TINY)
    assert code == 0, told
    assert f"training a {task} on " in told
    assert str(model) in out
    assert "held out:" in out
    figures = json.loads(well(run("evaluate", model, "--data", data, "--json")))
    assert (figures["task"], figures["examples"]) == (task, 24)
    printed = well(run("predict", model, data))
    again = tmp_path / f"again{data.suffix}"
    again.write_text(printed, encoding="utf-8")
    assert json.loads(well(run("evaluate", model, "--data", again, "--json")))["metrics"]["accuracy"] == 1.0
    assert well(run("predict", model, data, "--output", again)) == ""
    assert again.read_text(encoding="utf-8") == printed
    if name == "tags.conllu":
        assert printed.count("# a comment\n") == 24
        assert re.search(r"^1\tthe\t_\t[A-Z]+\t_\t_\t_\t_\t_\tConfidence=[01]\.\d{4}$", printed, re.M)
    if name == "texts.csv":
        assert printed.startswith("id,label,text,confidence\n7,")


def test_compressed_files_go_in_and_out(run: Run, trained: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "new.tsv.xz").write_bytes(lzma.compress(FILES["texts.tsv"][1].encode()))
    well(run("predict", trained["classifier"], tmp_path / "new.tsv.xz", "--output", tmp_path / "out.tsv.xz"))
    printed = well(run("predict", trained["classifier"], trained["files"] / "texts.tsv"))
    assert lzma.decompress((tmp_path / "out.tsv.xz").read_bytes()).decode() == printed
    assert well(run("predict", trained["classifier"], tmp_path / "new.tsv.xz")) == printed


def test_a_folder_with_splits_gets_the_hint_to_evaluate(run: Run, tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.tsv").write_text(FILES["texts.tsv"][1])
    out = well(run("train", "classifier", "--data", tmp_path, "--output", tmp_path / "a model", *TINY))
    last = [line[line.index("unrolled ") :] for line in out.splitlines() if "unrolled " in line]
    assert last == [
        f"unrolled evaluate '{tmp_path}/a model' --data {tmp_path}",
        f"unrolled predict '{tmp_path}/a model' FILE",
    ]
    assert well(run("evaluate", tmp_path / "a model", "--data", tmp_path)).startswith("examples ")


def test_a_model_goes_to_runs_under_the_name_of_its_data(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "train.tsv").write_text(FILES["texts.tsv"][1])
    monkeypatch.chdir(tmp_path / "here")
    told = json.loads(well(run("train", "classifier", "--data", ".", "--json", *TINY)))
    assert told["folder"] == "runs/classifier-here"
    assert set(told) >= {"folder", "validation", "seconds"}
    assert "test" not in told


def test_a_finished_recipe_is_trained_again(run: Run, trained: dict[str, Path], tmp_path: Path) -> None:
    recipe = trained["classifier"] / "training.toml"
    told = json.loads(well(run("train", "--recipe", recipe, "--output", tmp_path / "again", "--json")))
    assert set(told) >= {"folder", "validation", "test", "seconds"}
    weights = (trained["classifier"] / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == weights
    code, _, said = run("train", "tagger", "--recipe", recipe)
    assert (code, said) == (
        2,
        "unrolled: the recipe says the task and its options; give either it, or TASK and --set\n",
    )


def test_nothing_to_train_on_says_how_to_say_it(run: Run) -> None:
    assert run("train") == (
        2,
        "",
        "unrolled: train what, on what? unrolled train TASK --data PATH, or --recipe FILE\n",
    )


# ---------------------------------------------------------------------------------------------- predict


def test_standard_input_is_plain_text(run: Run, trained: dict[str, Path]) -> None:
    for words in ([], ["-"]):
        lines = well(run("predict", trained["classifier"], *words, given="a fine film\n\nein schöner Film\n"))
        labels = [line.split("\t") for line in lines.splitlines()]
        assert [row[1:] for row in labels] == [["a fine film"], [], ["ein schöner Film"]]
        assert {row[0] for row in labels} <= {"pos", "neg", ""}
    tags = well(run("predict", trained["tagger"], given="the dog barks"))
    assert re.fullmatch(r"the/[A-Z]+ dog/[A-Z]+ barks/[A-Z]+\n", tags)


def test_standard_input_can_have_another_format(run: Run, trained: dict[str, Path]) -> None:
    out = well(
        run("predict", trained["classifier"], "--set", "format=jsonl", given='{"text": "a fine film", "id": 7}\n')
    )
    assert json.loads(out)["id"] == 7


def test_json_lines_are_printed_for_any_format(run: Run, trained: dict[str, Path]) -> None:
    for given in ("-", trained["files"] / "tags.conllu"):
        out = well(run("predict", trained["tagger"], given, "--json", given="the dog\n"))
        first = json.loads(out.splitlines()[0])
        assert len(first["tokens"]) == len(first["tags"]) == len(first["confidence"])


def test_bytes_that_are_no_text_are_named_by_line(run: Run, trained: dict[str, Path]) -> None:
    code, out, told = run("predict", trained["classifier"], given=b"a film\ncaf\xe9\n")
    assert (code, out) == (2, "")
    assert told == "unrolled: standard input:2: not UTF-8: byte 0xe9 at position 4\n"


def test_an_output_is_refused_before_the_work(run: Run, trained: dict[str, Path], tmp_path: Path) -> None:
    data = trained["files"] / "texts.tsv"
    code, _, told = run("predict", trained["classifier"], data, "--output", tmp_path / "o.xyz")
    assert code == 2
    assert "unknown file suffix '.xyz'" in told
    code, _, told = run("predict", trained["classifier"], data, "--output", tmp_path / "none" / "o.tsv")
    assert (code, told) == (
        2,
        f"unrolled: cannot write {tmp_path}/none/o.tsv: there is no folder {tmp_path}/none\n",
    )
    code, _, told = run("predict", trained["classifier"], data, "--output", trained["classifier"])
    assert code == 2


def test_a_column_that_is_not_there_says_how_to_name_it(run: Run, trained: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("sentence\na film\n")
    code, _, told = run("predict", trained["classifier"], tmp_path / "x.tsv")
    assert (code, told) == (
        2,
        f"unrolled: {tmp_path}/x.tsv: unknown column 'text'; there are: sentence\n"
        "          Name the column that holds it: --set text=COLUMN\n",
    )
    out = well(run("predict", trained["classifier"], tmp_path / "x.tsv", "--set", "text=sentence"))
    assert out.startswith("sentence\tlabel\tconfidence\na film\t")


# ---------------------------------------------------------------------------------------------- evaluate, check, info


def test_figures_stand_in_columns(run: Run, trained: dict[str, Path]) -> None:
    out = well(run("evaluate", trained["classifier"], "--data", trained["files"] / "texts.tsv"))
    assert re.match(r"examples +24\naccuracy +[01]\.\d{4}\nmacro_f1 +[01]\.\d{4}\nmatthews +", out)
    assert len({len(line) for line in out.splitlines()}) == 1


def test_a_check_prints_every_law(run: Run, trained: dict[str, Path]) -> None:
    data = trained["files"] / "texts.tsv"
    lines = well(run("check", trained["classifier"], "--data", data, "--examples", "8")).splitlines()
    assert len(lines) == 6
    assert all(line.startswith(("holds  ", "–      ")) for line in lines)
    told = json.loads(well(run("check", trained["classifier"], "--data", data, "--examples", "8", "--json")))
    assert [set(verdict) for verdict in told] == [{"law", "holds", "found"}] * 6


def test_a_check_that_fails_is_exit_code_1(run: Run, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = api.Verdict("a law", False, "it does not hold")
    monkeypatch.setattr(api, "check", lambda *_, **__: iter([broken]))
    code, out, _ = run("check", trained["classifier"], "--data", "x")
    assert (code, out) == (1, "FAILS  a law: it does not hold\n")


def test_a_model_says_what_it_is(run: Run, trained: dict[str, Path]) -> None:
    out = well(run("info", trained["tagger"]))
    for words in (
        r"^task +tagger$",
        r"^weights +[\d,]+$",
        r"^  tags +3$",
        r"^  hidden_size +4$",
        r"^  cell_options +none$",
    ):
        assert re.search(words, out, re.M), words
    assert "{" not in out
    assert "None" not in out
    told = json.loads(well(run("info", trained["tagger"], "--json")))
    assert told["vocabularies"]["tags"] == 3


def test_a_task_says_its_options(run: Run) -> None:
    out = well(run("info", "tagger"))
    assert re.search(r"^  cell +lstm +a name in `unrolled list cells`$", out, re.M)
    assert re.search(r"^  learning_rate +\S+ +float$", out, re.M)
    assert "None" not in out
    told = json.loads(well(run("info", "tagger", "--json")))
    assert set(told) == {"model", "training", "reading"}
    assert told["model"]["cell"]["default"] == "lstm"
    code, _, said = run("info", "tager")
    assert (code, said) == (2, "unrolled: unknown model folder or task 'tager'; did you mean 'tagger'?\n")


def test_what_there_is_is_listed_with_a_sentence_each(run: Run) -> None:
    out = well(run("list", "cells"))
    assert re.search(r"^lstm +Long short-term memory", out, re.M)
    assert "lstm" in json.loads(well(run("list", "cells", "--json")))["cells"]


# ---------------------------------------------------------------------------------------------- help, exit codes


COMMANDS = [command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback]


def test_the_commands_are_these() -> None:
    assert " ".join(COMMANDS) == "train evaluate predict generate stream compare info list check doctor demo"
    assert [group.name for group in cli.app.registered_groups] == ["inspect", "make"]
    inside = "attention gradients gates saliency memory predictions report adding copy pixels"
    every = [*cli.inspect.registered_commands, *cli.make.registered_commands]
    assert " ".join(str(command.name) for command in every) == inside


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help(run: Run, command: str) -> None:
    out = well(run(*command.split(), "--help"))
    assert out.startswith("Usage: ")
    assert "..." not in out.split("Commands:")[-1] or not command, "a sentence is too long for the list"
    for line in out.splitlines():
        assert len(line) <= 80


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    code, out, told = run()
    assert code == 2
    assert "Commands:" in out + told


def test_the_version_is_printed(run: Run) -> None:
    assert well(run("--version")).startswith("unrolled 0.")


def test_the_page_of_help_is_what_the_commands_say() -> None:
    pinned = re.search(r"^typer==([\d.]+)(?:; python_version >= .*)?$", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned is not None
    if pinned[1] != typer.__version__:
        pytest.skip(f"typer {typer.__version__} lays help out in its own way; the page is made with {pinned[1]}")
    spec = importlib.util.spec_from_file_location("help", ROOT / "docs" / "help.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), "docs/help.md is stale: make docs"


def test_what_the_command_line_itself_does_not_understand_is_exit_code_2(run: Run) -> None:
    for words, told in (
        (["trian"], "Did you mean 'train'?"),
        (["train", "--dta", "x"], "No such option: --dta"),
        (["evaluate", "model"], "Missing option '--data'"),
        (["train", "tagger", "--data", "x", "--minutes", "abc"], "Invalid value for '--minutes'"),
        (["train", "tagger", "--data", "x", "--set", "layers"], "--set takes name=value, not 'layers'"),
        (["check", "model", "--data", "x", "--examples", "0"], "Invalid value for '--examples'"),
    ):
        code, out, said = run(*words)
        assert (code, out) == (2, "")
        assert told in said


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (NotFinite("the loss is not finite"), 1, "unrolled: the loss is not finite\n"),
        (CannotWrite("no room\nat all"), 2, "unrolled: no room\n          at all\n"),
        (KeyboardInterrupt(), 130, "unrolled: interrupted; the same command with --resume goes on\n"),
    ],
)
def test_what_happens_becomes_one_message_and_an_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api, "train", fail)
    assert run("train", "tagger", "--data", "x", "--output", "never") == (code, "", told)


def test_an_interrupted_training_is_resumed_by_its_folder_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts.tsv").write_text(FILES["texts.tsv"][1])
    options = ["train", "classifier", "--data", tmp_path / "texts.tsv", *TINY]
    well(run(*options, "--output", tmp_path / "whole"))
    real, saved = api.write_whole, []

    def interrupted(path: Path, content: bytes) -> None:
        real(path, content)
        saved.append(path.name)
        if saved.count("history.csv") == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(api, "write_whole", interrupted)
        assert run(*options, "--output", tmp_path / "parts")[0] == 130
    code, _, told = run("train", "--resume", "--output", tmp_path / "parts")
    assert code == 0, told
    a, b = (bundle.load(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(a[key].equal(b[key]) for key in a)
