"""What people see while it works: on a terminal, through a pipe, and when they have seen enough."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from unrolled import console, console_training
from unrolled.errors import BadOption
from unrolled.inspection.attention import of
from unrolled.training.events import Check, Planned, Prepared, Step

COMMAND = [sys.executable, "-m", "unrolled.cli"]
TINY = [f"--set={o}" for o in ("hidden_size=4", "word_size=4", "characters=none", "checks=3", "batch_rows=4")]
FULL = "unrolled: cannot write to standard output: No space left on device\n"
POSIX = pytest.mark.skipif(os.name != "posix", reason="terminals and signals of POSIX")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [f"a {('fine', 'dull')[k % 2]} film number {k}\t{('pos', 'neg')[k % 2]}\n" for k in range(60)]
    (tmp_path / "texts.tsv").write_text("text\tlabel\n" + "".join(rows))
    return tmp_path / "texts.tsv"


# ---------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (36_061, "10:01:01")]
)
def test_a_time_is_shown_as_on_a_clock(seconds: float, words: str) -> None:
    assert console_training._clock(seconds) == words


def step(number: int, *, loss: float, seconds: float) -> Step:
    return Step(number, number / 10, number / 10, loss, 1.0, 0.1, 5, 50, seconds)


def test_loss_speed_and_time_left_by_hand() -> None:
    pace = console_training._Pace()
    assert pace.words(step(1, loss=2.0, seconds=10.0)) == "loss 2.000"
    # One step of 5 examples in 2 seconds; a tenth of the plan took 2 seconds, so the other eight take 16.
    assert pace.words(step(2, loss=1.0, seconds=12.0)) == "loss 1.950 · 2 examples/s · 0:16 left"


def test_a_plan_and_a_check_are_one_line_each() -> None:
    from unrolled.recipe import build

    plan = Planned(epochs=2.5, steps=1000, examples=1, elements=12345, seconds=61, done=20)
    assert console_training._planned(plan, build("tagger", "x")) == (
        "training a tagger on 1 example of 12,345 elements: 2.5 epochs, 1,000 steps, about 1:01; "
        "20 steps are done already"
    )
    check = Check(10, 1.0, 0.4, 0.5, {"accuracy": 0.75, "f1": 0.5}, True, 65.0)
    assert console_training._check(check) == (
        "   1:05  epoch   1.0  loss 0.500  accuracy 0.7500  f1 0.5000  [green]best[/green]"
    )


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (Planned(6.0, 60, 9, 9, 60.0, 10, before=((10, 50.0),)), "slower: 6.0 epochs are planned now, 60 steps in all"),
        (Planned(9.0, 90, 9, 9, 60.0, 20, before=((10, 50.0), (20, 6.0))), "quicker: 9.0 epochs are planned now"),
        (Planned(2.5, 25, 9, 9, 60.0, 25, before=((25, 3.0),)), "the time is over after 2.5 epochs"),
    ],
)
def test_another_plan_is_told(plan: Planned, words: str) -> None:
    assert words in console_training._replanned(plan)


def test_what_is_prepared_moves_the_bar_and_the_plan_puts_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from unrolled.api import Finished
    from unrolled.recipe import build

    told: list[tuple[float | None, str | None]] = []

    class Bar(console_training.Progress):
        def update(self, *given: Any, completed: float | None = None, description: str | None = None) -> None:
            told.append((completed, description))

    monkeypatch.setattr(console_training, "Progress", Bar)
    plan = Planned(epochs=1, steps=10, examples=2000, elements=9, seconds=None)
    end = Finished(None, 2000, {}, None, 1.0, None)
    events = iter([Prepared(500, 2000), Prepared(2000, 2000), plan, end])
    assert console_training.show_training(events, build("language_model", "x")) is end
    assert told == [
        (0.25, "preparing 500 of 2,000 examples"),
        (1.0, "preparing 2,000 of 2,000 examples"),
        (0.0, "training"),
    ]


def test_what_takes_its_time_is_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(console_training.time, "monotonic", lambda: next(clock))
    assert list(console_training.counted("abc", 3, "letter")) == ["a", "b", "c"]
    # Each takes 2 seconds.
    assert capsys.readouterr() == (
        "",
        "1 of 3 letters · 0:04 left\n2 of 3 letters · 0:02 left\n3 of 3 letters · 0:00 left\n",
    )
    assert sum(console_training.counted(range(200), 200, "number")) == 19_900
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == [f"{20 * k}" for k in range(1, 11)]


# ---------------------------------------------------------------------------------------------- a terminal


class Screen:
    """So much of a terminal as a progress bar needs: what stands on it in the end."""

    def __init__(self) -> None:
        self.lines, self.row, self.column, self.cursor = [""], 0, 0, True

    def feed(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[^\x1b]|\x1b", text):
            if piece.startswith("\x1b["):
                self._escape(piece[2:-1], piece[-1])
            elif piece == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif piece == "\r":
                self.column = 0
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + piece + line[self.column + 1 :]
                self.column += 1

    def _escape(self, argument: str, kind: str) -> None:
        if kind in "lh":
            assert argument == "?25"
            self.cursor = kind == "h"
        elif kind == "A":
            self.row -= int(argument or 1)
        elif kind == "K":
            assert argument == "2"
            self.lines[self.row] = ""
        else:
            assert kind == "m", f"an escape sequence that is not known here: {argument}{kind}"


def on_a_terminal(words: list[str], columns: int) -> tuple[str, int]:
    """All that a command writes to a terminal of that width, and its exit code."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}, close_fds=True
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                ready = select.select([ours], [], [], 60)[0]
                piece = os.read(ours, 65536) if ready else b""
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            written += piece
    os.close(ours)
    return written.decode(), process.returncode


@POSIX
def test_on_a_terminal_a_bar_shows_the_way_and_leaves_no_debris(data: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", "classifier", "--data", str(data), "--output", str(tmp_path / "m"), *TINY]
    written, code = on_a_terminal([*words, "--set=epochs=20"], 79)
    assert code == 0, written
    assert "reading the data" in written
    assert re.search(r"\d+%", written)
    assert re.search(r"loss \d\.\d{3} · [\d,]+ examples/s · \d+:\d\d left", written), (
        "the figures do not fit 79 columns"
    )
    screen = Screen()
    screen.feed(written)
    assert screen.cursor, "the cursor is still hidden"
    lines = [line.rstrip() for line in screen.lines]
    assert lines[0].startswith("training a classifier on 48 examples of ")
    checks = [line for line in lines if re.match(r" +\d+:\d\d  epoch ", line)]
    assert len(checks) == 20
    assert not any(re.search("━|╸|%|left", line) for line in lines), "something of the bar is left"
    assert lines[1 + len(checks)].startswith("model    ")
    assert "" not in lines[:-1]


@POSIX
def test_a_narrow_terminal_does_not_break_the_lines_of_the_bar(data: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", "classifier", "--data", str(data), "--output", str(tmp_path / "m"), *TINY]
    written, code = on_a_terminal([*words, "--set=epochs=5"], 40)
    assert code == 0, written
    screen = Screen()
    screen.feed(written)
    assert not any(re.search("━|╸|%|left", line) for line in screen.lines)


# ---------------------------------------------------------------------------------------------- pipes and signals


@POSIX
def test_through_pipes_no_escape_sequence_is_written(data: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", "classifier", "--data", str(data), "--output", str(tmp_path / "m"), *TINY]
    ran = subprocess.run([*words, "--set=epochs=2"], capture_output=True, text=True, check=True)
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "Warning" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1 + 3
    # Who reads the output has seen enough after one line.
    data.write_text(data.read_text() + "a film\tpos\n" * 8_000)
    with subprocess.Popen(
        [*COMMAND, "predict", str(tmp_path / "m"), str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "text\tlabel\tconfidence\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def onto_a_full_disk(*words: str, **environment: str) -> tuple[int, str]:
    """A command's exit code and standard error."""
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [*COMMAND, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
    return ran.returncode, ran.stderr


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_standard_output_is_one_message(data: Path, tmp_path: Path, unbuffered: str) -> None:
    from unrolled import Classifier

    model, found = str(tmp_path / "m"), str(tmp_path / "found.tsv")
    Classifier.train(data, output=model, **dict(word[6:].split("=") for word in TINY), epochs=1)
    for words in (["predict", model, str(data)], ["evaluate", model, "--data", str(data)], ["info", model, "--json"]):
        told = onto_a_full_disk(*words, PYTHONUNBUFFERED=unbuffered)
        assert (words[0], *told) == (words[0], 2, FULL)
    code, told = onto_a_full_disk("predict", model, str(data), "--output", found, PYTHONUNBUFFERED=unbuffered)
    assert (code, told) == (0, f"60 predictions written to {found}\n")  # nothing was to be printed


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("list", "cells"), ("info", "tagger"), ("--version",), ("--help",)])
def test_what_only_tells_says_of_a_full_disk_the_same(words: tuple[str, ...]) -> None:
    assert onto_a_full_disk(*words, PYTHONUNBUFFERED="") == (2, FULL)


@POSIX
def test_without_a_standard_output_nothing_goes_wrong() -> None:
    words = shlex.join([*COMMAND, "list", "cells"])
    ran = subprocess.run(["sh", "-c", f"{words} >&-"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@POSIX
def test_ctrl_c_ends_a_training_with_a_word_and_it_can_be_resumed(data: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "train", "classifier", "--data", str(data), "--output", str(tmp_path / "m"), *TINY]
    with subprocess.Popen(
        [*words, "--set=epochs=100000"],
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stderr is not None
        seen = [process.stderr.readline() for _ in range(3)]
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130, seen
    assert told.endswith("unrolled: interrupted; the same command with --resume goes on\n")
    assert "Traceback" not in told
    assert (tmp_path / "m" / "checkpoints" / "now.safetensors").exists()


# ---------------------------------------------------------------------------------------------- attention


def test_attention_is_printed_and_written_where_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = of([(["dog"], ["hund"], [[1]])])
    page, png = tmp_path / "[a].html", tmp_path / "a.png"
    console.print_attention(report, page, png, as_json=False)
    seen = capsys.readouterr()
    assert seen.out == f"{report}\n"
    assert seen.err == f"the page is in {page}\nthe picture is in {png}\n"
    assert page.read_text() == report.to_html()
    assert png.read_bytes() == report.to_png()
    console.print_attention(report, None, None, as_json=True)
    assert json.loads(capsys.readouterr().out) == report.to_json()


def test_attention_is_not_written_under_a_name_that_misleads(tmp_path: Path) -> None:
    report = of([(["dog"], ["hund"], [[1]])])
    with pytest.raises(BadOption, match=r"a\.html must end in \.png"):
        console.print_attention(report, tmp_path / "b.html", tmp_path / "a.html", as_json=False)
    with pytest.raises(BadOption, match=r"a\.png must end in \.html"):
        console.print_attention(report, tmp_path / "a.png", None, as_json=False)
    assert not list(tmp_path.iterdir())
