"""AR1*: CWR*'s output layer over SI's penalty, step by step, and what its strength does."""

from collections import Counter
from dataclasses import dataclass
from math import sqrt

import oracles
import pytest
import torch
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import Method
from nai.methods.anchored import below
from nai.methods.ar1_star import Ar1Star
from nai.methods.cwr_star import class_counts, consolidated_head, empty_head, temporary_head
from nai.seeds import Seeds
from nai.training import Training

SHORT = Training(epochs=3, rate=1e-2)
WEIGHT, BIAS = HEAD = "layers.2.weight", "layers.2.bias"
scenarios = pytest.mark.parametrize("scenario", ["task", "class", "domain"])


def blended(name, theta, saved, cur, past):
    """Algorithm 1, lines 11 to 13, for the weights or the biases: a dict of rows by class."""
    average = sum(float(theta[name][j].sum()) for j in cur) / sum(theta[name][j].numel() for j in cur)
    wpast = {j: sqrt(past[j] / cur[j]) for j in cur}
    return {j: (saved[name][j] * wpast[j] + theta[name][j] - average) / (wpast[j] + 1) for j in cur}


@scenarios
def test_it_is_the_published_loop(scenario):
    where, method = world(blobs(classes=3, scenario=scenario)), Ar1Star(strength=300.0, clip=3e-3)
    lesson, past = begin(where, method, Seeds()), Counter()
    omega = {k: torch.zeros_like(lesson.params[k]) for k in where.net.body()}
    for depth, task in enumerate((1, 0, 2)):
        held = lesson.params
        anchor = {k: held[k] for k in omega}
        cur = Counter(where.source.labels[where.train[task]].tolist())
        start = held | {k: torch.zeros_like(held[k]) for k in HEAD}
        for j in cur:
            start[WEIGHT][j], start[BIAS][j] = held[WEIGHT][j], held[BIAS][j]
        expected, path = oracles.plain_training(
            where,
            start,
            task,
            used=where.in_use((*lesson.done, task))[task].nonzero()[:, 0].tolist(),
            training=SHORT,
            depth=depth,
            penalty=lambda own, terms=((dict(omega), anchor),): oracles.quadratic(own, terms, 300.0),
        )
        for name in omega:
            share = path[name].clamp(min=0) / ((expected[name] - anchor[name]) ** 2 + 0.1)
            omega[name] = (omega[name] + share).clamp(max=3e-3)
        rows = {name: blended(name, expected, held, cur, past) for name in HEAD}
        past += cur
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        for name, value in omega.items():
            torch.testing.assert_close(lesson.params[name], expected[name], rtol=1e-3, atol=3e-4)
            torch.testing.assert_close(lesson.memory[f"importance.{name}"], value, rtol=2e-2, atol=2e-5)
            assert torch.equal(lesson.memory[f"anchor.{name}"], lesson.params[name])
            assert lesson.memory[f"path.{name}"].eq(0).all()
        for name, found in rows.items():
            for j in range(len(held[name])):
                row = found.get(j, held[name][j])
                torch.testing.assert_close(lesson.params[name][j], row, rtol=1e-3, atol=3e-4)
    assert max(float(v.max()) for v in omega.values()) == pytest.approx(3e-3)


@dataclass(frozen=True)
class Free(Method):
    """CWR*'s output layer over a body that nothing holds."""

    def start(self, net, params, heads, chance):
        return empty_head(net, params)

    def before_task(self, net, params, rows, memory, context):
        return params | temporary_head(net, memory, class_counts(rows, context)), memory

    def after_task(self, net, params, rows, memory, context):
        return consolidated_head(net, params, memory, class_counts(rows, context))


@scenarios
def test_strength_zero_leaves_the_body_free_bit_for_bit(scenario):
    where = world(blobs(scenario=scenario), dropout=0.3)
    found, free = (
        taught(where, method, (2, 0, 1), training=SHORT)._replace(memory={})
        for method in (Ar1Star(strength=0.0), Free())
    )
    assert not differing(found, free)


def test_importance_is_the_body_s_and_clipped():
    where = world()
    free, tight = (
        below("importance", taught(where, Ar1Star(strength=0.0, clip=clip), (2, 0), training=SHORT).memory)
        for clip in (1e3, 1e-3)
    )
    assert list(tight) == where.net.body()
    values, clipped = (torch.cat([v.flatten() for v in x.values()]) for x in (free, tight))
    assert (values > 1e-3).any() and (values < 1e-3).any() and (values >= 0).all()
    torch.testing.assert_close(clipped, values.clamp(max=1e-3))


def test_the_body_moves_less_the_stronger_it_is_held():
    where, training, moved = world(), Training(epochs=6), []
    for strength in (0.0, 1e4, 1e6):
        first, last = (
            taught(where, Ar1Star(strength=strength), order, training=training) for order in ((1,), (1, 0))
        )
        away = torch.cat([(last.params[k] - first.params[k]).flatten() for k in where.net.body()])
        importance = torch.cat([v.flatten() for v in below("importance", first.memory).values()])
        moved.append(float((importance * away.square()).sum()))
    assert moved[0] > 2 * moved[1] > 4 * moved[2]


def test_the_pull_on_the_body_is_that_of_the_spring_and_the_head_is_free():
    where, method = world(), Ar1Star(strength=7.0)
    lesson = taught(where, method, (1,), training=SHORT)
    away = {k: v + 1 for k, v in lesson.params.items()}
    found, spring = method.adjust(away, away, lesson.memory, None), method.spring(lesson.memory)
    assert list(spring.anchor) == where.net.body()
    for name, value in away.items():
        importance = lesson.memory.get(f"importance.{name}", torch.zeros(()))
        torch.testing.assert_close(found[name] - value, (7 * importance).expand(value.shape))
        if name not in HEAD:
            assert torch.equal(spring.weight[name], 7 * importance)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strength": -1}, "strength -1 must be a finite number of at least 0"),
        ({"clip": 0}, "clip 0 must be a finite number above 0"),
        ({"clip": float("nan")}, "clip nan must be a finite number above 0"),
        ({"damping": 0.0}, r"damping 0.0 must be a finite number above 0"),
        ({"damping": float("inf")}, "damping inf must be a finite number above 0"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(ValueError, match=words):
        Ar1Star(**settings)
