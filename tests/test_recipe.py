"""What to train: read from names and strings, checked as a whole, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled import recipe
from unrolled.cells.base import Cell
from unrolled.data.examples import Pair, Question
from unrolled.errors import BadOption, UnknownName
from unrolled.lookup import NameIn, names
from unrolled.recipe import Recipe, build, coerce, from_toml, option_table, reading_options
from unrolled.tasks.base import Task
from unrolled.training.settings import Settings

TASKS = names("unrolled.tasks", Task)
CELL = Annotated[str, NameIn("unrolled.cells", Cell, "cell")]


def problems(task: str, options: dict[str, Any], **further: Any) -> list[str]:
    with pytest.raises(BadOption) as raised:
        build(task, "data", options, **further)
    return str(raised.value).splitlines()


def test_options_go_where_they_belong() -> None:
    options = {"hidden_size": "64", "learning_rate": "1e-3", "tags": "xpos", "minimum_count": "2", "format": "conllu"}
    made = build("tagger", Path("ud"), options, output=Path("runs/x"), seed=3, minutes=1.5)
    assert (made.task, made.data, made.output, made.seed, made.minutes) == ("tagger", "ud", "runs/x", 3, 1.5)
    assert made.model == {"hidden_size": 64, "minimum_count": 2}
    assert made.training == Settings(**{**made.task_class.settings, "learning_rate": 1e-3})
    assert made.reading == {"tags": "xpos", "format": "conllu"}
    assert made.columns() == {"tags": "xpos"}


def test_all_problems_are_said_at_once_each_with_the_nearest_name() -> None:
    options = {"hiden_size": 3, "layers": "two", "cell": "lstn", "lable": "x", "schedule": "cosin", "layres": 1}
    assert problems("classifier", options, minutes=0, seed=-1) == [
        "unknown option 'hiden_size'; did you mean 'hidden_size'?",
        "option 'layers' takes int, not 'two'",
        "unknown cell 'lstn'; did you mean 'lstm'?",
        "unknown option 'lable'; did you mean 'label'?",
        "option 'schedule' takes constant or linear or cosine or one_cycle or plateau, not 'cosin'",
        "unknown option 'layres'; did you mean 'layers'?",
        "minutes must be more than 0, not 0",
        "seed must be 0 or more, and less than 2^63, not -1",
    ]


def test_a_setting_out_of_range_is_said_too() -> None:
    assert problems("tagger", {"batch_rows": 0, "hiden": 1})[-1] == "batch_rows must be 1 or more, not 0"


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"^unknown task 'clasifier'; did you mean 'classifier'\?$"):
        build("clasifier", "data")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "inf", "1e999"])
def test_numbers_are_finite(value: Any) -> None:
    assert problems("tagger", {"epochs": value}) == [f"option 'epochs' takes float, not {value!r}"]
    if isinstance(value, float):
        assert problems("tagger", {}, minutes=value) == [f"minutes must be more than 0, not {value}"]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        ("1e-3", float, 1e-3),
        ("3", float, 3.0),
        ("true", bool, True),
        ("no", bool, False),
        ("lstm", Literal["lstm", "none"], "lstm"),
        ("none", Literal["lstm", "none"], "none"),
        ("none", str | None, None),
        ("None", float | None, None),
        ("none", str, "none"),
        ("a:b", str, "a:b"),
        ("3", str, "3"),
        ("a,b", list[str], ["a", "b"]),
        ("a, b ,", tuple[str, ...], ("a", "b")),
        ("pos:2", dict[str, str], {"pos": "2"}),
        ("pos:2, form:x:y", dict[str, str], {"pos": "2", "form": "x:y"}),
        ("proj_size:4,bias:false", dict[str, Any] | None, {"proj_size": 4, "bias": False}),
        ("nonlinearity:relu", dict[str, Any], {"nonlinearity": "relu"}),
        ('{"proj_size": 4}', dict[str, Any], {"proj_size": 4}),
        ("[1, 2]", list[int], [1, 2]),
        ("lstm", CELL, "lstm"),
    ],
)
def test_a_string_is_read_as_the_option_means_it(text: str, annotation: Any, value: Any) -> None:
    found = coerce("x", text, annotation)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("three", int, "int, not 'three'"),
        ("3.5", int, "int, not '3.5'"),
        (None, int, "int, not None"),
        ("x", Literal["a", "b"], "a or b, not 'x'"),
        ("x", float | None, "float or none, not 'x'"),
        ("pos", dict[str, str], "key:value,…, not 'pos'"),
        ("pos:1,rest", dict[str, str], "key:value,…, not 'pos:1,rest'"),
        (3, CELL, "a name in `unrolled list cells`, not 3"),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, annotation: Any, words: str) -> None:
    with pytest.raises(BadOption) as raised:
        coerce("x", value, annotation)
    assert str(raised.value) == f"option 'x' takes {words}"


# ---------------------------------------------------------------------------------------------- TOML


def options_of(task: str) -> Any:
    """Some options of a task, with values that their types allow."""
    some: dict[str, Any] = {
        "hidden_size": st.integers(1, 10**6),
        "learning_rate": st.floats(1e-12, 1e3),
        "epochs": st.floats(1e-6, 1e6),
        "cell": st.sampled_from(names("unrolled.cells", Cell)),
        "cell_options": st.dictionaries(st.text("abc", min_size=1), st.integers() | st.booleans(), max_size=2),
        "label_separator": st.text(min_size=1, max_size=3) | st.none(),
        "format": st.text("abc \n\"'\\é", min_size=1),
        "optimizer": st.sampled_from(["adam", "sgd"]),
    }
    known = {name for section in option_table(task).values() for name in section}
    return st.fixed_dictionaries({}, optional={name: how for name, how in some.items() if name in known})


@settings(deadline=None)
@given(
    task=st.sampled_from(TASKS),
    data=st.data(),
    seed=st.integers(0, 2**63 - 1),
    minutes=st.none() | st.floats(1e-3, 1e5),
    plans=st.dictionaries(st.integers(1, 2**53), st.floats(1e-6, 1e6), max_size=3),
)
def test_a_recipe_is_read_back_as_it_was_written(
    task: str,
    data: Any,
    seed: int,
    minutes: float | None,
    plans: dict[int, float],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    given: dict[str, Any] = {"seed": seed, "minutes": minutes, "plans": plans}
    made = build(task, data.draw(st.text(min_size=1)), data.draw(options_of(task)), **given)
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    path.write_text(made.to_toml(), encoding="utf-8", newline="")
    again = from_toml(path)
    assert again.training == made.training
    left_out = {name for name in made.reading if made.reading[name] is None}  # what is None is not written
    assert dict(again.reading) == {name: value for name, value in made.reading.items() if name not in left_out}
    assert (again.task, again.data, again.seed, again.minutes) == (made.task, made.data, made.seed, made.minutes)
    assert dict(again.model) == dict(made.model)
    assert dict(again.plans) == plans


def toml(tmp_path: Path, text: str) -> Path:
    (tmp_path / "r.toml").write_text(text, encoding="utf-8")
    return tmp_path / "r.toml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('task = "tagger"', ["'data' is missing"]),
        ("", ["'task' is missing", "'data' is missing"]),
        ('task="tagger"\ndata="x"\nsead=1', ["unknown entry 'sead'; did you mean 'seed'?"]),
        ('task="tagger"\ndata="x"\nseed="one"', ["option 'seed' takes int, not 'one'"]),
        ('task=3\ndata="x"', ["option 'task' takes str, not 3"]),
        ('task="taggr"\ndata="x"', ["unknown task 'taggr'; did you mean 'tagger'?"]),
        ('task="tagger"\ndata="x"\nmodel=3', ["option 'model' takes key:value,…, not 3"]),
        (
            'task="tagger"\ndata="x"\n[plans]\nx=3.0',
            ["option 'plans' takes key:value,…, not {'x': 3.0}"],
        ),
        (
            'task="tagger"\ndata="x"\n[plans]\n3=-1.0',
            ["plans has steps and epochs, which must be more than 0"],
        ),
        (
            'task="tagger"\ndata="x"\n[model]\nlayrs=1\n[training]\nepochs="many"',
            ["unknown option 'layrs'; did you mean 'layers'?", "option 'epochs' takes float, not 'many'"],
        ),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_with_its_file(tmp_path: Path, text: str, words: list[str]) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(BadOption) as raised:
        from_toml(path)
    assert str(raised.value).splitlines() == [f"{path}: {line}" for line in words]


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"^cannot read the recipe .*none\.toml: No such file or directory$"):
        from_toml(tmp_path / "none.toml")
    with pytest.raises(BadOption, match=r"r\.toml is not a recipe in TOML: "):
        from_toml(toml(tmp_path, "task = = 3"))
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadOption, match=r"r\.toml is not a recipe in TOML: "):
        from_toml(tmp_path / "r.toml")


# ---------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("task", TASKS)
def test_every_default_is_a_value_of_its_own_option(task: str) -> None:
    for section, rows in option_table(task).items():
        assert rows, section
        for name, (kind, default) in rows.items():
            assert kind
            if default is not None:
                build(task, "data", {name: default})


@pytest.mark.parametrize("task", TASKS)
def test_the_sections_share_no_name(task: str) -> None:
    every = [name for rows in option_table(task).values() for name in rows]
    assert len(every) == len(set(every))


def test_columns_are_fields_of_the_example_that_are_no_confidence() -> None:
    assert set(option_table("classifier")["reading"]) == {"text", "values", "series", "label", *recipe.READING}
    assert set(option_table("tagger")["reading"]) == {"tokens", "values", "series", "tags", *recipe.READING}


@pytest.mark.parametrize(
    ("example", "columns"),
    [(Pair, {"source": "en", "target": "de"}), (Question, {"question": "q", "context": "story", "answer": "a"})],
)
def test_languages_and_columns_of_two_texts_are_options_of_reading(
    example: Any, columns: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unrolled.tasks.classifier.Classifier.example", example)
    monkeypatch.setattr("unrolled.tasks.classifier.Classifier.reads", ())
    built = build("classifier", "pairs", {**columns, "format": "tsv", "label_separator": " | "})
    assert built.columns() == columns
    assert built.reading == {**columns, "format": "tsv", "label_separator": " | "}
    assert set(option_table("classifier")["reading"]) == {
        *columns,
        "format",
        "features",
        "label_separator",
        "spacing",
        "division",
        "similarity",
        "split",
        "part",
    }
    with pytest.raises(BadOption, match="unknown option 'score'"):
        build("classifier", "pairs", {"score": "x"})


def test_the_options_of_reading_are_checked_by_themselves() -> None:
    assert reading_options("tagger", {"features": "pos:2", "tags": "4"}) == {"features": {"pos": "2"}, "tags": "4"}
    with pytest.raises(BadOption) as raised:
        reading_options("tagger", {"tgas": "4", "features": "pos"})
    assert str(raised.value).splitlines() == [
        "unknown option of reading 'tgas'; did you mean 'tags'?",
        "option 'features' takes key:value,…, not 'pos'",
    ]


def test_a_recipe_knows_its_task() -> None:
    assert Recipe(task="tagger", data="x").task_class.__name__ == "Tagger"
