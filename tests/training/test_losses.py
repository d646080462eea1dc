"""Losses: values by hand, gradients against finite differences, and what must not change them."""

from __future__ import annotations

import math

import pytest
import torch

from sidecar.training.losses import LOSSES, combined, divergence, lambda_rank, listnet, ranknet, softmax


def tensors(*rows):
    return [torch.tensor([row], dtype=torch.float64) for row in rows]


def everything(width, groups=1):
    return torch.ones(groups, width, dtype=torch.bool)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(difference, wanted):
    return -wanted * math.log(sigmoid(difference)) - (1 - wanted) * math.log(sigmoid(-difference))


def test_ranknet_is_the_mean_cross_entropy_of_pairs_against_soft_targets():
    scores, target = tensors([2.0, 0.5, 1.0], [1.0, 0.0, 0.0])
    by_hand = [
        cross_entropy(1.5, sigmoid(1)),
        cross_entropy(1.0, sigmoid(1)),
        cross_entropy(-0.5, 0.5),  # a tie asks for equal scores
    ]
    assert ranknet(scores, target, everything(3)).item() == pytest.approx(sum(by_hand) / 3)


def test_ranknet_is_least_where_scores_differ_as_the_teachers_do():
    teacher = torch.tensor([[3.0, -1.0, 0.5]], dtype=torch.float64)
    scores = (teacher + 7).requires_grad_()
    ranknet(scores, teacher, everything(3)).backward()
    assert scores.grad.abs().max() < 1e-12


def test_softmax_is_the_cross_entropy_of_the_best_passage_wherever_it_stands():
    scores, target = tensors([1.0, 2.0, 0.0], [0.0, 3.0, 1.0])
    total = sum(math.exp(s) for s in (1, 2, 0))
    assert softmax(scores, target, everything(3)).item() == pytest.approx(-math.log(math.exp(2) / total))
    both = torch.tensor([[3.0, 3.0, 1.0]], dtype=torch.float64)
    by_hand = -0.5 * math.log(math.exp(1) / total) - 0.5 * math.log(math.exp(2) / total)
    assert softmax(scores, both, everything(3)).item() == pytest.approx(by_hand)


def test_listnet_is_the_divergence_of_two_softmaxes():
    scores, target = tensors([0.0, 1.0], [1.0, 0.0])
    p, q = sigmoid(1), sigmoid(-1)
    by_hand = p * math.log(p / q) + q * math.log(q / p)
    assert listnet(scores, target, everything(2)).item() == pytest.approx(by_hand)
    assert listnet(target, target, everything(2)).item() == pytest.approx(0)


def test_lambda_weighs_pairs_by_what_a_swap_would_do_to_ndcg():
    # Ranks by score: third passage 1, first 2, second 3. Gains 3, 0, 1; the best order gives 3/1 + 1/log2(3).
    scores, target = tensors([1.0, 0.0, 2.0], [2.0, 0.0, 1.0])
    best = 3 + 1 / math.log2(3)
    one, two, three = 1.0, 1 / math.log2(3), 0.5
    by_hand = (
        3 / best * (two - three) * math.log(1 + math.exp(-1.0))  # first over second
        + 2 / best * (one - two) * math.log(1 + math.exp(1.0))  # first over third
        + 1 / best * (one - three) * math.log(1 + math.exp(-2.0))  # third over second
    )
    assert lambda_rank(scores, target, everything(3)).item() == pytest.approx(by_hand)


def test_lambda_knows_nothing_below_its_depth():
    scores, target = tensors([3.0, 2.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0])
    below = lambda_rank(scores, target, everything(4), depth=1)
    # Only a swap with the first place changes nDCG@1.
    assert below.item() == pytest.approx(math.log(1 + math.exp(2.0)))
    assert lambda_rank(scores, torch.zeros_like(target), everything(4)).item() == 0


def test_distillation_is_added_by_weight_with_the_square_of_the_temperature():
    scores, labels, teacher = tensors([0.5, -0.5, 1.0], [1.0, 0.0, 0.0], [4.0, 0.0, 2.0])
    mask = everything(3)

    def distribution(values, temperature):
        exponents = [math.exp(value / temperature) for value in values]
        return [value / sum(exponents) for value in exponents]

    p, q = distribution([4, 0, 2], 2), distribution([0.5, -0.5, 1], 2)
    kl = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert divergence(scores, teacher, mask, temperature=2).item() == pytest.approx(kl)
    whole = combined(ranknet, scores, labels, mask, teacher=teacher, weight=0.1, temperature=2)
    assert whole.item() == pytest.approx(0.9 * ranknet(scores, labels, mask).item() + 0.1 * 4 * kl)
    alone = combined(ranknet, scores, labels, mask, teacher=None, weight=0.1, temperature=2)
    assert alone.item() == ranknet(scores, labels, mask).item()


@pytest.mark.parametrize("name", [*LOSSES, "combined"])
def test_gradients_are_those_of_finite_differences_in_groups_of_unequal_size(name):
    torch.manual_seed(1)
    mask = torch.tensor([[True] * 5, [True, True, True, False, False], [True, True, False, False, False]])
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0, 1, 0, 3, 2], [1, 0, 0, 0, 0], [0, 2, 0, 0, 0]], dtype=torch.float64)
    teacher = torch.randn(3, 5, dtype=torch.float64)

    def loss(values):
        if name == "combined":
            return combined(ranknet, values, labels, mask, teacher=teacher, weight=0.3, temperature=2)
        return LOSSES[name](values, labels, mask)

    assert torch.autograd.gradcheck(loss, (scores,))
    loss(scores).backward()
    assert scores.grad[~mask].abs().max() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_neither_a_common_shift_nor_what_fills_a_group_nor_the_order_matters(name):
    loss = LOSSES[name]
    scores, target = tensors([0.3, -1.0, 2.0], [0.0, 2.0, 1.0])
    plain = loss(scores, target, everything(3))
    assert loss(scores + 5, target, everything(3)).item() == pytest.approx(plain.item())
    filled = torch.tensor([[True, True, True, False]])
    wide = [torch.cat([values, torch.full((1, 1), 9.0, dtype=torch.float64)], 1) for values in (scores, target)]
    assert loss(*wide, filled).item() == pytest.approx(plain.item())
    turned = [values.flip(1) for values in (scores, target)]
    assert loss(*turned, everything(3)).item() == pytest.approx(plain.item())


@pytest.mark.parametrize("name", LOSSES)
def test_every_query_counts_the_same_however_many_passages_it_has(name):
    loss = LOSSES[name]
    large, small = tensors([0.3, -1.0, 2.0], [1.0, 0.0]), tensors([0.0, 2.0, 1.0], [1.0, 0.0])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    scores = torch.cat([large[0], torch.nn.functional.pad(large[1], (0, 1))])
    target = torch.cat([small[0], torch.nn.functional.pad(small[1], (0, 1))])
    apart = (loss(large[0], small[0], everything(3)) + loss(large[1], small[1], everything(2))) / 2
    assert loss(scores, target, mask).item() == pytest.approx(apart.item())
