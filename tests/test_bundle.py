"""A trained task as a folder: whole or not there, verified when it is read, safe to read, and readable for ever."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from unrolled import bundle, files
from unrolled.data.examples import Passage, TaggedTokens
from unrolled.errors import BadModel, CannotWrite, UnknownName
from unrolled.lookup import names
from unrolled.tasks.base import Task
from unrolled.tasks.tagger import Tagger

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = [
    TaggedTokens(tokens=("the", "dog", "barks"), tags=("DET", "NOUN", "VERB")),
    TaggedTokens(tokens=("a", "cat"), tags=("DET", "NOUN")),
]
FILES = ["config.json", "model.safetensors", *(f"vocabulary.{n}.json" for n in ("words", "characters", "tags"))]


def made(**options: Any) -> Tagger:
    small = {"hidden_size": 3, "word_size": 3, "character_size": 2, "character_hidden": 2}
    return Tagger.prepare(EXAMPLES, **{**small, **options})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    bundle.save(made(), tmp_path / "model", beside={"metrics.json": b"{}"})
    return tmp_path / "model"


def weights(task: Task) -> dict[str, torch.Tensor]:
    return dict(task.state_dict())


def same(a: Task, b: Task) -> bool:
    return all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())


# ---------------------------------------------------------------------------------------------- writing, reading


def test_a_folder_holds_what_its_documentation_says(model: Path) -> None:
    assert sorted(path.name for path in model.iterdir()) == sorted([*FILES, "metrics.json"])
    config = json.loads((model / "config.json").read_text())
    assert (config["format"], config["task"]) == (1, "tagger")  # which the first unrolled reads
    assert config["options"]["hidden_size"] == 3
    assert config["parameters"] == sum(p.numel() for p in made().parameters())
    for name, checksum in config["sha256"].items():
        assert checksum == hashlib.sha256((model / name).read_bytes()).hexdigest()


def test_what_is_saved_twice_is_the_same_bytes(tmp_path: Path) -> None:
    task = made()
    for folder in ("a", "b"):
        bundle.save(task, tmp_path / folder)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_loading_leaves_the_random_stream_alone(model: Path) -> None:
    before = torch.get_rng_state()
    bundle.load(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_replaces_another(model: Path) -> None:
    task = made(hidden_size=4)
    bundle.save(task, model)
    assert same(bundle.load(model), task)


def test_files_beside_the_model_are_read_as_they_are(model: Path) -> None:
    assert bundle.read_beside(model, "metrics.json") == b"{}"
    assert bundle.read_beside(model, "nothing.json") is None
    (model / "folder.json").mkdir()
    with pytest.raises(BadModel, match=r"cannot read .*folder\.json: Is a directory"):
        bundle.read_beside(model, "folder.json")


# ---------------------------------------------------------------------------------------------- damage


def test_no_folder_and_no_model_in_it(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"there is no folder .*/none$"):
        bundle.load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadModel, match="file is not a folder with a model in it"):
        bundle.load(tmp_path / "file")
    with pytest.raises(BadModel, match=r"holds no model: config\.json is missing"):
        bundle.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(BadModel, match=f"{name} is missing"):
        bundle.load(model)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(model: Path, name: str, left: float) -> None:
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[: int(left * len(content))])
    with pytest.raises(BadModel, match=rf"{name} is not .*truncated or altered"):
        bundle.load(model)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found_wherever_it_is(model: Path, name: str) -> None:
    content = (model / name).read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        changed = bytearray(content)
        changed[place] ^= 1
        (model / name).write_bytes(changed)
        with pytest.raises(BadModel):
            bundle.load(model)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b"3", b"null", b'{"task": "tagger"}', b"[" * 100_000])
def test_a_configuration_that_is_none_is_refused(model: Path, content: bytes) -> None:
    (model / "config.json").write_bytes(content)
    with pytest.raises(BadModel, match=r"config\.json is not a model's configuration: it is truncated or altered"):
        bundle.load(model)


def rewrite(model: Path, **changes: Any) -> None:
    """Change the configuration, and make its checksum right again."""
    config = {**json.loads((model / "config.json").read_text()), **changes}
    config = {name: value for name, value in config.items() if value is not None}
    config.pop("checksum", None)
    text = json.dumps(config, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    config["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (model / "config.json").write_text(json.dumps(config))


def test_an_option_altered_by_hand_is_found(model: Path) -> None:
    text = (model / "config.json").read_text()
    assert '"hidden_size": 3' in text
    (model / "config.json").write_text(text.replace('"hidden_size": 3', '"hidden_size": 4'))
    with pytest.raises(BadModel, match=r"config\.json is not what was saved: its checksum differs, so it was altered"):
        bundle.load(model)


def test_what_does_not_fit_together_is_refused(model: Path) -> None:
    for changes in (
        {"options": {"hidden_size": 4}},
        {"options": {"hiden_size": 3}},
        {"options": [3]},
        {"task": None},
        {"vocabularies": ["words"]},
        {"vocabularies": 3},
        {"sha256": None},
    ):
        shutil.copytree(model, model.parent / "again", dirs_exist_ok=True)
        rewrite(model.parent / "again", **changes)
        with pytest.raises(BadModel, match=r"again does not fit together|checksum differs"):
            bundle.load(model.parent / "again")


def test_a_newer_format_version_asks_for_a_newer_library(model: Path) -> None:
    rewrite(model, format=bundle.FORMAT + 1)
    with pytest.raises(BadModel, match=r"has format version 3; this unrolled reads up to 2: upgrade unrolled"):
        bundle.load(model)


def test_an_unknown_task_or_cell_is_named_with_the_nearest(model: Path) -> None:
    rewrite(model, task="taggr")
    with pytest.raises(UnknownName, match="unknown task 'taggr'; did you mean 'tagger'"):
        bundle.load(model)
    bundle.save(made(), model)
    rewrite(model, options={"cell": "lstn"})
    with pytest.raises(UnknownName, match="unknown cell 'lstn'; did you mean 'lstm'"):
        bundle.load(model)


class Trap:
    """What would happen if a file were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


def test_nothing_is_unpickled(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    trap = pickle.dumps(Trap())
    for name in ("model.pkl", "pytorch_model.bin", "model.pt"):
        (model / name).write_bytes(trap)
    bundle.load(model)
    sums = json.loads((model / "config.json").read_text())["sha256"]
    (model / "model.safetensors").write_bytes(trap)
    rewrite(model, sha256={**sums, "model.safetensors": hashlib.sha256(trap).hexdigest()})
    with pytest.raises(BadModel, match="does not fit together"):
        bundle.load(model)
    assert not Path("sprung").exists()
    pickle.loads(trap)  # so it would have been
    assert Path("sprung").exists()


# ---------------------------------------------------------------------------------------------- a failing disk


FILL = """
import resource, sys
from pathlib import Path
from unrolled import bundle
from unrolled.errors import CannotWrite
task = bundle.load(sys.argv[1])
for parameter in task.parameters():
    parameter.data.add_(1.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    bundle.save(task, sys.argv[1])
except CannotWrite as error:
    print(error)
"""


def test_where_the_disk_is_full_the_previous_model_survives(model: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    room = str((model / "model.safetensors").stat().st_size // 2)
    command = [sys.executable, "-c", FILL, str(model), room]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"cannot write into {model}: File too large; what was there is unchanged\n"
    assert ran.stderr == ""
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_file_in_place_of_the_folder_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine")
    with pytest.raises(CannotWrite, match=r"cannot write into .*model: "):
        bundle.save(made(), tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


@pytest.mark.parametrize("renames", range(len(FILES)))
def test_a_kill_between_two_renames_leaves_the_new_model_whole(
    model: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    new, rename, done = made(hidden_size=4), os.replace, []

    def killed(a: Any, b: Any) -> None:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(b)
        rename(a, b)

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            bundle.save(new, model)
    assert same(bundle.load(model), new)
    bundle.save(made(), model)  # and the next one takes its place
    assert bundle.load(model).options["hidden_size"] == 3
    assert not (model / files.STAGED).exists()


# ---------------------------------------------------------------------------------------------- for ever


@pytest.mark.parametrize("task", names("unrolled.tasks", Task))
def test_each_task_has_a_golden_folder(task: str) -> None:
    folders = list(GOLDEN.glob(f"format-*/{task}"))
    assert folders, f"save a tiny one: python tests/golden/write.py {task}"
    newest = max(folders, key=lambda folder: folder.parent.name)
    assert newest.parent.name == f"format-{bundle.version_of(bundle.load(newest))}"
    assert sum(path.stat().st_size for path in newest.iterdir()) < 60_000


@pytest.mark.parametrize(
    "folder", sorted(GOLDEN.glob("format-*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_a_model_of_an_older_format_still_loads_and_predicts_the_same(folder: Path) -> None:
    task = bundle.load(folder)
    expected = json.loads((folder / "expected.json").read_text())
    assert expected
    for found, wanted in zip(task.predict([one["input"] for one in expected]), expected, strict=True):
        if "quantiles" in wanted:
            assert found.forecast.quantiles == pytest.approx(numpy.array(wanted["quantiles"]), rel=1e-4)
            continue
        if "following" in wanted:
            assert [list(step) for step in found.following] == wanted["following"]
            continue
        if "quantity" in wanted:
            assert float(found.label) == pytest.approx(wanted["quantity"], abs=1e-4)
            continue
        if isinstance(found, Passage):
            assert [element for element, _ in found.following or ()] == wanted["answer"]
            figures = [figure for _, figure in (*(found.following or ()), *(found.surprisals or ()))]
            assert figures == pytest.approx(wanted["confidence"], abs=1e-5)
            continue
        assert getattr(found, found.blank) == pytest.approx(tuple(w) if isinstance(w := wanted["answer"], list) else w)
        probabilities, score = getattr(found, "probabilities", None), getattr(found, "score", None)
        sure = probabilities if probabilities is not None else list(found.confidence) if score is None else score
        assert sure == pytest.approx(wanted["confidence"], abs=1e-5)
