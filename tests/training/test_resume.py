"""Checkpoints as files: what was written comes back, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unrolled import files
from unrolled.errors import BadModel, BadOption, CannotWrite
from unrolled.training import resume

Tensors = dict[str, dict[str, Tensor]]


def tensors(value: float) -> Tensors:
    return {
        "weights": {"reader.words": torch.full((2, 3), value), "with/slash": torch.arange(3)},
        "average": {},
        "optimizer": {"0.step": torch.tensor(value)},
        "random": {"torch": torch.get_rng_state()},
        "best": {"reader.words": torch.full((2, 3), value / 2)},
        "carried": {"0": torch.full((2, 4), value)},
    }


def equal(a: Tensors, b: Tensors) -> bool:
    return a.keys() == b.keys() and all(
        a[group].keys() == b[group].keys() and all(torch.equal(a[group][n], b[group][n]) for n in a[group])
        for group in a
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    resume.write(tmp_path / "made", tensors(1.0), {"step": 3, "loss": 0.1 + 0.2})
    kept = resume.read(tmp_path / "made")
    assert kept is not None
    assert equal(kept.tensors, tensors(1.0))
    assert kept.counters == {"step": 3, "loss": 0.1 + 0.2}


def test_where_there_is_no_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert resume.read(tmp_path) is None
    assert resume.read(tmp_path / "absent") is None


def test_what_is_read_is_no_view_of_a_file_that_will_be_replaced(tmp_path: Path) -> None:
    resume.write(tmp_path, tensors(1.0), {})
    kept = resume.read(tmp_path)
    assert kept is not None
    path = tmp_path / resume.NOW
    path.write_bytes(bytes(path.stat().st_size))
    assert equal(kept.tensors, tensors(1.0))


def damaged_by(change: Callable[[Path], object], folder: Path) -> str:
    resume.write(folder, tensors(1.0), {"step": 3})
    change(folder)
    with pytest.raises(BadModel) as error:
        resume.read(folder)
    return str(error.value)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_checkpoint_is_damaged(tmp_path: Path, kept: int) -> None:
    path = tmp_path / resume.NOW
    said = damaged_by(lambda _: path.write_bytes(path.read_bytes()[:kept]), tmp_path)
    assert said.startswith(f"the checkpoint {path} is damaged (")
    assert said.endswith("; remove it to start anew")


ALTERED = "is damaged (its checksum differs, so it was altered); remove it to start anew"


def test_one_altered_bit_is_noticed(tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        content = bytearray((folder / resume.NOW).read_bytes())
        content[-1] ^= 1
        (folder / resume.NOW).write_bytes(content)

    assert damaged_by(change, tmp_path) == f"the checkpoint {tmp_path / resume.NOW} {ALTERED}"


def test_altered_counters_are_noticed(tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        content = (folder / resume.NOW).read_bytes()
        assert content.count(rb"\"step\": 3") == 1
        (folder / resume.NOW).write_bytes(content.replace(rb"\"step\": 3", rb"\"step\": 4"))

    assert damaged_by(change, tmp_path).endswith(ALTERED)


def test_another_safetensors_file_is_no_checkpoint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / resume.NOW
    said = damaged_by(lambda _: save_file({"weights/a": torch.zeros(1)}, path), tmp_path)
    assert said == f"the checkpoint {path} is damaged ('counters'); remove it to start anew"


def test_a_checkpoint_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    def change(folder: Path) -> None:
        (folder / resume.NOW).unlink()
        (folder / resume.NOW).mkdir()

    assert damaged_by(change, tmp_path).startswith(f"the checkpoint {tmp_path / resume.NOW} ")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"^cannot write into .*file: File exists$"):
        resume.write(tmp_path / "file", tensors(1.0), {})


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    resume.write(tmp_path, tensors(1.0), {})
    (tmp_path / f".{resume.NOW}.0123456789abcdef").write_bytes(b"half of it")
    assert resume.read(tmp_path) is not None
    assert [path.name for path in tmp_path.iterdir()] == [resume.NOW]


def test_a_disk_that_becomes_full_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resume.write(tmp_path, tensors(1.0), {"step": 3})
    real = files._write_through

    def full(file: object, content: bytes) -> None:
        real(file, content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "_write_through", full)
        with pytest.raises(CannotWrite, match=r"No space left on device; what was there is unchanged$"):
            resume.write(tmp_path, tensors(2.0), {"step": 4})
    kept = resume.read(tmp_path)
    assert kept is not None
    assert equal(kept.tensors, tensors(1.0))
    assert kept.counters == {"step": 3}
    assert [path.name for path in tmp_path.iterdir()] == [resume.NOW]


def test_removed_checkpoints_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    resume.write(folder, tensors(1.0), {})
    resume.remove(folder)
    assert list(tmp_path.iterdir()) == []
    resume.remove(folder)  # there is nothing to remove, and nothing to say


def test_a_removal_that_was_killed_half_way_has_removed_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "checkpoints"
    resume.write(folder, tensors(1.0), {})
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        resume.remove(folder)
    assert resume.read(folder) is None
    assert not folder.exists()
    resume.write(folder, tensors(1.0), {})
    resume.remove(folder)
    assert list(tmp_path.iterdir()) == []


def test_each_difference_is_named() -> None:
    same = {"seed": 1, "dropout": 0.5, "epochs": 3}
    resume.must_agree(same, dict(same))
    with pytest.raises(BadOption) as error:
        resume.must_agree(same, {"seed": 2, "dropout": 0.5, "cell": "gru"})
    assert str(error.value) == (
        "this run cannot be resumed with other settings or data: seed was 1, is now 2; cell was None, is now 'gru'; "
        "epochs was 3, is now None"
    )


def test_many_differences_are_counted() -> None:
    with pytest.raises(BadOption, match=r"; o5 was 5, is now None; and 4 more$"):
        resume.must_agree({f"o{k}": k for k in range(10)}, {})
