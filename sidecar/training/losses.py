"""The losses, over groups of passages: `(1−α)·main + α·T²·KL(softmax(t/T) ‖ softmax(s/T))`.

In all functions `scores` (s, the student's), `target` (y, labels or a teacher's scores), `teacher` (t) and `mask` (true
where there is a passage) are groups x passages; smaller groups are padded, and the padding has no influence.
Every loss is the mean over groups, so each query has the same weight, whatever its number of passages.

Sources: DeAR (arXiv 2508.16998) for the sum, RankNet and its soft targets; RankNet: Burges et al., ICML 2005; ListNet:
Cao et al., ICML 2007; LambdaRank as a loss: Wang et al., "The LambdaLoss Framework for Ranking Metric Optimization",
CIKM 2018; distillation with a temperature: Hinton et al., arXiv 1503.02531.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

LAMBDA_DEPTH = 5

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def ranknet(scores: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Compute binary cross-entropy of sᵢ−sⱼ against sigmoid(yᵢ−yⱼ), the mean over the pairs i < j of a group.

    Equal targets want equal scores (one half), as in the authors' formula.
    """
    pairs = _pairs(mask).triu(diagonal=1)
    wanted = _differences(target).sigmoid()
    losses = functional.binary_cross_entropy_with_logits(_differences(scores), wanted, reduction="none")
    return (_over_pairs(losses, pairs) / pairs.sum((1, 2)).clamp(min=1)).mean()


def softmax(scores: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Compute cross-entropy of the softmax of scores against the best passage; several best ones share its weight."""
    best = (target == target.masked_fill(~mask, -torch.inf).amax(1, keepdim=True)) & mask
    return _cross_entropy(scores, best.to(scores.dtype) / best.sum(1, keepdim=True), mask)


def listnet(scores: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Compute KL of the softmax of scores from the softmax of targets: ListNet's top-one distributions."""
    return divergence(scores, target, mask, temperature=1.0)


def lambda_rank(scores: Tensor, target: Tensor, mask: Tensor, *, depth: int = LAMBDA_DEPTH) -> Tensor:
    """Compute RankNet's loss of each pair with yᵢ > yⱼ times |ΔnDCG@k|, summed over a group.

    Wang et al., section 4.2: |Gᵢ−Gⱼ| · |1/Dᵢ−1/Dⱼ| · log(1 + exp(−(sᵢ−sⱼ))), with the gain G = (2^y − 1) / maxDCG,
    the discount D = log₂(1 + rank) by the present scores, and 1/D = 0 beyond rank k. Targets are labels. If all
    labels are 0, so is the loss.
    """
    gains = (torch.exp2(target) - 1).masked_fill(~mask, 0)
    inverse = _inverse_discounts(scores.detach().masked_fill(~mask, -torch.inf), depth)
    best = (gains.sort(dim=1, descending=True).values * _by_rank(gains, depth)).sum(1)
    gains = gains / torch.where(best > 0, best, torch.ones_like(best))[:, None]
    change = _differences(gains).abs() * _differences(inverse).abs()
    better = _pairs(mask) & (_differences(target) > 0)
    return _over_pairs(functional.softplus(-_differences(scores)) * change, better).mean()


def divergence(scores: Tensor, teacher: Tensor, mask: Tensor, *, temperature: float) -> Tensor:
    """Compute KL(softmax(t/T) ‖ softmax(s/T)), without the factor T²."""
    wanted = _log_softmax(teacher / temperature, mask)
    found = _log_softmax(scores / temperature, mask)
    return (wanted.exp() * (wanted - found)).masked_fill(~mask, 0).sum(1).mean()


def combined(  # noqa: PLR0913  the formula's letters, by keyword
    main: Loss,
    scores: Tensor,
    target: Tensor,
    mask: Tensor,
    *,
    teacher: Tensor | None,
    weight: float,
    temperature: float,
) -> Tensor:
    """Compute `(1−α)·main + α·T²·KL`, α being `weight`; without a teacher only the main loss."""
    if teacher is None or weight == 0:
        return main(scores, target, mask)
    distilled = temperature**2 * divergence(scores, teacher, mask, temperature=temperature)
    return distilled if weight == 1 else (1 - weight) * main(scores, target, mask) + weight * distilled


LOSSES: dict[str, Loss] = {"ranknet": ranknet, "softmax": softmax, "listnet": listnet, "lambda": lambda_rank}


def _differences(values: Tensor) -> Tensor:
    """Return groups x i x j: value of i minus value of j."""
    return values[:, :, None] - values[:, None, :]


def _pairs(mask: Tensor) -> Tensor:
    return mask[:, :, None] & mask[:, None, :]


def _over_pairs(losses: Tensor, pairs: Tensor) -> Tensor:
    return losses.masked_fill(~pairs, 0).sum((1, 2))


def _log_softmax(values: Tensor, mask: Tensor) -> Tensor:
    # The lowest finite number, not −∞: its gradient is 0 instead of NaN.
    return values.masked_fill(~mask, torch.finfo(values.dtype).min).log_softmax(1)


def _cross_entropy(scores: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    return -(wanted * _log_softmax(scores, mask)).masked_fill(~mask, 0).sum(1).mean()


def _by_rank(like: Tensor, depth: int) -> Tensor:
    """Return 1/D of the ranks 1, 2, …: 0 beyond `depth`."""
    ranks = torch.arange(1, like.shape[1] + 1, device=like.device, dtype=like.dtype)
    return (1 / torch.log2(1 + ranks)).where(ranks <= depth, torch.zeros_like(ranks))


def _inverse_discounts(scores: Tensor, depth: int) -> Tensor:
    """Return 1/D of each passage by its rank among the scores; equal scores keep their order."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    values = _by_rank(scores, depth).expand(scores.shape)
    return torch.zeros_like(scores).scatter(1, order, values)
