"""NumPy archives: which arrays are read, and what is refused."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data import reading
from unrolled.data.examples import LabelledText, Signal
from unrolled.data.formats.npz import NPZ
from unrolled.errors import BadData, BadOption, UnknownName


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def read(path: Path, **options: Any) -> list[Signal]:
    return reading.read(path, Signal, **options)


def test_an_array_of_two_axes_has_one_feature(tmp_path: Path) -> None:
    first, second = read(saved(tmp_path / "a.npz", values=np.arange(6).reshape(2, 3), label=np.array([7, 8])))
    assert first == Signal(values=np.array([[0], [1], [2]]), label="7")
    assert second.values.shape == (3, 1)
    assert second.label == "8"


def test_lengths_part_what_lies_one_after_the_other(tmp_path: Path) -> None:
    values = np.arange(10.0).reshape(5, 2)
    found = read(saved(tmp_path / "a.npz", values=values, lengths=np.array([1, 4])))
    assert [e.values.tolist() for e in found] == [values[:1].tolist(), values[1:].tolist()]
    assert [e.label for e in found] == [None, None]
    (flat,) = read(saved(tmp_path / "b.npz", values=np.arange(3.0), lengths=np.array([3])))
    assert flat.values.shape == (3, 1)


def test_labels_that_are_quantities_keep_their_digits(tmp_path: Path) -> None:
    found = read(saved(tmp_path / "a.npz", values=np.zeros((2, 1, 1)), label=np.array([0.1, -2.5e-7])))
    assert [float(e.label) for e in found] == [0.1, -2.5e-7]  # type: ignore[arg-type]


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "boom"), "w"))

    content = io.BytesIO()
    np.savez(content, values=np.array([Bomb()], dtype=object))
    (tmp_path / "a.npz").write_bytes(content.getvalue())
    with pytest.raises(BadData, match=r"a\.npz: it holds Python objects, which are not unpickled"):
        read(tmp_path / "a.npz")
    assert not (tmp_path / "boom").exists()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "strings": ({"values": np.array([["a"]])}, "the array 'values' is of <U1: real numbers are expected"),
    "complex": ({"values": np.zeros((1, 1, 1), complex)}, "is of complex128: real numbers"),
    "flat": ({"values": np.zeros(3)}, r"is \(3\) where \(examples, steps, features\), or an array `lengths`"),
    "deep": ({"values": np.zeros((1, 1, 1, 1))}, r"is \(1, 1, 1, 1\) where"),
    "few labels": ({"values": np.zeros((2, 1, 1)), "label": np.zeros(3)}, r"'label' is \(3\) where \(2\) is expected"),
    "dates": ({"values": np.zeros((1, 1, 1)), "label": np.array(["2020"], "M8[D]")}, "strings or numbers"),
    "too long": ({"values": np.zeros((3, 1)), "lengths": np.array([2, 2])}, "sum to 3; it is .*, in all 4"),
    "negative": ({"values": np.zeros((3, 1)), "lengths": np.array([4, -1])}, "whole numbers that sum to 3"),
    "wrapped": ({"values": np.zeros((4, 1)), "lengths": np.array([2**64 - 2, 4, 2], np.uint64)}, "that sum to 4"),
    "fractions": ({"values": np.zeros((3, 1)), "lengths": np.array([1.5, 1.5])}, "whole numbers that sum to 3"),
    "deep with lengths": ({"values": np.zeros((1, 1, 1)), "lengths": np.array([1])}, "by `lengths`, "),
    "none": ({"values": np.zeros((0, 3, 1))}, "the file holds no examples"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_arrays_are_named_with_what_was_expected(case: str, tmp_path: Path) -> None:
    arrays, message = BAD[case]
    with pytest.raises(BadData, match=rf"a\.npz: .*{message}"):
        read(saved(tmp_path / "a.npz", **arrays))


def test_a_missing_array_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", value=np.zeros((1, 1, 1)))
    with pytest.raises(UnknownName, match=r"unknown array 'values'.*value"):
        read(path)
    with pytest.raises(UnknownName, match="unknown array 'label'"):
        read(path, columns={"values": "value"}, filled=True)


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, values=np.zeros((4, 4, 4)))
    whole = path.read_bytes()
    for content in (whole[:100], whole[:-10], b"PK\x03\x04", b"something else"):
        path.write_bytes(content)
        with pytest.raises(BadData, match=r"a\.npz: not a NumPy archive that can be read"):
            read(path)
    np.save(tmp_path / "b.npy", np.zeros(3))
    path.write_bytes((tmp_path / "b.npy").read_bytes())
    with pytest.raises(BadData, match="a single array where an archive"):
        read(path)


def test_damage_anywhere_is_a_mistake_in_the_file_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    NPZ(Signal).write(path, [Signal(values=np.arange(24.0).reshape(12, 2) ** 2, label="a")] * 3)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    told = []
    for _ in range(1500):
        content = bytearray(whole)
        content[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        try:
            list(NPZ(Signal).read_stream([bytes(content)], "a.npz"))
        except (BadData, UnknownName) as error:
            told.append(str(error))
    assert len(told) > 500
    assert all("a.npz" in message for message in told)


def test_a_head_that_promises_more_than_there_is_memory_for_is_refused(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**14, 1, 1)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("values.npy", head.getvalue())
    with pytest.raises(BadData, match=r"a\.npz: not a NumPy archive"):
        read(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("values", b"abc")
    with pytest.raises(BadData, match=r"a\.npz: 'values' is no array"):
        read(tmp_path / "a.npz")


def test_other_arrays_are_carried_along_and_bad_ones_do_no_harm(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 1))
    path = saved(tmp_path / "a.npz", values=values, id=np.array(["x", "y"]), scale=np.float64(3), junk=np.array([None]))
    examples = read(path)
    reading.write(tmp_path / "b.npz", [replace(e, label="l") for e in examples])
    with np.load(tmp_path / "b.npz") as again:
        assert set(again.files) == {"values", "label", "id"}
        assert again["id"].tolist() == ["x", "y"]


def test_a_quantity_that_is_not_a_number_is_not_known(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", values=np.zeros((2, 1, 1)), label=np.array([1.5, np.nan]))
    assert [e.label for e in read(path)] == ["1.5", None]
    with pytest.raises(BadData, match=r"a\.npz:2: an example without label"):
        read(path, filled=True)


def test_an_array_may_have_any_name(tmp_path: Path) -> None:
    columns = {"values": "file", "label": "classes"}
    NPZ(Signal, columns).write(tmp_path / "a.npz", [Signal(values=np.zeros((2, 1)), label="q")])
    (again,) = NPZ(Signal, columns).read(tmp_path / "a.npz")
    assert again == Signal(values=np.zeros((2, 1)), label="q")


def test_what_an_array_cannot_hold_is_not_written(tmp_path: Path) -> None:
    one, path = np.zeros((2, 1)), tmp_path / "a.npz"
    bad = {
        "more features": [Signal(values=one), Signal(values=np.zeros((2, 2)))],
        "have none": [Signal(values=one, label="a"), Signal(values=one)],
        "several labels": [Signal(values=one, label=("a", "b"))],
        "could not be read again": [Signal(values=one, label="a\0")],
        "steps, features": [Signal(values=np.zeros(3))],
    }
    for message, examples in bad.items():
        with pytest.raises(BadData, match=message):
            NPZ(Signal).write(path, examples)
        assert not path.exists()


def test_it_holds_no_texts() -> None:
    with pytest.raises(
        BadOption, match="the format npz holds numbers with labels or numbers with a tag a step, not texts"
    ):
        NPZ(LabelledText)
