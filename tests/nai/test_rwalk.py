"""RWalk against the paper's own loop, and its scores worked by hand."""

import oracles
import pytest
import torch
from worlds import asked, world

from nai.learn import begin, learn
from nai.methods import Finetune
from nai.methods.anchored import below
from nai.methods.rwalk import RWalk, importances
from nai.seeds import Seeds
from nai.training import Training

HEADS = ((0, 1), (2, 3), (4, 5))


class Walk:
    """Chaudhry et al. 2018, eqs. 6 to 8, weight by weight; intervals of dt steps, the last maybe shorter."""

    def __init__(self, start, *, alpha, dt, eps):
        self.alpha, self.dt, self.eps = alpha, dt, eps
        self.fisher, self.past, self.begun = None, None, start
        self.score = {k: torch.zeros_like(v) for k, v in start.items()}
        self.fall = {k: torch.zeros_like(v) for k, v in start.items()}
        self.steps = 0

    def step(self, squares, grads, before, after):
        old = self.fisher
        self.fisher = {
            k: v if old is None else self.alpha * v + (1 - self.alpha) * old[k] for k, v in squares.items()
        }
        for k in grads:
            self.fall[k] = self.fall[k] - grads[k] * (after[k] - before[k])
        self.steps += 1
        if self.steps % self.dt == 0:
            self.interval(after)

    def interval(self, now):
        for k, v in now.items():
            distance = 0.5 * self.fisher[k] * (v - self.begun[k]) ** 2
            self.score[k] = self.score[k] + self.fall[k] / (distance + self.eps)
            self.fall[k] = torch.zeros_like(v)
        self.begun = now

    def penalty_weights(self, now):
        if self.steps % self.dt:
            self.interval(now)
        past = self.past
        self.past = {k: v if past is None else (past[k] + v) / 2 for k, v in self.score.items()}
        self.score, self.steps = {k: torch.zeros_like(v) for k, v in now.items()}, 0
        most = max(float(v.max()) for v in self.fisher.values())
        best = max(float(v.max()) for v in self.past.values())
        return {k: v / most + torch.relu(self.past[k]) / best for k, v in self.fisher.items()}


@pytest.mark.parametrize("dt", [1, 4, 100])
def test_importance_is_that_of_the_paper_s_loop(dt):
    where, training = world(), Training(epochs=3, batch=20)
    method = RWalk(strength=0.5, alpha=0.7, dt=dt, eps=1e-4)
    lesson = begin(where, method, Seeds())
    walk = Walk(lesson.params, alpha=0.7, dt=dt, eps=1e-4)
    for depth, task in enumerate((1, 2, 0)):
        kept = [(below("importance", lesson.memory), below("anchor", lesson.memory))]
        for indices, before, grads, after in oracles.walked(
            where,
            lesson.params,
            task,
            used=HEADS[task],
            training=training,
            depth=depth,
            penalty=lambda own, kept=kept: oracles.quadratic(own, kept, 0.5),
        ):
            walk.step(oracles.squares(where, before, indices, HEADS[task]), grads, before, after)
        expected = walk.penalty_weights(after)
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
        found = below("importance", lesson.memory)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=2e-2, atol=1e-3, msg=name)
            assert torch.equal(lesson.memory[f"anchor.{name}"], lesson.params[name])
        # both go on from the same point: Adam blows differences by rounding up to whole steps
        walk.begun, walk.fisher = lesson.params, below("fisher", lesson.memory)


def test_both_parts_reach_1_at_most_and_negative_scores_count_as_0():
    fisher = {"a": torch.tensor([4.0, 1.0]), "b": torch.tensor([[2.0]])}
    score = {"a": torch.tensor([-3.0, 5.0]), "b": torch.tensor([[10.0]])}
    found = importances(fisher, score)
    assert {k: v.tolist() for k, v in found.items()} == {"a": [1.0, 0.25 + 0.5], "b": [[0.5 + 1.0]]}
    zero = {k: torch.zeros_like(v) for k, v in score.items()}
    assert importances(fisher, zero)["a"].tolist() == [1.0, 0.25]
    assert importances(zero, zero)["a"].tolist() == [0, 0]


def test_an_interval_s_score_worked_by_hand():
    memory = {
        "fisher.w": torch.tensor([2.0, 0.0]),
        "fall.w": torch.tensor([3.0, -1.0]),
        "score.w": torch.tensor([1.0, 1.0]),
        "begun.w": torch.tensor([1.0, 1.0]),
    }
    after = RWalk(eps=0.5)._interval({"w": torch.tensor([2.0, 5.0])}, memory)
    assert after["score.w"].tolist() == [1 + 3 / (0.5 * 2 * 1 + 0.5), 1 - 1 / 0.5]
    assert after["fall.w"].tolist() == [0, 0] and after["begun.w"].tolist() == [2, 5]


def test_past_scores_are_halved_task_by_task():
    where = world()
    memory = begin(where, RWalk(), Seeds()).memory
    still = begin(where, Finetune(), Seeds()).params
    for depth, (score, past) in enumerate([(4.0, 4.0), (2.0, 3.0), (8.0, 5.5)]):  # the last: 4/4 + 2/4 + 8/2
        memory = {k: torch.full_like(v, score) if k.startswith("score.") else v for k, v in memory.items()}
        _, memory = RWalk().after_task(where.net, still, None, memory, asked(where, depth, 0))
        assert all(v.eq(past).all() for v in below("past", memory).values())
        assert all(v.eq(0).all() for v in below("score", memory).values())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dt": 0}, "dt 0 must be a whole number of at least 1"),
        ({"alpha": -0.5}, "alpha -0.5 must lie between 0 and 1"),
        ({"eps": 0}, "eps 0 divides by zero .* use a number above 0"),
    ],
)
def test_wrong_hyperparameters_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        RWalk(**wrong)
