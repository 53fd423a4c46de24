"""The kill test: a training that is killed (`kill -9`) at random moments and resumed gives the same model.

    python benchmarks/kill_test.py [--kills 10] [--seed 1] [--data PATH] [--task tagger] [--set NAME=VALUE …]

First the command line trains undisturbed; then again, killed and resumed, and the weights' files are compared byte for
byte. One kill in five comes while the process starts and reads the data, the others in the training, at a moment drawn
between its beginning and twice a kill's share of it. A run that gets to its end before all kills are dealt is
compared, and another is begun. The last column is the step of the checkpoint that was on the disk after the kill.
Without `--data` sentences are made up. Exit code 1: a model differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from unrolled.data import reading
from unrolled.data.examples import TaggedTokens

SMALL = ("epochs=4", "hidden_size=16", "word_size=16", "characters=none", "averaging=exponential", "dropout=0.3")
CHECKPOINT = "checkpoints/now.safetensors"


class Kill(NamedTuple):
    """round: which run; moment: in words; step: of the checkpoint on the disk, None: there is none."""

    round: int
    moment: str
    step: int | None


class Outcome(NamedTuple):
    """The kills; the digest of the undisturbed model and those of the models of all rounds; seconds undisturbed."""

    kills: list[Kill]
    expected: str
    found: list[str]
    seconds: float


def make_up(folder: Path, sentences: int = 300) -> Path:
    """Sentences of made-up words, tagged by the word's number; a training and a validation split."""
    drawn = random.Random(1)
    for name, count in (("train", sentences), ("valid", sentences // 5)):
        rows = [[drawn.randrange(200) for _ in range(drawn.randint(3, 12))] for _ in range(count)]
        examples = [
            TaggedTokens(tokens=tuple(f"w{n}" for n in row), tags=tuple("ABC"[n % 3] for n in row)) for row in rows
        ]
        folder.mkdir(parents=True, exist_ok=True)
        reading.write(folder / f"{name}.conll", examples)
    return folder


def run(
    folder: Path, kills: int, seed: int, data: Path, task: str = "tagger", options: Sequence[str] = SMALL
) -> Outcome:
    """Train into `folder`/undisturbed, then into `folder`/round-1 and so on until all kills are dealt."""
    command = [sys.executable, "-m", "unrolled.cli", "train", task, "--data", str(data), "--json"]
    # Between two kills there must be time for a checkpoint, or the run would never get on.
    for option in ("checkpoint_seconds=0.2", *options):
        command += ["--set", option]
    undisturbed = _Process(command, folder / "undisturbed")
    starting = undisturbed.await_training()
    training = undisturbed.finish()
    drawn = random.Random(seed)
    dealt: list[Kill] = []
    found: list[str] = []
    while len(dealt) < kills or len(found) < dealt[-1].round:
        place = folder / f"round-{len(found) + 1}"
        process = _Process(command, place, resumed=place.exists())
        if len(dealt) < kills:
            early = drawn.random() < 0.2
            after = drawn.uniform(0, starting if early else 2 * training / kills)
            if not early:
                process.await_training()
            if process.killed(after):
                moment = f"{after:.2f} s after the {'process' if early else 'training'} began"
                dealt.append(Kill(len(found) + 1, moment, _step(place)))
                continue
        process.finish()
        found.append(_digest(place))
    return Outcome(dealt, _digest(folder / "undisturbed"), found, starting + training)


class _Process:
    """The command line at work. Its standard error goes into a file beside the output's folder."""

    def __init__(self, command: list[str], output: Path, resumed: bool = False) -> None:
        whole = [*command, "--output", str(output), *(["--resume"] if resumed else [])]
        self.said = output.with_suffix(".stderr")
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=said)

    def await_training(self) -> float:
        """Wait until the plan is printed, or the process has ended; returns how long that took."""
        began = time.perf_counter()
        while not self.said.stat().st_size and self.process.poll() is None:
            time.sleep(0.005)
        return time.perf_counter() - began

    def killed(self, after: float) -> bool:
        """Kill the process after so many seconds; False where it came to its end before."""
        try:
            self.process.wait(after)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait() < 0
        return False

    def finish(self) -> float:
        """Wait for the end; returns how long that took."""
        began = time.perf_counter()
        code, said = self.process.wait(), self.said.read_text(encoding="utf-8")
        # (Killed after the model was complete: then a resumed run is refused, and that is well.)
        if code and "there is nothing to resume" not in said:
            raise SystemExit(f"exit code {code}: {said}")
        return time.perf_counter() - began


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def _step(folder: Path) -> int | None:
    try:
        with safe_open(str(folder / CHECKPOINT), framework="pt") as file:
            return int(json.loads(file.metadata()["counters"])["step"])
    except (OSError, SafetensorError):
        return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--task", default="tagger")
    parser.add_argument("--set", dest="options", action="append", metavar="NAME=VALUE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        data = asked.data or make_up(Path(name) / "data")
        done = run(Path(name), asked.kills, asked.seed, data, asked.task, asked.options or SMALL)
    print(f"Command: `python benchmarks/kill_test.py {shlex.join(sys.argv[1:])}`; undisturbed: {done.seconds:.1f} s.\n")
    print("| kill | run | moment | step of the checkpoint |\n|---|---|---|---|")
    for number, kill in enumerate(done.kills, start=1):
        print(f"| {number} | {kill.round} | {kill.moment} | {'none' if kill.step is None else kill.step} |")
    print(f"\nundisturbed: model.safetensors sha256 {done.expected}")
    for number, digest in enumerate(done.found, start=1):
        verdict = "same" if digest == done.expected else "DIFFERENT"
        print(f"run {number}:       model.safetensors sha256 {digest} {verdict}")
    return int(any(digest != done.expected for digest in done.found))


if __name__ == "__main__":
    sys.exit(main())
