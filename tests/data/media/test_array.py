"""Arrays in files of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.data.recordings import recorded
from unrolled.errors import BadData, UnknownName


def test_an_array_is_steps_of_features_and_keeps_its_type(tmp_path: Path) -> None:
    for given in (np.arange(6, dtype=np.uint8).reshape(3, 2), np.array([[0.5, np.nan]])):
        np.save(tmp_path / "a.npy", given)
        found = recorded(tmp_path / "a.npy")
        assert found.values.dtype == given.dtype
        assert np.array_equal(found.values, given, equal_nan=given.dtype.kind == "f")
        assert found.rate is None


def test_a_row_of_numbers_is_one_feature(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3))
    assert recorded(tmp_path / "a.npy").values.tolist() == [[0], [1], [2]]


def test_what_is_no_array_of_numbers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadData, match=r"a\.npy: it holds Python objects, which are not unpickled"):
        recorded(path)
    np.save(path, np.zeros((2, 2, 2)))
    with pytest.raises(
        BadData, match=r"a\.npy: an array of float64, shape \(2, 2, 2\): numbers of \(steps, features\)"
    ):
        recorded(path)
    np.save(path, np.array(["a"]))
    with pytest.raises(BadData, match=r"a\.npy: an array of <U1"):
        recorded(path)
    for content in (b"", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'"):
        path.write_bytes(content)
        with pytest.raises(BadData, match=r"a\.npy: (not a NumPy array that can be read|it holds Python objects)"):
            recorded(path)
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(2))
    with pytest.raises(BadData, match=r"a\.npy: an archive of several arrays where a single one"):
        recorded(path)


def test_a_path_without_a_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"a\.npy: there is no such file$"):
        recorded(tmp_path / "a.npy")
    (tmp_path / "b.npy").mkdir()
    with pytest.raises(BadData, match=r"b\.npy: a folder where a file is expected$"):
        recorded(tmp_path / "b.npy")
    with pytest.raises(UnknownName, match=r"unknown suffix of a recording '\.np'; did you mean '\.npy'\?"):
        recorded(tmp_path / "a.np")
