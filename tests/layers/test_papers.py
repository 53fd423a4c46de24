"""Encoder and decoder against the papers' equations, one sentence at a time, in plain loops over vectors.

Nothing of `unrolled.layers` runs here but the network itself: the encoder is torch's, the decoder's matrices are taken
from the network's parameters and used as the papers write them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unrolled.layers.encoder_decoder import EncoderDecoder

Parameters = dict[str, Tensor]


def gru(p: Parameters, name: str, x: Tensor, h: Tensor) -> Tensor:
    """One tick of torch's GRU; rows of the matrices are those of r, z, n."""
    w = p[f"{name}.weight_ih"] @ x + p[f"{name}.bias_ih"]
    u = p[f"{name}.weight_hh"] @ h + p[f"{name}.bias_hh"]
    (w_r, w_z, w_n), (u_r, u_z, u_n) = w.chunk(3), u.chunk(3)
    r, z = torch.sigmoid(w_r + u_r), torch.sigmoid(w_z + u_z)
    return (1 - z) * torch.tanh(w_n + r * u_n) + z * h


def annotations(p: Parameters, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """h_j = [forwards; backwards] of each word, and the two last states: by `torch.nn.GRU`."""
    table = p["encoder.embedding.weight"]
    one = nn.GRU(table.shape[1], p["encoder.stack.layers.0.ahead.cell.weight_hh"].shape[1], bidirectional=True).double()
    names = {"": "ahead", "_reverse": "back"}
    one.load_state_dict(
        {
            f"{kind}_l0{end}": p[f"encoder.stack.layers.0.{name}.cell.{kind}"]
            for end, name in names.items()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
    )
    with torch.no_grad():
        outputs, (ahead, back) = one(table[words])
    return outputs, ahead, back


def softmax(scores: list[Tensor]) -> list[Tensor]:
    total = sum(torch.exp(e) for e in scores)
    return [torch.exp(e) / total for e in scores]


def weighted(weights: list[Tensor], vectors: Tensor) -> Tensor:
    return sum(a * m for a, m in zip(weights, vectors, strict=True))


def of(p: Parameters, *names: str) -> list[Tensor]:
    return [p[name] for name in names]


def first_state(p: Parameters, ahead: Tensor, back: Tensor) -> Tensor:
    return torch.tanh(p["bridge.maps.0.weight"] @ torch.cat([ahead, back]) + p["bridge.maps.0.bias"])


def spoken(p: Parameters, readout: Tensor) -> Tensor:
    return torch.softmax(p["softmax.weight"] @ readout + p["softmax.bias"], dim=0)


def bahdanau(p: Parameters, source: Tensor, read: list[int]) -> list[Tensor]:
    """Sections 3.1, A.1.2 and A.2.2, with torch's GRU and a tanh for the maxout."""
    m, ahead, back = annotations(p, source)
    w_k, w_q, b, v = of(p, *(f"decoder.attention.score.{n}" for n in ("key.weight", "query.weight", "query.bias")),
                        "decoder.attention.score.value.weight")  # fmt: skip
    s, said = first_state(p, ahead, back), []
    for word in read:
        y = p["target.weight"][word]
        c = weighted(softmax([v[0] @ torch.tanh(w_q @ s + w_k @ m_j + b) for m_j in m]), m)
        s = gru(p, "decoder.cells.0", torch.cat([y, c]), s)
        shown = torch.cat([y, s, c])
        said.append(spoken(p, torch.tanh(p["decoder.readout.map.weight"] @ shown + p["decoder.readout.map.bias"])))
    return said


def luong(p: Parameters, source: Tensor, read: list[int]) -> list[Tensor]:
    """Section 3.1, eq. 5, 7 and 8 (general), with the input feeding of section 3.3."""
    m, ahead, back = annotations(p, source)
    h, fed, said = first_state(p, ahead, back), torch.zeros(8).double(), []
    for word in read:
        h = gru(p, "decoder.cells.0", torch.cat([p["target.weight"][word], fed]), h)
        c = weighted(softmax([h @ p["decoder.attention.key.weight"] @ m_j for m_j in m]), m)
        fed = torch.tanh(p["decoder.readout.map.weight"] @ torch.cat([h, c]) + p["decoder.readout.map.bias"])
        said.append(spoken(p, fed))
    return said


def see(p: Parameters, source: Tensor, read: list[int], places: Tensor) -> tuple[list[Tensor], float]:
    """Eq. 1 to 13, with attention after the cell, as there; also the coverage loss."""
    m, ahead, back = annotations(p, source)
    w_h, w_s, b, v, w_c = of(p, *(f"decoder.attention.score.{n}" for n in ("key.weight", "query.weight", "query.bias")),
                             "decoder.attention.score.value.weight", "decoder.attention.cover")  # fmt: skip
    s, said, lost = first_state(p, ahead, back), [], 0.0
    coverage = torch.zeros(len(m)).double()
    for word in read:
        x = p["target.weight"][word if word < 13 else 0]
        s = gru(p, "decoder.cells.0", x, s)
        a = softmax(
            [v[0] @ torch.tanh(w_h @ m_i + w_s @ s + w_c * c_i + b) for m_i, c_i in zip(m, coverage, strict=True)]
        )
        context = weighted(a, m)
        lost += float(torch.minimum(torch.stack(a), coverage).sum())
        coverage = coverage + torch.stack(a)
        shown = torch.tanh(p["decoder.readout.map.weight"] @ torch.cat([s, context]) + p["decoder.readout.map.bias"])
        gate = p["pointer.gate.weight"][0] @ torch.cat([context, s, x]) + p["pointer.gate.bias"][0]
        generates = torch.sigmoid(gate)
        final = torch.zeros(16).double()
        final[:13] = generates * spoken(p, shown)
        for a_i, place in zip(a, places, strict=True):
            final[place] += (1 - generates) * a_i
        said.append(final)
    return said, lost


def of_network(one: EncoderDecoder) -> Parameters:
    return {name: t.detach() for name, t in one.named_parameters()}


def must_agree(one: EncoderDecoder, batch: Any, wanted: list[list[Tensor]], more: float = 0.0) -> None:
    """The losses of all targets, to which the whole loss adds so much more."""
    total = sum(
        -math.log(float(probabilities[int(word)]))
        for row, said in zip(wanted, batch.said, strict=True)
        for probabilities, word in zip(row, said, strict=True)
    )
    _, read, said = batch.packed()
    memory = batch.memory(one)
    assert one.losses(memory, read, said).data.sum().item() == pytest.approx(total, rel=1e-9)
    assert one.loss(memory, read, said).item() == pytest.approx(total + more, rel=1e-9)


def test_bahdanau_cho_and_bengio(network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    one, batch = network(), pairs()
    p = of_network(one)
    must_agree(one, batch, [bahdanau(p, s, r.tolist()) for s, r in zip(batch.sources, batch.read, strict=True)])


def test_luong_pham_and_manning(network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    one, batch = network(attention="general", place="after", feeding="input", readout="context"), pairs()
    p = of_network(one)
    must_agree(one, batch, [luong(p, s, r.tolist()) for s, r in zip(batch.sources, batch.read, strict=True)])


def test_see_liu_and_manning(network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    one = network(place="after", readout="context", coverage="scores", copying="pointer", coverage_loss=0.7)
    batch, p = pairs(copies=True), of_network(one)
    rows = zip(batch.sources, batch.read, batch.copied, strict=True)
    wanted, lost = zip(*(see(p, source, read.tolist(), copied) for source, read, copied in rows), strict=True)
    must_agree(one, batch, list(wanted), more=0.7 * sum(lost))


def test_probabilities_of_copies_add_up_to_1(network: Callable[..., EncoderDecoder], pairs: Callable[..., Any]) -> None:
    one, batch = network(copying="pointer"), pairs(copies=True)
    memory = batch.memory(one)
    logits, _ = one.step(torch.tensor([1, 15, 3, 14]), memory.state, memory)
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(4).double())
    for row, words in zip(logits, batch.copied, strict=True):
        has = {int(word) for word in words}
        assert [bool(row[k] > -math.inf) for k in (13, 14, 15)] == [k in has for k in (13, 14, 15)]
