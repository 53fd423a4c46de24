"""What is taken away from a distribution before a token is drawn from it. Each is a pure function.

Logits are (rows, vocabulary), of any floating type; -inf is what cannot be drawn, and stays so. Each function gives
logits of the same shape and type, and leaves at least one token of each row that had one. Sums of probabilities are
made in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.errors import BadOption


def top_k(logits: Tensor, k: int) -> Tensor:
    """The k most probable tokens, and those as probable as the k-th (Fan, Lewis & Dauphin 2018, arXiv:1805.04833);
    0: all of them.
    """
    if k < 0:
        raise BadOption(f"top_k must be 0 (off) or more, not {k}")
    if k == 0 or k >= logits.shape[1]:
        return logits
    least = logits.topk(k, dim=1).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def nucleus(logits: Tensor, p: float) -> Tensor:
    """The fewest most probable tokens whose probabilities sum to p or more (Holtzman et al. 2020, arXiv:1904.09751,
    section 3.1); 1: all of them. Of equally probable ones the first go first.
    """
    if not 0 < p <= 1:
        raise BadOption(f"top_p must be above 0 and at most 1 (off), not {p}")
    if p == 1:
        return logits
    ranked, order = logits.double().sort(dim=1, descending=True, stable=True)
    return _keep_mass(logits, ranked.softmax(1), order, p)


def min_p(logits: Tensor, p: float) -> Tensor:
    """Tokens at least p times as probable as the most probable one (Nguyen et al. 2024, arXiv:2407.01082);
    0: all of them.
    """
    if not 0 <= p <= 1:
        raise BadOption(f"min_p must be from 0 (off) to 1, not {p}")
    if p == 0:
        return logits
    # As differences in float64: the most probable one is exactly 0 below itself, and stays for p = 1 too.
    wide = logits.double()
    return logits.masked_fill(wide - wide.amax(1, keepdim=True) < math.log(p), -torch.inf)


def typical(logits: Tensor, p: float) -> Tensor:
    """The fewest tokens whose probabilities sum to p or more, where those go first whose surprise is nearest to what is
    expected (Meister et al. 2023, arXiv:2202.00666); 1: all of them.

        |H + log q(token)|,    H = - sum q log q
    """
    if not 0 < p <= 1:
        raise BadOption(f"typical must be above 0 and at most 1 (off), not {p}")
    if p == 1:
        return logits
    log_q = logits.double().log_softmax(1)
    q = log_q.exp()
    entropy = torch.special.entr(q).sum(1, keepdim=True)
    order = (entropy + log_q).abs().sort(dim=1, stable=True).indices
    return _keep_mass(logits, q.gather(1, order), order, p)


def repetition_penalty(logits: Tensor, history: Tensor, penalty: float) -> Tensor:
    """Tokens that were there before get less probable (Keskar et al. 2019, CTRL, arXiv:1909.05858, section 4.1).

    The paper divides their logits by the penalty. A negative logit is multiplied by it, else it would be made larger.

    Args:
        logits: as the model gave them: their offset counts here.
        history: (rows, length), long, what each row has had; negative: nothing, for rows of unequal length.
        penalty: above 0; 1: none.
    """
    if not 0 < penalty < math.inf:
        raise BadOption(f"repetition_penalty must be above 0, not {penalty}")
    if penalty == 1 or not history.shape[1]:
        return logits
    # One column more, for what is nothing.
    seen = torch.zeros(len(logits), logits.shape[1] + 1, dtype=torch.bool, device=logits.device)
    seen.scatter_(1, history.where(history >= 0, logits.shape[1]), True)
    return torch.where(seen[:, :-1], torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def _keep_mass(logits: Tensor, q: Tensor, order: Tensor, p: float) -> Tensor:
    """The first tokens in an order, up to and with the one at which their probabilities q, in that order, reach p."""
    dropped = torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, q.cumsum(1) - q >= p)
    return logits.masked_fill(dropped, -torch.inf)
