"""Run by `test_kill.py` in a process of its own: train small taggers, each killed at another operation on the disk.

Whatever changes files is seen by an audit hook just before it happens, and counted; a write is seen once more when half
of it is done. A child process ends at once (`os._exit`, so that nothing is cleaned up) at the operation with a given
number; another child then resumes. One JSON object a line is printed: what it was killed at, and whether the model came
out the same. The children are forked, since importing torch is what takes long.

    python killed_at.py FOLDER SEED     # FOLDER/data: train.conll, valid.conll
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401  (here, and not in each child)
import torch

from unrolled import api, files
from unrolled.errors import CannotWrite
from unrolled.recipe import Recipe, build

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "open", "half written"}
TOLD_APART = ("model.safetensors", "config.json", "complete")
KILLED = 9


class Watcher:
    """Notes what happens to the files of a folder, and ends the process at the operation with number `last`."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder, self.last = str(folder), last
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if event not in CHANGES or not isinstance(given[0], (str, os.PathLike)):
            return
        path = os.fspath(given[0])
        if event in ("os.remove", "os.rmdir") and given[1] >= 0:  # relative to an open folder, as `shutil.rmtree` does
            path = os.path.join(os.readlink(f"/proc/self/fd/{given[1]}"), path)
        if not path.startswith(self.folder) or (event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if len(self.seen) == self.last:
            os._exit(KILLED)
        self.seen.append(f"{event} {kind(path.removeprefix(self.folder))}")


def kind(path: str) -> str:
    """A path without the random digits of temporary names; of a model's many small files there is one kind."""
    folder, _, name = re.sub("[.][0-9a-f]{16}$", ".…", path).rpartition("/")
    return f"{folder}/{name if folder != '/.staged' or name in TOLD_APART else '…'}"


def in_halves(file: BinaryIO, content: bytes) -> None:
    """What `files._write_through` does, but seen when half of it is done."""
    file.write(content[: len(content) // 2])
    file.flush()
    sys.audit("half written", file.name)
    file.write(content[len(content) // 2 :])
    file.flush()


def train(recipe: Recipe, *, resumed: bool, last: int | None) -> tuple[int, list[str]]:
    """Train in a child: its exit code, and the operations that it came to."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            files._write_through = in_halves
            os.fsync = lambda handle: None
            watcher = Watcher(Path(str(recipe.output)), last)
            for _ in api.train(recipe, resumed=resumed):
                pass
            with open(writer, "w", encoding="utf-8") as pipe:
                json.dump(watcher.seen, pipe)
            code = 0
        except CannotWrite as error:
            code = 0 if "nothing to resume" in str(error) else 1
            print(error, file=sys.stderr)
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), json.loads(told or "[]")


def digest(recipe: Recipe) -> str:
    return hashlib.sha256((Path(str(recipe.output)) / "model.safetensors").read_bytes()).hexdigest()


def main(folder: Path, seed: int) -> None:
    torch.set_num_threads(1)  # a pool of threads does not outlive a fork
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)  # imports much of torch, at its first use only
    options = {"hidden_size": 2, "word_size": 2, "layers": 1, "characters": "none", "decoder": "softmax"}
    settings = {"epochs": 1, "batch_rows": 4, "checks": 2, "checkpoint_seconds": 0, "averaging": "exponential"}

    def recipe(name: str) -> Recipe:
        return build("tagger", folder / "data", {**options, **settings}, output=folder / name)

    undisturbed = recipe("undisturbed")
    code, operations = train(undisturbed, resumed=False, last=None)
    assert code == 0
    expected = digest(undisturbed)
    # Of each operation on each file one occurrence, by lot: a model is saved more than once.
    by_kind: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        by_kind.setdefault(operation, []).append(number)
    drawn = random.Random(seed)
    for operation, numbers in by_kind.items():
        number = drawn.choice(numbers)
        killed = recipe(f"killed-{number}")
        first, _ = train(killed, resumed=False, last=number)
        second, _ = train(killed, resumed=True, last=None)
        told = {"operation": operation, "number": number, "exit codes": [first, second]}
        told["same"] = second == 0 and digest(killed) == expected
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
