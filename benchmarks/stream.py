"""`unrolled stream` over many elements: does its memory grow, and how long does an answer take?

    python benchmarks/stream.py [--elements 10000000] [--hidden 128] [--looks 10]

A model of characters is made (not trained: that changes nothing here), and the command is run on it as anyone would,
its answers thrown away. It reads text without end made of random words, in lines and without. Its resident memory is
looked at while it reads, in equal steps.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from speed import machine, row, table

from unrolled import LanguageModel
from unrolled.data.examples import Passage
from unrolled.model import model_class
from unrolled.tasks.language_model import LanguageModel as Task

LETTERS = "abcdefghijklmnopqrstuvwxyz ,.'"
CHUNK = 1 << 14


def model(folder: Path, hidden: int) -> None:
    torch.manual_seed(1)
    sizes = {"hidden_size": hidden, "word_size": hidden, "layers": 1}
    task = Task.prepare([Passage(text=LETTERS)], tokens="characters", **sizes)
    made: LanguageModel = model_class("language_model")(task)
    made.save_pretrained(folder)


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def run(elements: int, hidden: int, looks: int, lines: bool) -> None:
    rng = random.Random(1)
    alphabet = LETTERS + "\n" * lines
    with tempfile.TemporaryDirectory() as folder:
        model(Path(folder) / "model", hidden)
        command = [sys.executable, "-m", "unrolled", "stream", str(Path(folder) / "model")]
        kept = ["--state", str(Path(folder) / "kept")]
        process = subprocess.Popen([*command, *kept], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin is not None
        fed, next_look, begun, found = 0, elements / looks, time.perf_counter(), []
        while fed < elements:
            process.stdin.write("".join(rng.choices(alphabet, k=CHUNK)).encode())
            process.stdin.flush()
            fed += CHUNK
            if fed >= next_look:  # the pipe holds 64 kB at most: nearly all of it was read
                found.append(memory(process))
                next_look += elements / looks
        process.stdin.close()
        code = process.wait()
        each = (time.perf_counter() - begun) / fed
    shown = " ".join(f"{size:.0f}" for size in found)
    row(["in lines" if lines else "one line", f"{fed:,}", shown, f"{1e6 * each:.0f}", code])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=10_000_000)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--looks", type=int, default=10)
    given = parser.parse_args()
    print(f"\n{machine()}; {given.hidden} units.\n")
    table(["text", "elements", "resident MB on the way", "us an answer", "exit code"])
    for lines in (True, False):
        run(given.elements, given.hidden, given.looks, lines)


if __name__ == "__main__":
    main()
