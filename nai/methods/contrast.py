"""Contrastive losses on what a projection says of views: supervised, asymmetric, and of relations kept."""

import torch
from torch import Tensor

FAR = -1e9
"""In place of similarities that do not count: finite, so that no gradient is undefined, and exactly 0 once
exponentiated beside any that counts."""
REDUCTIONS = ("views", "anchors", "sum")


def unit(said: Tensor) -> Tensor:
    """Each row divided by its length, [rows, n]; the gradient of a row of zeros is finite."""
    return said / (said.square().sum(-1, keepdim=True) + 1e-12).sqrt()


def similarities(said: Tensor, live: Tensor, temperature: float | Tensor) -> Tensor:
    """Inner products over the temperature, [rows, rows]; FAR with oneself and with padding.

    said: [rows, n]; live: [rows] bool.
    """
    with torch.autocast(said.device.type, enabled=False):  # a small temperature blows rounding up
        found = said @ said.mT / temperature
    apart = ~torch.eye(len(live), dtype=torch.bool, device=live.device)
    return found.masked_fill(~(apart & live), FAR)


def log_shares(alike: Tensor) -> Tensor:
    """Log-probability of each other view by its similarity, [rows, rows]."""
    return alike - alike.logsumexp(-1, keepdim=True)


def supervised(
    said: Tensor, groups: Tensor, live: Tensor, anchors: Tensor, *, temperature: float, reduction: str
) -> Tensor:
    """The supervised contrastive loss of the anchors, [], against all live views.

    An anchor's loss is the mean of -log-probability over the views of its group, itself left out.
    groups: [rows], equal for views that shall be alike. anchors: [rows] bool; all live ones give the
    symmetric loss of Khosla et al. 2020, those of the current task the asymmetric one.
    reduction: views: the mean over live views, others than anchors counted as 0; anchors: over these; sum.
    Source: Cha, Lee, Shin 2021, equation 2 (a sum there, the mean over views in the authors' code).
    """
    shares = log_shares(similarities(said, live, temperature))
    other = live & ~torch.eye(len(live), dtype=torch.bool, device=live.device)
    positive = (groups[:, None] == groups) & other
    each = -(shares * positive).sum(-1) / positive.sum(-1).clamp(min=1)
    total = (each * (anchors & live)).sum()
    if reduction == "sum":
        return total
    return total / (live if reduction == "views" else anchors & live).sum().clamp(min=1)


def relations_kept(now: Tensor, past: Tensor, live: Tensor, *, warmth: tuple[float, float]) -> Tensor:
    """Cross-entropy of each live view's relations to all others from those that it had, [].

    now, past: what the projections say, [rows, n]; no gradient goes through `past`. warmth: temperatures of
    `now` and of `past`.
    Source: Cha, Lee, Shin 2021, equations 3 and 4 (instance-wise relation distillation).
    """
    was = log_shares(similarities(past, live, warmth[1])).exp()
    each = -(was * log_shares(similarities(now, live, warmth[0]))).sum(-1)
    return (each * live).sum() / live.sum().clamp(min=1)
