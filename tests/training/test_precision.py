"""The precision of a training: of its steps alone, never of its checks or of what runs between two events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import Classifier, api, console, console_training
from unrolled.errors import BadOption, NotFinite, UnknownName
from unrolled.kernels import library
from unrolled.recipe import build, from_toml
from unrolled.training.events import Check, Planned, Step
from unrolled.training.fit import fit
from unrolled.training.precision import in_effect
from unrolled.training.settings import Settings
from unrolled.unroll import fused

Made = Callable[..., Any]
Same = Callable[[dict[str, Tensor], dict[str, Tensor]], bool]

HALF = Settings(precision="bfloat16", epochs=2, batch_rows=8, learning_rate=0.02, checkpoint_seconds=0)
SINGLE = Settings(epochs=2, batch_rows=8, learning_rate=0.02, checkpoint_seconds=0)

needs_kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")


@pytest.fixture(autouse=True)
def _small_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "FEW", 0)


@pytest.fixture(autouse=True)
def _as_where_it_is_quicker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here but for where it has an effect holds on every machine that has kernels."""
    if "isa" not in request.fixturenames:
        monkeypatch.setattr(library, "halves_are_quicker", lambda: library.load() is not None)


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(library.VARIABLE, "none")
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def trained(task: Any, examples: list[Any], settings: Settings, **how: Any) -> dict[str, Tensor]:
    list(fit(task, examples[:24], examples[24:], settings=settings, **how))
    found: dict[str, Tensor] = task.state_dict()
    return found


# ---------------------------------------------------------------------- where it holds


@needs_kernels
@pytest.mark.parametrize("settings", [HALF, SINGLE], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("around", ["float32", "bfloat16"])
def test_it_holds_in_the_steps_and_nowhere_else_whatever_holds_around(
    scripted: Made, monkeypatch: pytest.MonkeyPatch, settings: Settings, around: str
) -> None:
    task, numbers = scripted([0.1] * 99)
    seen: dict[str, set[bool]] = {"loss": set(), "predict": set(), "events": set()}

    def spied(name: str, of: Callable) -> Callable:
        def spy(*given: Any, **named: Any) -> Any:
            seen[name].add(fused.is_half())
            return of(*given, **named)

        return spy

    for name in ("loss", "predict"):
        monkeypatch.setattr(task, name, spied(name, getattr(task, name)))
    with fused.precision(around):
        for _ in fit(task, numbers, numbers, settings=settings):
            seen["events"].add(fused.is_half())
        assert fused.is_half() is (around == "bfloat16")
    half = settings.precision == "bfloat16"
    assert seen == {"loss": {half}, "predict": {False}, "events": {around == "bfloat16"}}


@needs_kernels
def test_what_a_budget_measures_is_what_will_run(scripted: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    task, numbers = scripted([0.1] * 999)
    seen: list[tuple[str, bool]] = []
    loss, predict = type(task).loss, type(task).predict
    monkeypatch.setattr(type(task), "loss", lambda self, b: (seen.append(("loss", fused.is_half())), loss(self, b))[1])
    monkeypatch.setattr(
        type(task), "predict", lambda self, e: (seen.append(("predict", fused.is_half())), predict(self, e))[1]
    )
    events = fit(task, numbers, numbers, settings=HALF, minutes=1)
    assert isinstance(next(events), Planned)
    assert set(seen) == {("loss", True), ("predict", False)}


def test_a_training_that_is_dropped_or_diverges_leaves_nothing_behind(scripted: Made) -> None:
    task, numbers = scripted([0.1] * 9)
    events = fit(task, numbers, numbers, settings=HALF)
    next(events), next(events)
    events.close()
    assert not fused.is_half()
    events = fit(task, [*numbers, numbers[0]._replace(value=float("nan"))], numbers, settings=HALF)
    with pytest.raises(NotFinite):
        list(events)
    assert not fused.is_half()


@needs_kernels
def test_two_trainings_turn_about_are_the_two_one_after_the_other(
    sentences: Made, tagger: Made, weights: Made, same: Same
) -> None:
    examples = sentences(32)
    apart = [trained(tagger(examples), examples, settings) for settings in (HALF, SINGLE)]
    tasks = [tagger(examples), tagger(examples)]
    running = [
        fit(task, examples[:24], examples[24:], settings=settings)
        for task, settings in zip(tasks, (HALF, SINGLE), strict=True)
    ]
    for _ in zip(*running, strict=True):
        pass
    assert same(apart[0], weights(tasks[0]))
    assert same(apart[1], weights(tasks[1]))
    assert not same(apart[0], apart[1])


# ---------------------------------------------------------------------- what comes out


@needs_kernels
def test_a_step_is_the_one_by_hand_in_that_precision_and_the_weights_stay_float32(
    sentences: Made, tagger: Made, same: Same
) -> None:
    examples = sentences(32)
    settings = Settings(
        precision="bfloat16", optimizer="sgd", weight_decay=0.0, learning_rate=0.5, schedule="constant", warmup=0,
        epochs=1, batch_rows=24, clip_norm=0,
    )  # fmt: skip
    whole = {"dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0}
    task, twin, single = (tagger(examples, **whole) for _ in range(3))
    events = list(fit(task, examples[:24], examples[24:], settings=settings))
    assert len([event for event in events if isinstance(event, Step)]) == 1
    for by_hand, precision in ((twin, "bfloat16"), (single, "float32")):
        with fused.precision(precision):
            loss = by_hand.train().loss(by_hand.collate([by_hand.encode(example) for example in examples[:24]]))
            (loss.total / loss.count).backward()
        with torch.no_grad():
            for parameter in by_hand.parameters():
                parameter -= 0.5 * parameter.grad
    for name, value in task.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name], rtol=0, atol=1e-6)
    assert all(p.dtype is torch.float32 for p in task.parameters())
    largest = max(float((task.state_dict()[name] - value).abs().max()) for name, value in single.state_dict().items())
    assert 1e-6 < largest < 1e-2


@needs_kernels
def test_interrupted_and_resumed_it_is_the_undisturbed_run_and_goes_on_in_no_other_precision(
    sentences: Made, tagger: Made, tmp_path: Path, same: Same
) -> None:
    examples = sentences(32)
    whole = trained(tagger(examples, dropout=0.3), examples, HALF)
    events = fit(tagger(examples, dropout=0.3), examples[:24], examples[24:], settings=HALF, checkpoints=tmp_path)
    for _ in range(6):
        next(events)
    events.close()
    with pytest.raises(BadOption, match="precision was 'bfloat16', is now 'float32'"):
        trained(tagger(examples, dropout=0.3), examples, SINGLE, checkpoints=tmp_path, resumed=True)
    again = trained(tagger(examples, dropout=0.3), examples, HALF, checkpoints=tmp_path, resumed=True)
    assert same(whole, again)


# ---------------------------------------------------------------------- where it has an effect


@needs_kernels
def test_it_has_an_effect_on_the_cpu_in_float32(sentences: Made, tagger: Made) -> None:
    task = tagger(sentences(8))
    assert (in_effect(task, HALF), in_effect(task, SINGLE)) == ("bfloat16", "float32")
    assert in_effect(task.double(), HALF) == "float32"
    assert in_effect(task.float().to("meta"), HALF) == "float32"


def test_it_has_an_effect_with_the_kernels_that_have_instructions_for_it_alone(
    sentences: Made, tagger: Made, same: Same, isa: str
) -> None:
    examples = sentences(32)
    half, single = (trained(tagger(examples), examples, settings) for settings in (HALF, SINGLE))
    gains = isa in ("amx", "avx512bf16")
    assert same(half, single) is not gains
    plan = next(fit(tagger(examples), examples, examples, settings=HALF))
    assert isinstance(plan, Planned)
    assert plan.precision == ("bfloat16" if gains else "float32")
    told = console_training._planned(plan, build("tagger", "", {"precision": "bfloat16"}))
    stays = f"; in float32: precision=bfloat16 is for kernels that gain by it; here: {library.why()}"
    assert f"; here: {isa} (" in stays
    assert told.endswith("; in bfloat16" if gains else stays)


def test_without_kernels_it_has_none_and_the_plan_says_so(
    sentences: Made, tagger: Made, same: Same, no_kernels: None
) -> None:
    examples = sentences(32)
    half, single = (trained(tagger(examples), examples, settings) for settings in (HALF, SINGLE))
    assert same(half, single)
    plan = next(fit(tagger(examples), examples, examples, settings=HALF))
    assert isinstance(plan, Planned)
    assert plan.precision == "float32"
    told = console_training._planned(plan, build("tagger", "", {"precision": "bfloat16"}))
    stays = "; in float32: precision=bfloat16 is for kernels that gain by it; here: "
    assert told.endswith(f"{stays}none (UNROLLED_KERNELS=none)")
    assert "float32" not in console_training._planned(plan, build("tagger", ""))


# ---------------------------------------------------------------------- how it is said


@needs_kernels
def test_a_recipe_says_it_and_the_model_what_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"a {('fine', 'dull')[k % 2]} film number {k}\t{('pos', 'neg')[k % 2]}\n" for k in range(60)]
    (tmp_path / "texts.tsv").write_text("text\tlabel\n" + "".join(rows))
    options = {"hidden_size": 4, "word_size": 4, "epochs": 1, "checks": 1, "precision": "bfloat16"}
    recipe = build("classifier", tmp_path / "texts.tsv", options, output=tmp_path / "m")
    events = list(api.train(recipe))
    plan = events[0]
    assert isinstance(plan, Planned)
    assert plan.precision == "bfloat16"
    assert console_training._planned(plan, recipe).endswith(" steps; in bfloat16")
    assert any(isinstance(event, Check) for event in events)
    assert from_toml(tmp_path / "m" / "training.toml").training.precision == "bfloat16"
    assert json.loads((tmp_path / "m" / "metrics.json").read_text())["steps_in"] == "bfloat16"
    console.print_info(api.info(tmp_path / "m"), as_json=False)
    assert "trained         to the end, in bfloat16\n" in capsys.readouterr().out


@needs_kernels
def test_a_model_fitted_on_examples_at_hand_says_it_too(texts: Made, tmp_path: Path) -> None:
    model = Classifier(hidden_size=4, word_size=4, characters="none", precision="bfloat16")
    model.fit(texts(16), texts(8), epochs=1, checks=1).save_pretrained(tmp_path / "m")
    assert api.info(tmp_path / "m")["metrics"]["steps_in"] == "bfloat16"


def test_a_precision_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"^unknown precision 'bfloat61'; did you mean 'bfloat16'\?"):
        Settings(precision="bfloat61")  # type: ignore[arg-type]
    with pytest.raises(BadOption, match=r"^option 'precision' takes float32 or bfloat16, not 'bfloat61'$"):
        build("tagger", "x", {"precision": "bfloat61"})
