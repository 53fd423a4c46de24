"""The same recurrences by other libraries, for `speed.py`: onnxruntime one element at a time, jax's scan.

Each function gives None where its library is not installed (`pip install onnx onnxruntime`, `pip install jax`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from unrolled.kernels.recurrence import Weights

Run = Callable[[], object]


def onnx_steps(w: Weights, x: Tensor, elements: int) -> Run | None:
    """An LSTM by onnxruntime, one element at a time, its state bound to its own outputs."""
    try:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    hidden = w.hh.shape[1]

    def turned(t: Tensor) -> np.ndarray:  # torch's i f g o as ONNX's i o f g
        i, f, g, o = t.chunk(4)
        return torch.cat([i, o, f, g]).unsqueeze(0).numpy()

    assert w.bias_ih is not None
    assert w.bias_hh is not None
    bias = np.concatenate([turned(w.bias_ih), turned(w.bias_hh)], axis=1)
    constants = {"W": turned(w.ih), "R": turned(w.hh), "B": bias}
    node = helper.make_node("LSTM", ["X", "W", "R", "B", "", "h0", "c0"], ["Y", "h", "c"], hidden_size=hidden)
    shapes = {"X": [1, 1, x.shape[1]], "h0": [1, 1, hidden], "c0": [1, 1, hidden], "h": [1, 1, hidden]}
    shapes["c"] = shapes["h"]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    graph = helper.make_graph(
        [node],
        "step",
        [values[name] for name in ("X", "h0", "c0")],
        [values[name] for name in ("h", "c")],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    element = x.unsqueeze(0).numpy()

    def run() -> None:
        h = c = np.zeros((1, 1, hidden), dtype=np.float32)
        for _ in range(elements):
            h, c = session.run(["h", "c"], {"X": element, "h0": h, "c0": c})

    return run


def jax_training(w: Weights, x: Tensor, lengths: Tensor) -> Run | None:
    """An LSTM by jax's scan, compiled, with all gradients. x: (time, batch, input), padded; a row that ended stays."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    assert w.bias_ih is not None
    assert w.bias_hh is not None
    ih, hh, bias = (jnp.asarray(t.detach().numpy()) for t in (w.ih, w.hh, w.bias_ih + w.bias_hh))
    alive = jnp.asarray((torch.arange(len(x))[:, None] < lengths).numpy())[..., None]

    def total(parameters: tuple, x: jax.Array) -> jax.Array:
        ih, hh, bias = parameters

        def step(state: tuple, at: tuple) -> tuple:
            (h, c), (px, alive) = state, at
            i, f, g, o = jnp.split(px + h @ hh.T, 4, axis=-1)
            new = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            shown = jax.nn.sigmoid(o) * jnp.tanh(new)
            return (jnp.where(alive, shown, h), jnp.where(alive, new, c)), jnp.where(alive, shown, 0)

        zeros = jnp.zeros((x.shape[1], hh.shape[1]))
        return jax.lax.scan(step, (zeros, zeros), (x @ ih.T + bias, alive))[1].sum()

    compiled = jax.jit(jax.grad(total, argnums=(0, 1)))
    data = jnp.asarray(x.numpy())
    return lambda: jax.block_until_ready(compiled((ih, hh, bias), data))
