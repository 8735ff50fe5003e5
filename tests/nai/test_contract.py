"""Every method keeps the laws of `laws`, or says why not; and each law is broken by what it forbids."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from laws import LAWS, Case, Law, questions
from method_cases import ASKED, CASES

from nai.methods import METHODS, Ewc, Finetune, Method, Nai, Si
from nai.methods.base import Span


@pytest.mark.parametrize(("case", "law"), questions(CASES))
def test_law(case, law):
    law.check(case)


def test_exceptions_are_of_methods_and_laws_that_there_are():
    assert {one.method for one in ASKED} <= set(METHODS)
    assert {name for one in ASKED for name in one.untrue} <= {law.name for law in LAWS}
    assert {case.name.partition(" ")[0] for case in CASES} == set(METHODS)


# ---------------------------------------------------------------- each law bites
def law_named(name: str) -> Law:
    """The law of that name."""
    return next(one for one in LAWS if one.name == name)


def breaks(*laws):
    """Puts a class of method among those that break laws."""

    def enter(kind):
        BROKEN.extend((kind, law) for law in laws)
        return dataclasses.dataclass(frozen=True)(kind)

    return enter


BROKEN: list[tuple[type[Method], str]] = []


@breaks("bits_depend_on_no_neighbour")
class Gregarious(Method):
    elementwise = frozenset({"after_step"})

    def after_step(self, before, grads, params, memory, context):
        return {k: v - 1e-3 * v.mean() for k, v in params.items()}, memory


@breaks("a_run_of_a_tree_is_the_run_alone")
class Careless(Method):
    def node(self, done):
        return tuple(sorted(done))


@breaks("a_lesson_goes_through_bytes_and_on", "seeds_decide_all_chance")
class Reminiscent(Method):
    calls: ClassVar[list[int]] = []

    def after_epoch(self, net, params, memory, context):
        self.calls.append(1)
        return {k: v * (1 + 1e-3 * len(self.calls)) for k, v in params.items()}, memory


@breaks("a_convolutional_net_learns_alone")
class Flat(Method):
    def loss(self, net, params, batch, memory, context):
        return super().loss(net, params, batch, memory, context) + 0 * params["layers.0.weight"].sum()


@breaks("learning_leaves_its_lesson_as_it_was")
class Greedy(Method):
    def start(self, net, params, heads, chance):
        return params, {"seen": torch.zeros(())}

    def after_epoch(self, net, params, memory, context):
        memory["seen"].add_(1)
        return params, memory


@breaks("evaluation_leaves_training_alone")
class Curious(Method):
    asked: ClassVar[list[int]] = []

    def predict(self, net, params, batch, memory, context):
        self.asked.append(1)
        return super().predict(net, params, batch, memory, context)

    def after_epoch(self, net, params, memory, context):
        shrunk = {k: v * (1 - 1e-3 * len(self.asked)) for k, v in params.items()}
        self.asked.clear()
        return shrunk, memory


@breaks("names_of_tasks_decide_nothing")
class Partial(Method):
    def after_epoch(self, net, params, memory, context):
        return {k: v * (1 - 1e-2 * context.task) for k, v in params.items()}, memory


@breaks("held_out_samples_take_part_in_no_training")
class Peeping(Method):
    def after_epoch(self, net, params, memory, context):
        return {k: v * (1 + 1e-3 * context.source.inputs.square().mean()) for k, v in params.items()}, memory


@breaks("memory_keeps_its_form")
class Growing(Method):
    def after_task(self, net, params, rows, memory, context):
        return params, memory | {f"kept {len(memory)}": torch.zeros(())}


@breaks("a_lesson_takes_what_is_foretold")
class Hoarding(Method):
    def start(self, net, params, heads, chance):
        return params, {"kept": torch.zeros(0)}

    def after_task(self, net, params, rows, memory, context):
        return params, {"kept": torch.cat([v.flatten() for v in params.values()])}


@breaks("importances_are_positive_in_sum_after_a_task", "importances_only_grow")
class Negative(Ewc):
    def after_task(self, net, params, rows, memory, context):
        params, after = super().after_task(net, params, rows, memory, context)
        return params, {k: -v if k.startswith("importance.") else v for k, v in after.items()}


@breaks("strength_0_is_finetuning", "outputs_not_met_stay_as_they_were")
class Decaying(Ewc):
    def after_epoch(self, net, params, memory, context):
        return {k: 0.99 * v for k, v in params.items()}, memory


@breaks("a_huge_strength_holds_what_is_important")
class Slack(Ewc):
    def spring(self, memory):
        return None

    def adjust(self, grads, params, memory, context):
        return grads


@breaks("a_first_task_depends_on_nothing_late")
class Hasty(Ewc):
    def after_epoch(self, net, params, memory, context):
        return {k: v - 1e-6 * v * self.strength for k, v in params.items()}, memory


@breaks("idle_hooks_change_nothing")
class Sleeping(Nai):
    idle = frozenset({"after_task"})


@breaks("a_spring_is_what_adjust_adds")
class Twofold(Si):
    def adjust(self, grads, params, memory, context):
        twice = dataclasses.replace(self, strength=2 * self.strength)
        return Si.adjust(twice, grads, params, memory, context)


@breaks("wrong_values_are_refused_by_name", "ranges_can_be_searched")
class Lenient(Method):
    share: float = 0.5
    ranges: ClassVar = {"shares": Span(0.0, 1.0)}


@breaks("it_works_in_its_scenarios_alone")
class Lost(Method):
    def predict(self, net, params, batch, memory, context):
        wrong = super().predict(net, params, batch, memory, context)
        return wrong.scatter(1, batch.labels[:, None], -1e9)


@breaks("hidden_boundaries_are_honoured")
class Wandering(Method):
    elementwise = frozenset({"after_step"})

    def after_step(self, before, grads, params, memory, context):
        return {k: v / v.abs().max() for k, v in params.items()}, memory


@pytest.mark.parametrize(("kind", "name"), BROKEN)
def test_a_method_that_breaks_a_law_is_found_out(kind, name):
    law, case = law_named(name), Case(kind.__name__, kind())
    assert law.concerns(case)
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
        law.check(case)


def test_finetuning_forgets():
    with pytest.raises(AssertionError):
        law_named("nothing_is_forgotten").check(Case("finetune", Finetune(), keeps=True))


def test_a_value_that_can_change_is_no_method():
    @dataclasses.dataclass
    class Open(Method):
        share: float = 0.5

    with pytest.raises((AssertionError, TypeError, pytest.fail.Exception)):
        law_named("a_method_is_a_frozen_value").check(Case("open", Open()))


def test_every_law_is_broken_by_something():
    tried = {name for _, name in BROKEN} | {"nothing_is_forgotten", "a_method_is_a_frozen_value"}
    assert tried == {law.name for law in LAWS}
