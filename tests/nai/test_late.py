"""Late hyperparameters: lessons of one stack may differ in them, and first tasks do not depend on them."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from worlds import blobs, differing, taught, world

from nai.methods import Ewc, Finetune, Joint, Mas, Method, Nai, Si
from nai.methods.base import described
from nai.seeds import Seeds
from nai.stack import Rule
from nai.training import Training
from nai.tree import Run, grow

SHORT = Training(epochs=2)
SIZES = (70, 33, 90, 1)
STRENGTHS = (0.1, 0.0, 3.7, 1e-3, 1e30, 250.0, 1 / 3)
CASES = {
    "nai": Nai(),
    "nai weighted mean": Nai(anchor="weighted_mean", group="incoming_outgoing_max"),
    "nai proximal": Nai(penalty="group_l2", sparsity=1.0, reset="unimportant"),
    "ewc": Ewc(),
    "ewc sample": Ewc(labels="sample"),
    "si": Si(),
    "mas": Mas(),
}


def varied(method, number):
    return dataclasses.replace(method, strength=STRENGTHS[number % len(STRENGTHS)])


@pytest.mark.parametrize("name", CASES)
def test_every_strength_of_a_tree_is_that_strength_alone(name):
    where, order = world(blobs(SIZES)), (2, 0, 1)
    methods = [varied(CASES[name], n) for n in range(len(STRENGTHS))]
    together = {g.method: g for g in grow([Run(m, Seeds(), order) for m in methods], where, SHORT)}
    for method in methods:
        (alone,) = grow([Run(method, Seeds(), order)], where, SHORT)
        assert torch.equal(together[method].valid, alone.valid)
        assert torch.equal(together[method].test, alone.test)
        assert together[method].strengths == alone.strengths
        assert not differing(together[method].lesson, alone.lesson)
    assert {g.strengths[0] / m.strength for m, g in together.items() if m.strength} != {0.0}


def test_a_net_that_does_not_stack_takes_other_strengths_too():
    where = world(blobs((20, 33, 8)), widths=[320, 320])
    methods = [Ewc(strength=s) for s in (0.0, 10.0)]
    for found in grow([Run(m, Seeds(), (1, 0)) for m in methods], where, SHORT):
        assert not differing(found.lesson, taught(where, found.method, (1, 0)))


@dataclasses.dataclass(frozen=True)
class Drags(Method):
    """Shrinks weights once a task was learnt, in a hook that sees one lesson."""

    drag: float = 0.1
    wide: bool = False

    late: ClassVar[frozenset[str]] = frozenset({"drag"})

    def after_epoch(self, net, params, memory, context):
        return {k: torch.where(context.depth > 0, v * (1 - self.drag), v) for k, v in params.items()}, memory


def test_a_method_of_one_s_own_may_have_late_hyperparameters():
    where, runs = world(), [Run(Drags(d), Seeds(), (1, 0, 2)) for d in (0.0, 0.25, 0.5)]
    for found in grow(runs, where, SHORT):
        assert not differing(found.lesson, taught(where, found.method, (1, 0, 2)))


def test_methods_of_one_stack_that_differ_in_more_are_a_mistake():
    cpu = torch.device("cpu")
    with pytest.raises(ValueError, match=r"may differ in drag alone, got Drags\(drag=0.1, wide=False\) and"):
        Rule.of([Drags(), Drags(wide=True)], cpu)
    with pytest.raises(ValueError, match="may differ in nothing alone, got Joint"):
        Rule.of([Joint(), Finetune()], cpu)
    assert Rule.of([Drags(), Drags()], cpu).late == {}


def test_equal_methods_have_equal_texts():
    assert described(Ewc(strength=1)) == described(Ewc(strength=1.0)) != described(Ewc(strength=2.0))
    assert described(Ewc(strength=1), Ewc.late) == described(Ewc(strength=2), Ewc.late)
    assert described(Ewc(), Ewc.late) != described(Mas(), Mas.late)


@pytest.mark.parametrize("kind", [Nai, Ewc, Si, Mas])
def test_a_strength_beyond_single_precision_is_a_mistake(kind):
    with pytest.raises(ValueError, match=r"strength 1e\+39 must be a finite number of at least 0"):
        kind(strength=1e39)
