from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import DrawFn
from safetensors.torch import save_file

import unrolled.state as states
from unrolled.errors import BadData, CannotWrite


class Pair(NamedTuple):
    h: torch.Tensor
    c: torch.Tensor


@st.composite
def nested(draw: DrawFn, rows: int) -> states.State:
    """Any nesting of tensors of so many rows; every element of every tensor is another number."""
    numbers = iter(range(10**6))

    def leaf(shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        count = rows * int(torch.tensor(shape).prod())
        return torch.tensor([next(numbers) for _ in range(count)], dtype=dtype).reshape(rows, *shape)

    leaves = st.builds(
        leaf,
        st.lists(st.integers(1, 3), max_size=2),
        st.sampled_from([torch.float32, torch.float64, torch.int64]),
    )
    return draw(
        st.recursive(
            leaves,
            lambda inner: st.one_of(
                st.lists(inner, min_size=1, max_size=3),
                st.lists(inner, min_size=1, max_size=3).map(tuple),
                st.tuples(inner, inner).map(lambda two: Pair(*two)),
                st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3),
            ),
            max_leaves=5,
        )
    )


def same(a: states.State, b: states.State) -> bool:
    """Equal in nesting, types, dtypes, shapes and every element."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return len(a) == len(b) and all(same(p, q) for p, q in zip(a, b, strict=True))


def copied(state: states.State) -> states.State:
    return states.tree_map(torch.clone, state)


quick = settings(max_examples=40, deadline=None)


@quick
@given(nested(rows=3))
def test_the_rows_of_a_nesting_are_those_of_its_tensors(state: states.State) -> None:
    assert states.rows(state) == 3
    assert all(leaf.shape[0] == 3 for leaf in states.leaves(state))


@quick
@given(nested(rows=4), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_a_selection_of_a_selection_is_a_selection(state: states.State, picked: list[int]) -> None:
    index = torch.tensor(picked)
    assert same(states.select(state, torch.arange(4)), state)
    chosen = states.select(state, index)
    for leaf, before in zip(states.leaves(chosen), states.leaves(state), strict=True):
        assert [row.tolist() for row in leaf] == [before[k].tolist() for k in picked]
    reverse = torch.arange(len(picked) - 1, -1, -1)
    assert same(states.select(chosen, reverse), states.select(state, index[reverse]))


@quick
@given(nested(rows=3), st.integers(1, 4))
def test_a_repeated_row_stands_beside_itself(state: states.State, times: int) -> None:
    index = torch.tensor([row for row in range(3) for _ in range(times)])
    assert same(states.repeat(state, times), states.select(state, index))


@quick
@given(nested(rows=5), st.lists(st.integers(0, 5), max_size=4))
def test_concat_undoes_split(state: states.State, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), 5]
    sizes = [b - a for a, b in pairwise(bounds)]
    parts = states.split(state, sizes)
    assert [states.rows(part) for part in parts] == sizes
    assert same(states.concat(parts), state)


@quick
@given(nested(rows=2))
def test_split_undoes_concat(state: states.State) -> None:
    other = states.tree_map(lambda leaf: leaf + 1000, state)
    first, second = states.split(states.concat([state, other]), [2, 2])
    assert same(first, state)
    assert same(second, other)


@quick
@given(nested(rows=4), st.permutations(range(4)), st.integers(1, 4))
def test_reset_changes_the_named_rows_only(state: states.State, order: list[int], count: int) -> None:
    index = torch.tensor(order[:count])
    initial = states.select(states.tree_map(lambda leaf: -1 - leaf, state), index)
    after = states.reset(state, index, initial)
    assert same(states.select(after, index), initial)
    if rest := order[count:]:
        assert same(states.select(after, torch.tensor(rest)), states.select(state, torch.tensor(rest)))


@quick
@given(nested(rows=3))
def test_nothing_changes_its_argument(state: states.State) -> None:
    before = copied(state)
    index = torch.tensor([0, 2])
    states.select(state, index)
    states.repeat(state, 2)
    states.concat([state, state])
    states.split(state, [1, 2])
    states.reset(state, index, states.select(state, torch.tensor([1, 1])))
    states.detach(state)
    states.to(state, torch.float16)
    assert same(state, before)


def plain(state: states.State) -> states.State:
    """NamedTuples as tuples: what a file keeps."""
    if isinstance(state, torch.Tensor):
        return state
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    return [plain(v) for v in state] if isinstance(state, list) else tuple(plain(v) for v in state)


@quick
@given(nested(rows=3))
def test_a_file_brings_back_what_was_saved(tmp_path_factory: pytest.TempPathFactory, state: states.State) -> None:
    path = tmp_path_factory.mktemp("state") / "state.safetensors"
    states.save(state, path)
    assert same(states.load(path), plain(state))


def test_a_tensor_of_nothing_is_saved_in_its_shape_and_type(tmp_path: Path) -> None:
    state = {"a": torch.zeros(0), "b": torch.zeros(0, 3, dtype=torch.int64), "c": torch.ones(2, 0)}
    states.save(state, tmp_path / "state")
    found = states.load(tmp_path / "state")
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in found.items()} == {
        name: (leaf.shape, leaf.dtype) for name, leaf in state.items()
    }


def test_a_named_tuple_stays_one() -> None:
    state = Pair(torch.zeros(2, 3), torch.ones(2, 3))
    assert isinstance(states.select(state, torch.tensor([1])), Pair)
    assert states.repeat(state, 2).c.shape == (4, 3)


def test_detach_cuts_the_graph_and_keeps_the_values() -> None:
    weight = torch.ones(2, 3, requires_grad=True)
    state = (weight * 2, [weight * 3])
    cut = states.detach(state)
    assert not any(leaf.requires_grad for leaf in states.leaves(cut))
    assert same(cut, (torch.full((2, 3), 2.0), [torch.full((2, 3), 3.0)]))


def test_gradients_pass_through_the_algebra() -> None:
    h = torch.zeros(3, 2, requires_grad=True)
    new = torch.zeros(1, 2, requires_grad=True)
    state = states.reset(states.select((h,), torch.tensor([0, 0, 2])), torch.tensor([1]), (new,))
    states.concat(states.split(states.repeat(state, 2), [4, 2]))[0].sum().backward()
    assert h.grad.tolist() == [[2, 2], [0, 0], [2, 2]]
    assert new.grad.tolist() == [[2, 2]]


@pytest.mark.parametrize("state", [(torch.zeros(2, 1), torch.zeros(3, 1)), (), {}, [[], ()]])
def test_a_state_has_one_number_of_rows(state: states.State) -> None:
    with pytest.raises(ValueError, match="a state's tensors must have one number of rows, not "):
        states.rows(state)


def test_a_split_must_use_every_row() -> None:
    with pytest.raises(ValueError, match=re.escape("sizes [1, 1] add up to 2, the state has 3 rows")):
        states.split(torch.zeros(3, 2), [1, 1])


def test_what_is_no_tensor_is_no_state() -> None:
    with pytest.raises(TypeError, match="a state is a tensor, or a tuple, list or dict of states, not str"):
        states.select((torch.zeros(1, 1), "h"), torch.tensor([0]))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"h": torch.zeros(1, 1)}, {"h": torch.zeros(1, 1), "c": torch.zeros(1, 1)}),
        ({"h": torch.zeros(1, 1)}, {"c": torch.zeros(1, 1)}),
        ((torch.zeros(1, 1),), (torch.zeros(1, 1), torch.zeros(1, 1))),
        ({"h": torch.zeros(1, 1)}, (torch.zeros(1, 1),)),
    ],
)
def test_states_nested_otherwise_cannot_be_joined(a: states.State, b: states.State) -> None:
    with pytest.raises(ValueError, match=r"nested alike|argument 2 is longer"):
        states.concat([a, b])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.float64])
def test_every_dtype_survives_a_file(tmp_path: Path, dtype: torch.dtype) -> None:
    state = torch.tensor([[0, 1], [1, 1]]).to(dtype)
    states.save(state, tmp_path / "state")
    assert same(states.load(tmp_path / "state"), state)


def test_tensors_that_share_memory_survive_a_file(tmp_path: Path) -> None:
    zeros = torch.zeros(1, 4)
    whole = torch.arange(12.0).reshape(3, 4)
    state = {
        "twice": (zeros, zeros),
        "expanded": zeros.expand(3, 4),
        "views": [whole[:, :2], whole[:, 2:], whole.T],
        "none": whole[:0],
        "graph": torch.ones(2, 2, requires_grad=True) * 2,
    }
    states.save(state, tmp_path / "state")
    assert same(states.load(tmp_path / "state"), states.detach(state))


def test_a_nesting_and_its_leaves_make_the_state_again() -> None:
    state = {"a": (torch.zeros(2, 1), [torch.ones(2, 3)]), "b": torch.full((2,), 7.0)}
    again = states.nested(json.loads(json.dumps(states.nesting(state))), states.leaves(state))
    assert repr(again) == repr(state)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    states.save(torch.zeros(1, 1), tmp_path / "state")
    states.save(torch.ones(1, 1), tmp_path / "state")
    assert states.load(tmp_path / "state").item() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_folder_that_is_not_there_cannot_be_written_into(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match=r"cannot write .*state: No such file or directory"):
        states.save(torch.zeros(1, 1), tmp_path / "absent" / "state")


def test_a_key_that_json_cannot_keep_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=re.escape("a state can be saved where its dicts' keys are strings, not [0]")):
        states.save({0: torch.zeros(1, 1)}, tmp_path / "state")
    assert not (tmp_path / "state").exists()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    states.save({"h": torch.arange(6.0).reshape(2, 3), "c": (torch.ones(2, 1),)}, path)
    return path


def test_a_truncated_file_is_bad_data_at_every_length(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(BadData, match="not a state"):
            states.load(saved)


def test_a_flipped_bit_is_bad_data_wherever_it_is(saved: Path) -> None:
    content, state = saved.read_bytes(), states.load(saved)
    for place in range(len(content)):
        for bit in (0x01, 0x80):
            altered = bytearray(content)
            altered[place] ^= bit
            saved.write_bytes(bytes(altered))
            try:
                found = states.load(saved)
            except BadData:
                continue
            # Only what carries no meaning may go unnoticed.
            assert same(found, state), f"the bit {bit} of byte {place} went unnoticed"


def test_an_altered_number_is_named_as_such(saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[:-1] + b"\x01")
    message = f"{saved}: not the state that was saved: its checksum differs, so it was altered"
    with pytest.raises(BadData, match=f"^{re.escape(message)}$"):
        states.load(saved)


@pytest.mark.parametrize(("was", "is_now"), [(b'"F32"', b'"I32"'), (b"[2,3]", b"[3,2]"), (b"[2,3]", b"[6,1]")])
def test_the_same_bytes_in_another_shape_or_type_are_noticed(saved: Path, was: bytes, is_now: bytes) -> None:
    content = saved.read_bytes()
    assert was in content
    saved.write_bytes(content.replace(was, is_now))
    with pytest.raises(BadData, match="its checksum differs"):
        states.load(saved)


def test_a_file_that_is_not_there_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="cannot be read: No such file or directory"):
        states.load(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip, as torch.save writes", b"\x00" * 100, b"\xff" * 100])
def test_another_kind_of_file_is_bad_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(BadData, match=r"state: not a state saved by unrolled \("):
        states.load(tmp_path / "state")


@pytest.mark.parametrize(
    "metadata",
    [None, {"state": "0"}, {"state": "{", "sha256": ""}, {"state": json.dumps({"kind": "tuple"}), "sha256": ""}],
)
def test_tensors_that_are_no_state_are_bad_data(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"0": torch.zeros(1)}, tmp_path / "state", metadata=metadata)
    with pytest.raises(BadData, match=r"not a state|not the state"):
        states.load(tmp_path / "state")


@pytest.mark.parametrize(
    "structure",
    [
        '{"kind": "tuple"}',
        '{"kind": "tuple", "keys": null, "parts": [7]}',
        '{"kind": "dict", "keys": [[]], "parts": [0]}',
        '{"kind": "dict", "keys": ["a", "b"], "parts": [0]}',
        '"0"',
        "{",
        '{"kind": "list", "keys": null, "parts": [' * 2000 + "0" + "]}" * 2000,
    ],
    ids=["no parts", "no such tensor", "a key that is no string", "too many keys", "a string", "cut off", "too deep"],
)
def test_a_forged_structure_is_bad_data_though_its_checksum_is_right(tmp_path: Path, structure: str) -> None:
    tensor = torch.zeros(1)
    metadata = {"state": structure, "sha256": states._checksum(structure, [tensor])}
    save_file({"0": tensor}, tmp_path / "state", metadata=metadata)
    with pytest.raises(BadData, match=r"state: not a state saved by unrolled \("):
        states.load(tmp_path / "state")
