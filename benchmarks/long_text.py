"""How much memory a training takes on texts of several sizes, read from the disk or held in memory.

    python benchmarks/long_text.py [--sizes 1,64,256] [--steps 40] [--folder FOLDER] [WAY …]

The texts are made up: words of a Zipf distribution, from a seed. Each training is a process of its own, with a small
model, so that what is seen is the data; the peak is that of the process's resident memory (Linux), Python's and torch's
own, which the first row shows, included. Pages of the memory map that were looked at count, though the system may take
them back at any time. Seconds are the processor's. `from disk, again` finds the numbers that `from disk` has made.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WAYS = ("from disk", "from disk, again", "in memory")
WORDS, A_LINE = 50_000, 20
"""Different words, and words of a line."""
CHUNK = 20_000
"""Lines that are made at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(map(repr, WAYS))}")
    parser.add_argument("--sizes", default="1,64,256", help="of the texts, in MB")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="for texts and numbers; else one that is removed")
    parser.add_argument("--measure", choices=WAYS, help="be one of the processes")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measured(given.folder, given.measure, given.steps)))
        return
    print(f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', 'all')} thread(s), {given.steps} steps\n")
    print("| text, MB | read | elements | peak, MiB | vocabulary, s | numbers, s | steps, s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        for size in map(int, given.sizes.split(",")):
            folder = Path(made) / str(size)
            write(folder, size * 10**6)
            for way in given.ways or WAYS:
                row = _in_a_process(folder, way, given.steps)
                figures = " | ".join(f"{row[name]:,.1f}" for name in ("vocabulary", "numbers", "steps"))
                print(f"| {size} | {way} | {row['elements']:,} | {row['peak']:,.0f} | {figures} |", flush=True)


def write(folder: Path, size: int, seed: int = 1) -> None:
    """A folder with a training text of that many bytes, about, and a short one for validation."""
    folder.mkdir(parents=True)
    random = np.random.PCG64(np.random.SeedSequence(seed))
    words = np.array([_spelled(number) for number in range(WORDS)], dtype=object)
    shares = np.cumsum(1 / np.arange(1, WORDS + 1))

    def lines(count: int) -> str:
        drawn = (random.random_raw(count * A_LINE) >> np.uint64(11)) * 2.0**-53
        rows = words[np.searchsorted(shares, drawn * shares[-1])].reshape(count, A_LINE)
        return "".join(" ".join(row) + "\n" for row in rows)

    (folder / "valid.txt").write_text(lines(200))
    with (folder / "train.txt").open("w") as file:
        while file.tell() < size:
            file.write(lines(CHUNK))


def _spelled(number: int) -> str:
    """A word for a number, the frequent ones short."""
    letters = ""
    while number >= 0:
        number, letter = number // 26 - 1, number % 26
        letters += chr(ord("a") + letter)
    return letters


def _in_a_process(folder: Path, way: str, steps: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(folder), "--measure", way, "--steps", str(steps)]
    environment = {**os.environ, "UNROLLED_CACHE": str(folder / "cache")}
    found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(found.stdout)


def measured(folder: Path, way: str, steps: int) -> dict[str, float]:
    """Of a training in this process."""
    # Not above: what the processes share with the one that starts them is Python and NumPy alone.
    import torch

    from unrolled.data import long_text, splits
    from unrolled.recipe import build
    from unrolled.training.events import Planned, Step
    from unrolled.training.fit import fit

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    long_text.LONG = 1 << 62 if way == "in memory" else 0
    recipe = build("language_model", folder, {"hidden_size": 32, "word_size": 32, "most": 10_000})
    clock = [time.process_time()]
    loaded = splits.load(folder, recipe.task_class.example, seed=1)
    task = recipe.task_class.prepare(loaded.train, **recipe.model)
    clock.append(time.process_time())
    elements = 0
    for event in fit(task, loaded.train, loaded.valid, settings=recipe.training):
        if isinstance(event, Planned):
            elements = event.elements
            clock.append(time.process_time())
        if isinstance(event, Step) and event.step == steps:
            break
    clock.append(time.process_time())
    seconds = dict(zip(("vocabulary", "numbers", "steps"), np.diff(clock).tolist(), strict=True))
    return {"elements": elements, "peak": _peak(), **seconds}


def _peak() -> float:
    """Of this process's resident memory so far, in MiB; what getrusage says is that of the one that started it, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say how much memory a process has had")


if __name__ == "__main__":
    main()
