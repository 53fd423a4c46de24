"""What users do wrong: each gets one clear message, exit code 2, and nothing is half written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unrolled.cli import main
from unrolled.data.examples import Pair

TINY = ["--set", "hidden_size=4", "--set", "word_size=4", "--set", "epochs=1", "--set", "characters=none"]
TEXTS = "".join(f"{'good' if k % 2 else 'bad'}\ttext number {k} is {'fine' if k % 2 else 'dull'}\n" for k in range(40))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command line in this process: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unrolled", *words])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return command


@pytest.fixture
def model(run: Run, tmp_path: Path) -> Path:
    """A small trained classifier."""
    (tmp_path / "good.tsv").write_text("label\ttext\n" + TEXTS)
    code, _, told = run("train", "classifier", "--data", "good.tsv", "--output", "model", *TINY)
    assert code == 0, told
    return tmp_path / "model"


def refused(run: Run, *words: str) -> str:
    """The one message with which a command is refused; the traceback of a mistake of ours would be in it."""
    code, out, told = run(*words)
    assert code == 2, told
    assert out == ""
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.tsv", b"", "empty.tsv: the file is empty"),
        ("columns.tsv", b"lable\ttext\nx\ta b\n", "unknown column 'label'; did you mean 'lable'?"),
        ("short.tsv", b"label\ttext\nx\ta b\nx\n", "short.tsv:3: 1 column where the header has 2"),
        ("bytes.tsv", b"label\ttext\nx\ta b\nx\tca\xff\xfe\n", "bytes.tsv:3: not UTF-8: byte 0xff"),
        (
            "nothing.tsv",
            f"label\ttext\n{TEXTS}good\t \n".encode(),
            "nothing.tsv:42: an empty text: ' ' has no words in it",
        ),
    ],
)
def test_a_bad_file_is_refused_by_name_and_line(
    run: Run, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refused(run, "train", "classifier", "--data", name, "--output", "out", *TINY)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ({"en": "a\nb\n", "de": "x\n"}, ["source=en", "target=de"], "train.de:1: the file ends here, and train.en has"),
        ({"en": "a\n\n", "de": "x\ny\n"}, ["source=en", "target=de"], "train.en:2: an empty line, where train.de has"),
        ({"en": "a\n", "de": "x\n"}, ["source=en", "target=fr"], "train: unknown language 'fr'; there are: de, en"),
        ({"en": "a\n"}, ["source=en", "target=de"], "train.en: it has no counterpart: there is no train.de"),
        (
            {"en": "a\n", "de": "x\n"},
            [],
            "train: parallel text in de, en: say which is the source and which the target",
        ),
        ({"en": "a\n", "de": "x\n"}, ["sorce=en"], "unknown option 'sorce'; did you mean 'source'?"),
        ({"tsv": "word\tphones\na\tb\n"}, ["target=phones"], "Name the column that holds it: --set source=COLUMN"),
    ],
)
def test_pairs_that_do_not_go_together_are_refused_by_name_and_line(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    texts: dict[str, str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.setattr("unrolled.tasks.classifier.Classifier.example", Pair)  # any task that reads pairs
    monkeypatch.setattr("unrolled.tasks.classifier.Classifier.reads", ())
    (tmp_path / "pairs").mkdir()
    for ending, text in texts.items():
        (tmp_path / "pairs" / f"train.{ending}").write_text(text)
    given = [word for option in options for word in ("--set", option)]
    told = refused(run, "train", "classifier", "--data", "pairs", "--output", "out", *TINY, *given)
    assert message in told
    assert not (tmp_path / "out").exists()


def test_a_token_without_a_tag_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tags.conll").write_text("a DET\ndog NOUN\n\nit\n\n")
    told = refused(run, "train", "tagger", "--data", "tags.conll", "--output", "out", *TINY)
    assert "tags.conll:4: " in told
    assert "a token without a tag" in told
    assert not (tmp_path / "out").exists()


def test_a_label_that_training_never_saw_is_refused_or_counted(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "other.tsv").write_text("label\ttext\ngood\tfine text\ngoood\tfine text\n")
    told = refused(run, "evaluate", "model", "--data", "other.tsv")
    assert "other.tsv:3: unknown label 'goood'; did you mean 'good'?" in told
    code, out, _ = run("evaluate", "model", "--data", "other.tsv", "--unseen", "count", "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["accuracy"] in (0.0, 0.5)


def test_a_text_of_a_hundred_thousand_words_works(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("fine dull " * 50_000 + "\n")
    code, out, told = run("predict", "model", "long.txt")
    assert code == 0, told
    assert out.split("\t")[0] in ("good", "bad")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocabulary.words.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_a_damaged_model_folder_is_refused(run: Run, model: Path, name: str, damage: str) -> None:
    path = model / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    assert name in refused(run, "predict", "model", "good.tsv")


def test_a_model_of_a_newer_format_version_is_refused(run: Run, model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "format": 99}))
    assert "format version 99" in refused(run, "info", "model")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "clasifier", "--data", "good.tsv"], "unknown task 'clasifier'; did you mean 'classifier'?"),
        (["train", "classifier", "--data", "good.tsv", "--set", "cell=lstn"], "unknown cell 'lstn'"),
        (["train", "classifier", "--data", "good.tsv", "--set", "hiden_size=3"], "did you mean 'hidden_size'?"),
        (["train", "classifier", "--data", "good.tsv", "--set", "epochs=many"], "option 'epochs' takes"),
        (["train", "classifier", "--data", "nowhere.tsv"], "nowhere.tsv"),
        (["list", "cels"], "did you mean 'cells'?"),
    ],
)
def test_a_wrong_name_is_refused_and_the_nearest_one_offered(
    run: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "good.tsv").write_text("label\ttext\n" + TEXTS)
    more = ["--output", "out"] if words[0] == "train" else []
    assert message in refused(run, *words, *more)
    assert not (tmp_path / "out").exists()


def test_a_model_is_not_overwritten_unasked(run: Run, model: Path) -> None:
    before = (model / "model.safetensors").read_bytes()
    told = refused(run, "train", "classifier", "--data", "good.tsv", "--output", "model", *TINY)
    assert "already holds a model" in told
    assert (model / "model.safetensors").read_bytes() == before


def test_an_output_that_is_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.tsv").write_text("label\ttext\n" + TEXTS)
    told = refused(run, "train", "classifier", "--data", "good.tsv", "--output", "good.tsv/model", *TINY)
    assert "is a file, not a folder" in told


def test_two_runs_cannot_write_into_one_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.tsv").write_text("label\ttext\n" + TEXTS)
    (tmp_path / "out").mkdir()
    hold = (
        "import filelock, sys\n"
        "with filelock.FileLock('out/.lock'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        told = refused(run, "train", "classifier", "--data", "good.tsv", "--output", "out", *TINY)
        assert "another run is writing into out" in told
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="the limit on a file's size is that of POSIX")
def test_on_a_full_disk_the_previous_model_survives(model: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    # A limit on the size of a file stands in for a full disk: the system call that writes fails halfway.
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from unrolled.api import load\n"
        "model = load('model')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))\n"
        "from unrolled.errors import CannotWrite\n"
        "try:\n"
        "    model.save_pretrained('model')\n"
        "except CannotWrite as error:\n"
        "    sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", limited], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "what was there is unchanged" in done.stderr
    assert {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()} == before
    assert not (model / ".staged").exists()


def test_a_planted_pickle_is_never_opened(run: Run, model: Path, tmp_path: Path) -> None:
    planted = b"cos\nsystem\n(S'touch opened'\ntR."
    (model / "pytorch_model.bin").write_bytes(planted)
    assert run("predict", "model", "good.tsv")[0] == 0
    (model / "model.safetensors").write_bytes(planted)
    assert "model.safetensors" in refused(run, "predict", "model", "good.tsv")
    assert not (tmp_path / "opened").exists()
