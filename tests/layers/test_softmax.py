"""The softmax over a vocabulary: its loss and gradients are those of the whole logits, however they are made."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unrolled.errors import BadOption
from unrolled.kernels import library
from unrolled.kernels import softmax as kernels
from unrolled.layers import softmax
from unrolled.layers.embedding import Embedding
from unrolled.layers.softmax import Softmax
from unrolled.unroll import fused

needs_kernels = pytest.mark.skipif(library.load() is None, reason=f"there are no compiled kernels: {library.why()}")

WORDS, HIDDEN, ROWS = (1, 2, 17, 1000, 4099), (1, 7, 64, 300), (1, 3, 65, 700)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were no compiled kernels."""
    monkeypatch.setattr(softmax, "_runs", lambda given: False)


def layer_and_batch(words: int, hidden: int, rows: int) -> tuple[Softmax, Tensor, Tensor]:
    layer = Softmax(hidden, words)
    return layer, torch.randn(rows, hidden), torch.randint(0, words, (rows,))


Options = dict[str, object]


def found(layer: Softmax, x: Tensor, targets: Tensor, options: Options) -> dict[str, Tensor]:
    x, parameters = x.clone().requires_grad_(), [layer.weight, layer.bias]
    loss = layer.loss(x, targets, **options)
    if options.get("reduction") == "none":
        loss = (loss * counting(len(x))).sum()
    gradients = torch.autograd.grad(loss, [x, *parameters])
    smoothing = {k: v for k, v in options.items() if k == "label_smoothing"}
    return {"loss": loss, "losses": layer.losses(x, targets, **smoothing)} | dict(
        zip(("x", "weight", "bias"), gradients, strict=True)
    )


def counting(rows: int) -> Tensor:
    """What comes in for each element where the losses are not summed up: of both signs, and nothing for some."""
    return torch.linspace(-2, 1, rows).round(decimals=1)


def wanted(layer: Softmax, x: Tensor, targets: Tensor, options: Options) -> dict[str, Tensor]:
    """The same from the whole logits, in float64."""
    tensors = [t.detach().double().requires_grad_() for t in (x, layer.weight, layer.bias)]
    smoothing = options.get("label_smoothing", 0.0)
    losses = functional.cross_entropy(functional.linear(*tensors), targets, reduction="none", label_smoothing=smoothing)
    weights = options.get("weights")
    weights = torch.ones(len(x)).double() if weights is None else weights.double()
    reduction = options.get("reduction", "mean")
    each = losses * weights * (counting(len(x)).double() if reduction == "none" else 1)
    loss = each.sum() / (weights.sum() if reduction == "mean" else 1)
    return {"loss": loss, "losses": losses} | dict(
        zip(("x", "weight", "bias"), torch.autograd.grad(loss, tensors), strict=True)
    )


def agree(got: dict[str, Tensor], right: dict[str, Tensor], within: float, case: object) -> None:
    """Within so much of each tensor's scale. A tensor of a few numbers may be small because what it sums up cancels:
    there a tenth of that of 1 is the measure, which is what is summed up at most."""
    for what, value in right.items():
        error, scale = (got[what].double() - value).abs().max(), value.detach().abs().max()
        if value.numel() <= 16:
            scale = scale.clamp(min=0.1)
        assert error <= within * scale, (case, what, float(error), float(scale))


@pytest.mark.parametrize("words", WORDS)
def test_loss_and_gradients_are_those_of_the_whole_logits(isa: str, words: int) -> None:
    for hidden, rows in itertools.product(HIDDEN, ROWS):
        if words * hidden * rows > 5e7 and isa in ("avx2", "portable"):
            continue  # a smaller one shows as much
        case = layer_and_batch(words, hidden, rows)
        agree(found(*case, {}), wanted(*case, {}), 2e-6, (isa, words, hidden, rows))


OPTIONS: dict[str, Options] = {
    "smoothed": {"label_smoothing": 0.1},
    "weighted": {"weights": torch.linspace(0, 3, 65)},
    "sum": {"reduction": "sum"},
    "each": {"reduction": "none"},
    "each, and all": {"label_smoothing": 0.3, "weights": torch.linspace(0.5, 2, 65), "reduction": "none"},
    "all": {"label_smoothing": 0.3, "weights": torch.linspace(0.5, 2, 65), "reduction": "sum"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_mean_what_they_mean_to_torch(isa: str, name: str) -> None:
    for words, hidden in ((2, 7), (17, 64), (1000, 300)):
        case = layer_and_batch(words, hidden, 65)
        agree(found(*case, OPTIONS[name]), wanted(*case, OPTIONS[name]), 2e-6, (isa, words, hidden))


@pytest.mark.parametrize("words", [2, 17, 1000, 4099])
def test_in_bfloat16_within_a_hundredth(isa: str, words: int) -> None:
    for hidden, rows in itertools.product((7, 64, 300), (3, 65)):
        case = layer_and_batch(words, hidden, rows)
        with fused.precision("bfloat16"):
            got = found(*case, {"label_smoothing": 0.1})
        right = wanted(*case, {"label_smoothing": 0.1})
        agree(got, right, 1e-2, (isa, words, hidden, rows))
        assert not torch.equal(got["x"], found(*case, {"label_smoothing": 0.1})["x"])


@needs_kernels
def test_several_chunks_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    case = layer_and_batch(300, 20, 130)
    for rows in (1, 2, 7, 64, 129, 130):
        monkeypatch.setattr(kernels, "chunk", lambda *_, rows=rows, **__: rows)
        agree(found(*case, {}), wanted(*case, {}), 2e-6, rows)


def test_a_chunk_s_logits_stay_small() -> None:
    for rows, words, half in itertools.product((1, 7, 1120, 100_000), (1, 10_000, 50_000), (False, True)):
        each = kernels.chunk(rows, words, half)
        assert 1 <= each <= max(kernels.FEWEST, kernels.ROOM // (words * (2 if half else 4)))
        assert math.ceil(rows / each) * each - rows < each


@needs_kernels
@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_several_threads_agree_with_one_and_with_themselves(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.kernels.recurrence.SMALL", 0)
    case = layer_and_batch(1000, 33, 70)
    before, results = torch.get_num_threads(), {}
    try:
        for threads in (1, 2, 3, 5, 40):
            torch.set_num_threads(threads)
            with fused.precision(name):
                results[threads] = found(*case, {})
                again = found(*case, {})
            assert all(torch.equal(again[what], value) for what, value in results[threads].items())
    finally:
        torch.set_num_threads(before)
    for threads, result in results.items():
        assert torch.equal(result["losses"], results[1]["losses"])
        agree(result, {k: v.double() for k, v in results[1].items()}, 2e-6, threads)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_inference_gives_training_s_loss_bit_for_bit(isa: str, name: str) -> None:
    layer, x, targets = layer_and_batch(1000, 64, 65)
    with fused.precision(name):
        kept = layer.loss(x, targets)
        with torch.no_grad():
            assert torch.equal(layer.loss(x, targets), kept)
        each = layer.loss(x, targets, reduction="none")
        assert torch.equal(each.detach(), layer.losses(x, targets))


def test_plain_torch_gives_the_same(plain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "chunk", lambda *_, **__: 20)
    for name, options in OPTIONS.items():
        case = layer_and_batch(100, 7, 65)
        agree(found(*case, options), wanted(*case, options), 2e-6, name)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_gradients_are_multiplied_by_what_comes_in(factor: float) -> None:
    layer, x, targets = layer_and_batch(17, 7, 5)
    (once,) = torch.autograd.grad(layer.loss(x, targets), layer.weight)
    (more,) = torch.autograd.grad(factor * layer.loss(x, targets), layer.weight)
    torch.testing.assert_close(more, factor * once)


def test_a_graph_can_be_gone_through_twice() -> None:
    layer, x, targets = layer_and_batch(17, 7, 5)
    loss = layer.loss(x, targets)
    loss.backward(retain_graph=True)
    first = layer.weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(layer.weight.grad, 2 * first)


def test_derivatives_first_and_second_are_right_in_float64() -> None:
    layer, x, targets = layer_and_batch(5, 3, 4)
    layer.double()

    def loss(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given = softmax.Given(x, weight, bias, targets)
        return softmax.total(given, torch.linspace(0.5, 1, 4).double(), 0.1)

    def each(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return softmax.each(softmax.Given(x, weight, bias, targets), 0.1)

    inputs = (x.double().requires_grad_(), layer.weight, layer.bias)
    for function in (loss, each):
        assert torch.autograd.gradcheck(function, inputs)
        assert torch.autograd.gradgradcheck(function, inputs)


def test_second_derivatives_of_the_kernels_are_the_references() -> None:
    layer, x, targets = layer_and_batch(17, 7, 5)

    def penalty(loss: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        (first,) = torch.autograd.grad(loss(x), x, create_graph=True)
        return torch.autograd.grad((first**2).sum(), x)[0]

    right = penalty(lambda x: functional.cross_entropy(layer(x), targets), x)
    torch.testing.assert_close(penalty(lambda x: layer.loss(x, targets), x), right)
    torch.testing.assert_close(penalty(lambda x: layer.loss(x, targets, reduction="none").mean(), x), right)


def test_a_tied_weight_gets_both_gradients() -> None:
    embedding, targets = Embedding(17, 7), torch.randint(0, 17, (4, 6))
    layer = Softmax(7, 17, weight=embedding.weight)
    layer.loss(embedding(targets), targets).backward()
    weight = embedding.weight.detach().double().requires_grad_()
    x = functional.embedding(targets, weight)
    logits = functional.linear(x, weight, layer.bias.detach().double())
    functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    torch.testing.assert_close(embedding.weight.grad.double(), weight.grad, rtol=1e-5, atol=1e-7)
    assert list(dict(nn.ModuleList([embedding, layer]).named_parameters())) == ["0.weight", "1.bias"]


@pytest.mark.parametrize("frozen", ["x", "weight", "bias"])
def test_gradients_that_nobody_asks_for_are_left_out(frozen: str) -> None:
    layer, x, targets = layer_and_batch(1000, 7, 65)
    right = wanted(layer, x, targets, {})
    tensors = {"x": x.requires_grad_(), "weight": layer.weight, "bias": layer.bias}
    tensors[frozen].requires_grad_(False)
    layer.loss(x, targets).backward()
    assert tensors[frozen].grad is None
    agree(
        {k: t.grad for k, t in tensors.items() if k != frozen}, {k: right[k] for k in tensors if k != frozen}, 2e-6, 0
    )


def test_without_a_bias(isa: str) -> None:
    layer, x, targets = Softmax(7, 100, bias=False), torch.randn(5, 7), torch.randint(0, 100, (5,))
    torch.testing.assert_close(layer.loss(x, targets), functional.cross_entropy(layer(x), targets))


def test_extreme_logits_stay_finite(isa: str) -> None:
    layer, _, targets = layer_and_batch(1000, 1, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1e4, 1e4, 1000).unsqueeze(1))
    case = layer, torch.tensor([[1.0], [-1.0], [0.5], [0.0], [1e-4]]), targets
    agree(found(*case, {}), wanted(*case, {}), 2e-6, isa)


def test_words_that_a_bias_rules_out_get_no_share(isa: str) -> None:
    layer, x, targets = layer_and_batch(300, 7, 5)
    with torch.no_grad():
        layer.bias[:200] = -torch.inf
    case = layer, x, targets % 100 + 200
    agree(found(*case, {}), wanted(*case, {}), 2e-6, isa)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_gives_nan_in_its_row_alone(isa: str, value: float) -> None:
    layer, x, targets = layer_and_batch(100, 7, 20)
    clean = layer.losses(x, targets)
    x[3, 2] = value
    for name in ("float32", "bfloat16"):
        with fused.precision(name):
            losses = layer.losses(x, targets)
            assert losses.isnan().nonzero().tolist() == [[3]]
            assert layer.loss(x.requires_grad_(), targets).isnan()
        if name == "float32":
            assert torch.equal(losses[4:], clean[4:])


@pytest.mark.parametrize("way", ["kernels", "plain"])
@pytest.mark.parametrize(("target", "said"), [(-1, "not -1"), (17, "not 17"), (-100, "not -100")])
def test_a_target_that_is_no_word_is_refused(way: str, target: int, said: str, request: pytest.FixtureRequest) -> None:
    if way == "plain":
        request.getfixturevalue("plain")
    layer, x, targets = layer_and_batch(17, 7, 5)
    targets[2] = target
    for gradients in (False, True):
        with torch.set_grad_enabled(gradients), pytest.raises(BadOption, match=f"at least 0 and below 17, {said}"):
            layer.loss(x, targets)


def test_what_cannot_be_is_said() -> None:
    layer, x, targets = layer_and_batch(17, 7, 5)
    cases: list[tuple[str, Callable[[], object]]] = [
        ("the reduction is 'mean', 'sum' or 'none', not 'all'", lambda: layer.loss(x, targets, reduction="all")),
        ("label smoothing must be at least 0 and below 1, not 1", lambda: layer.loss(x, targets, label_smoothing=1)),
        (r"x must be \(…, 7\) and targets", lambda: layer.loss(x[:, :6], targets)),
        (r"x must be \(…, 7\) and targets", lambda: layer.loss(x, targets[:4])),
        ("targets must be long", lambda: layer.loss(x, targets.int())),
        (r"weights must be \(5,\)", lambda: layer.loss(x, targets, weights=torch.ones(4))),
        ("with gradient", lambda: layer.loss(x, targets, weights=torch.ones(5, requires_grad=True))),
        ("1 or more, not 0", lambda: Softmax(7, 0)),
        (r"\(17, 7\), not \(17, 8\)", lambda: Softmax(7, 17, weight=nn.Parameter(torch.ones(17, 8)))),
    ]
    for said, call in cases:
        with pytest.raises(BadOption, match=said):
            call()


@needs_kernels
def test_the_kernels_are_not_given_what_they_do_not_take() -> None:
    x, weight, targets = torch.randn(5, 7), torch.randn(17, 7), torch.randint(0, 17, (5,))
    wrong = [
        (kernels.Given(x.double(), weight, None, targets), 0.0, None),
        (kernels.Given(x[:, :6], weight, None, targets), 0.0, None),
        (kernels.Given(x, weight, torch.randn(16), targets), 0.0, None),
        (kernels.Given(x, weight, None, targets[:4]), 0.0, None),
        (kernels.Given(x, weight, None, targets.int()), 0.0, None),
        (kernels.Given(x, weight, None, targets), 1.0, None),
        (kernels.Given(x, weight, None, targets), 0.0, torch.ones(4)),
    ]
    for given, smoothing, factors in wrong:
        factors = torch.ones(5) if factors is None else factors
        with pytest.raises(ValueError, match=r"must be|no compiled kernels"):
            kernels.losses_and_gradients(given, smoothing, factors, (True, True, True))


def test_strides_of_any_kind_and_no_rows_at_all() -> None:
    layer, x, targets = layer_and_batch(17, 7, 12)
    right = layer.losses(x, targets)
    assert torch.equal(layer.losses(x.t().contiguous().t(), targets), right)
    assert torch.equal(layer.losses(x.repeat(1, 2)[:, :7], targets.repeat_interleave(2)[::2]), right)
    assert torch.equal(layer.losses(x.view(3, 4, 7), targets.view(3, 4)), right.view(3, 4))
    layer.loss(x[:0], targets[:0], reduction="sum").backward()
    assert not layer.weight.grad.any()


def test_autocast_asks_for_bfloat16() -> None:
    layer, x, targets = layer_and_batch(1000, 64, 65)
    with torch.autocast("cpu", torch.bfloat16):
        loss = layer.loss(x.bfloat16(), targets)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, layer.loss(x, targets), rtol=1e-2, atol=0)


def test_torch_func_takes_another_way() -> None:
    layer, x, targets = layer_and_batch(17, 7, 5)
    layer.requires_grad_(False)
    (right,) = torch.autograd.grad(layer.loss(x.requires_grad_(), targets), x)
    torch.testing.assert_close(torch.func.grad(lambda x: layer.loss(x, targets))(x.detach()), right)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (0,)])
def test_each_element_s_loss_has_its_place(shape: tuple[int, ...]) -> None:
    layer, x, targets = Softmax(7, 17), torch.randn(*shape, 7), torch.randint(0, 17, shape)
    logits = layer(x).movedim(-1, min(1, len(shape)))
    torch.testing.assert_close(
        layer.loss(x, targets, reduction="none"), functional.cross_entropy(logits, targets, reduction="none")
    )
