import dataclasses
import itertools
import json
import math

import pytest
import torch
from worlds import blobs, differing, marks, world

from nai import selection
from nai.learn import begin, learn
from nai.methods import Ewc, Finetune, Joint, Lwf, Mas, Method, Nai, Si
from nai.methods.anchored import effective_strength
from nai.seeds import Seeds
from nai.selection import Continual, grow_continually
from nai.training import Training
from nai.tree import Run, grow
from nai.trial import Named, Trial, canonical, fingerprint, run_many, settings, world_of

SHORT = Training(epochs=2, rate=7.0)  # a rate that would be noticed if it were used
SIZES = (70, 33, 90, 1)
SEEDS = (Seeds(0, 0), Seeds(1, 2))
CLEAR = (150, 150, 150)  # with seed 2: what learns a task at all gets at least 7 of 8 right, else 3 or 4
RULE = Continual(rates=(1e-4, 1e-2, 3e-2), tolerance=0.05, attempts=3)


@dataclasses.dataclass(frozen=True)
class Stiff(Method):
    """Learns its first task, and later ones only with a strength below `gives`."""

    strength: float = 8.0
    gives: float = 3.0

    def adjust(self, grads, params, memory, context):
        free = (context.depth == 0) | torch.as_tensor(self.strength < self.gives)
        return {k: v * free for k, v in grads.items()}


@dataclasses.dataclass(frozen=True)
class Explodes(Method):
    """Finetuning that diverges on later tasks unless its strength is below `holds`."""

    strength: float = 8.0
    holds: float = 3.0

    def after_epoch(self, net, params, memory, context):
        bad = (context.depth > 0) & torch.as_tensor(self.strength >= self.holds)
        return {k: torch.where(bad, torch.nan, v) for k, v in params.items()}, memory


@dataclasses.dataclass(frozen=True)
class Brittle(Method):
    """Learns nothing in later tasks, and diverges there if its strength is below `breaks`."""

    strength: float = 8.0
    breaks: float = 3.0

    def adjust(self, grads, params, memory, context):
        return {k: v * (context.depth == 0) for k, v in grads.items()}

    def after_epoch(self, net, params, memory, context):
        bad = (context.depth > 0) & torch.as_tensor(self.strength < self.breaks)
        return {k: torch.where(bad, torch.nan, v) for k, v in params.items()}, memory


def runs_of(tasks, seeds=SEEDS[:1]):
    return [(s, order) for s in seeds for order in itertools.permutations(range(tasks))]


def grown(runs, where, method, rule=RULE, **options):
    asked = [Run(method, *run) for run in runs]
    found = {(g.seeds, g.order): g for g in grow_continually(asked, where, SHORT, rule, **options)}
    assert set(found) == set(runs)
    return found


def only(where, method, rule=RULE, *, order=(0, 1, 2)):
    return grown([(Seeds(), order)], where, method, rule)[Seeds(), order]


def same(one, other):
    assert one.error == other.error
    assert one.chosen == other.chosen
    assert one.strengths == other.strengths
    if one.error is None:
        assert torch.equal(one.valid, other.valid)
        assert torch.equal(one.test, other.test)
        assert not differing(one.lesson, other.lesson)


# ---------------------------------------------------------------- the paper's algorithm, word for word
def candidate(lesson, task, where, method, *, rate, seeds):
    training = dataclasses.replace(SHORT, rate=rate)
    (next_lesson,) = learn([lesson], [task], where, method, training=training, seeds=[seeds])
    return next_lesson, marks(next_lesson, where, method).valid[task].item()


def algorithm_1(run, where, method, rule):
    """One order, task after task, nothing shared: lessons and (rate, strength, attempts, plain accuracy)."""
    seeds, order = run
    lessons, chosen, strength = [begin(where, method, seeds)], [], method.strength
    for task in order:
        theta = lessons[-1]
        # Maximal plasticity search
        best_accuracy, best_rate = -1.0, None
        for rate in rule.rates:
            _, accuracy = candidate(theta, task, where, Finetune(), rate=rate, seeds=seeds)
            if accuracy > best_accuracy:
                best_accuracy, best_rate = accuracy, rate
        # Stability decay
        attempts = 0
        while True:
            attempts += 1
            used = strength
            tried = dataclasses.replace(method, strength=used)
            lesson, accuracy = candidate(theta, task, where, tried, rate=best_rate, seeds=seeds)
            if accuracy >= (1 - rule.tolerance) * best_accuracy:
                break
            strength = strength * rule.decay
            if attempts == rule.attempts:
                break
        lessons.append(lesson)
        chosen.append((best_rate, used, attempts, best_accuracy))
    return lessons, tuple(chosen)


METHODS = [
    Ewc(strength=1e4),
    Nai(strength=30.0, reset="unimportant"),
    Nai(strength=30.0, penalty="group_l2"),
    Si(strength=30.0),
    Mas(strength=30.0),
    Stiff(),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_the_tree_chooses_and_learns_as_the_algorithm_does_alone_bit_for_bit(method):
    where = world(blobs(SIZES), dropout=0.2)
    runs = runs_of(4, SEEDS)[::9]
    found = grown(runs, where, method)
    for run in runs:
        lessons, chosen = algorithm_1(run, where, method, RULE)
        assert found[run].chosen == chosen
        assert not differing(found[run].lesson, lessons[-1])
        rows = [marks(lesson, where, method) for lesson in lessons]
        assert torch.equal(found[run].valid, torch.stack([r.valid for r in rows]))
        assert torch.equal(found[run].test, torch.stack([r.test for r in rows]))
        used = [dataclasses.replace(method, strength=c[1]) for c in chosen]
        weighed = [effective_strength(m, x.memory) for m, x in zip(used, lessons[1:], strict=True)]
        assert found[run].strengths == (None if None in weighed else tuple(weighed))
    assert len({c.attempts for g in found.values() for c in g.chosen}) > 1  # a test of something
    assert len({c.rate for g in found.values() for c in g.chosen}) > 1


def test_so_it_is_in_the_class_scenario_and_for_nets_that_do_not_stack():
    for where in (
        world(blobs((40, 33, 70), scenario="class")),
        world(blobs((20, 33, 8), features=(1, 4, 4)), "conv", widths=[4], dense_units=6),
    ):
        found = grown(runs_of(3), where, Ewc(strength=1e4))
        for run in runs_of(3)[1::3]:
            lessons, chosen = algorithm_1(run, where, Ewc(strength=1e4), RULE)
            assert found[run].chosen == chosen
            assert not differing(found[run].lesson, lessons[-1])


@pytest.mark.parametrize("method", [Nai(strength=30.0), Stiff()], ids=["nai", "stiff"])
def test_neither_width_nor_other_runs_change_a_choice_or_a_bit(method):
    where, runs = world(blobs(SIZES[:3])), runs_of(3, SEEDS)
    whole = grown(runs, where, method)
    for width in (1, 5):
        narrow = grown(runs, where, method, width=width)
        for run in runs:
            same(narrow[run], whole[run])
    for some in ([runs[4]], runs[::5], runs[::-1]):
        few = grown(some, where, method)
        for run in some:
            same(few[run], whole[run])


def test_each_shared_prefix_is_searched_once(monkeypatch):
    taught, plain = [], selection.learn
    monkeypatch.setattr(selection, "learn", lambda *a, **k: taught.extend(a[0]) or plain(*a, **k))
    found = grown(runs_of(3), world(), Stiff(gives=math.inf))
    assert {c.attempts for g in found.values() for c in g.chosen} == {1}
    assert len(taught) == 15 * (len(RULE.rates) + 1)  # 15 nodes below the root


def test_runs_of_several_methods_are_each_as_alone():
    where, methods = world(), (Ewc(strength=1e4), Ewc(strength=1e3), Stiff())
    found = list(grow_continually([Run(m, *r) for r in runs_of(3) for m in methods], where, SHORT, RULE))
    assert len(found) == 18
    for method in methods:
        own = grown(runs_of(3), where, method)
        for result in [g for g in found if g.method == method]:
            same(result, own[result.seeds, result.order])


# ---------------------------------------------------------------- cases by hand
@pytest.mark.parametrize("method", METHODS[:-1], ids=lambda m: type(m).__name__)
def test_tolerance_one_and_one_rate_are_the_method_as_it_is(method):
    where, rule = world(blobs(SIZES)), Continual(rates=(3e-3,), tolerance=1.0)
    runs = [Run(method, *run) for run in runs_of(4)]
    plainly = {(g.seeds, g.order): g for g in grow(runs, where, dataclasses.replace(SHORT, rate=3e-3))}
    for run, result in grown(runs_of(4), where, method, rule).items():
        assert [(c.rate, c.strength, c.attempts) for c in result.chosen] == [(3e-3, method.strength, 1)] * 4
        same(result._replace(chosen=None), plainly[run])


def test_the_best_rate_wins_and_of_equals_the_first():
    where = world(blobs(CLEAR, seed=2))
    chosen = only(where, Stiff(), Continual(rates=(1e-9, 1e-2, 2e-9))).chosen
    assert {c.rate for c in chosen} == {1e-2}
    for rates in ((1e-9, 2e-9), (2e-9, 1e-9)):
        chosen = only(where, Stiff(), Continual(rates=rates)).chosen
        assert {c.rate for c in chosen} == {rates[0]}  # steps too small to change an answer


def test_an_impossible_bar_decays_at_every_attempt_and_the_last_one_is_kept():
    where = world(blobs(CLEAR, seed=2))
    rule = Continual(rates=(1e-2,), decay=0.5, tolerance=0.0, attempts=4)
    result = only(where, Stiff(strength=64.0, gives=0.0), rule)
    first, second, third = result.chosen
    assert first[1:3] == (64.0, 1)  # nothing to forget yet, so nothing decays
    assert second[1:3] == (8.0, 4)  # 64, 32, 16, 8: all refused
    assert third[1:3] == (0.5, 4)  # 4, 2, 1, 0.5
    assert result.valid[2, 1] < second.plain
    once = only(where, Stiff(strength=64.0, gives=0.0), dataclasses.replace(rule, attempts=1))
    assert [c.strength for c in once.chosen] == [64.0, 64.0, 32.0]


def test_the_first_strength_that_clears_the_bar_is_taken_and_carried_on():
    where = world(blobs(CLEAR, seed=2))
    rule = Continual(rates=(1e-2,), decay=0.5, tolerance=0.0)
    result = only(where, Stiff(strength=8.0, gives=3.0), rule)
    assert [(c.strength, c.attempts) for c in result.chosen] == [(8.0, 1), (2.0, 3), (2.0, 1)]
    assert [result.valid[k + 1, k].item() for k in range(3)] == [c.plain for c in result.chosen]


def test_a_strength_that_acts_in_the_first_task_decays_there_too():
    @dataclasses.dataclass(frozen=True)
    class Still(Method):
        strength: float = 8.0

        def adjust(self, grads, params, memory, context):
            return {k: v * (self.strength < 3.0) for k, v in grads.items()}

    @dataclasses.dataclass(frozen=True)
    class Late(Still):  # as it says of itself
        late = frozenset({"strength"})

    where = world(blobs(CLEAR, seed=2))
    rule = Continual(rates=(1e-2,), decay=0.5, tolerance=0.0)
    assert only(where, Still(), rule).chosen[0][1:3] == (2.0, 3)  # 8 and 4 are refused
    assert only(where, Late(), rule).chosen[0][1:3] == (8.0, 1)


def test_the_bar_is_a_share_of_plain_accuracy_with_its_end_included():
    where = world(blobs(CLEAR, seed=2))
    for tolerance, attempts in ((0.5, 1), (0.49, 2)):
        rule = Continual(rates=(1e-2,), tolerance=tolerance, attempts=2)
        result = only(where, Stiff(gives=0.0), rule)
        assert (result.chosen[1].plain, result.valid[2, 1]) == (1.0, 0.5)
        assert result.chosen[1].attempts == attempts


# ---------------------------------------------------------------- what may be seen
def poisoned(where, samples):
    inputs = where.source.inputs.clone()
    inputs[samples] = torch.nan
    return where._replace(source=where.source._replace(inputs=inputs))


@pytest.mark.parametrize("method", [Ewc(strength=1e4), Stiff()], ids=["ewc", "stiff"])
def test_choices_see_neither_later_tasks_nor_test_data(method):
    where = world(blobs(SIZES))
    later = torch.cat([part[t] for part in (where.train, where.valid) for t in (2, 3)])
    blind = poisoned(where, torch.cat([later, *where.test]))
    whole = only(where, method, order=(1, 0, 2, 3))
    seen = only(blind, method, order=(1, 0))
    assert seen.chosen == whole.chosen[:2]
    assert seen.strengths == (whole.strengths and whole.strengths[:2])
    assert torch.equal(seen.valid[:, :2], whole.valid[:3, :2])
    failed = only(blind, method, order=(1, 0, 2, 3))
    assert failed.error == "diverged: weights are not finite after tasks (1, 0, 2)"


# ---------------------------------------------------------------- failures
def test_a_rate_that_diverges_has_lost():
    where, sound = world(), Continual(rates=(1e-2,), tolerance=0.05, attempts=3)
    for rates in ((1e30, 1e-2), (1e-2, 1e30)):
        for order in ((0, 1, 2), (2, 1, 0)):
            rule = dataclasses.replace(sound, rates=rates)
            same(only(where, Ewc(), rule, order=order), only(where, Ewc(), sound, order=order))


def test_a_run_fails_if_every_rate_diverges():
    found = grown(runs_of(3), world(blobs((40, 40, 40))), Ewc(), Continual(rates=(1e30, 1e31)))
    assert all(g.error.startswith("diverged: ") and g.chosen is g.valid is None for g in found.values())


def test_a_strength_that_diverges_is_refused_whatever_the_tolerance():
    where, rule = world(), Continual(rates=(1e-2,), tolerance=1.0, attempts=3)
    chosen = only(where, Explodes(strength=8.0, holds=3.0), rule).chosen
    assert [(c.strength, c.attempts) for c in chosen] == [(8.0, 1), (2.0, 3), (2.0, 1)]
    failed = only(where, Explodes(strength=8.0, holds=1.5), rule)
    assert failed.error == "diverged: weights are not finite after tasks (0, 1)"


def test_where_the_last_attempts_diverge_the_last_that_did_not_is_kept():
    where, rule = world(blobs(CLEAR, seed=2)), Continual(rates=(1e-2,), tolerance=0.0, attempts=4)
    result = only(where, Brittle(strength=8.0, breaks=3.0), rule, order=(0, 1))
    assert result.chosen[1][1:3] == (4.0, 2)  # 8 and 4 learn nothing, 2 and 1 diverge
    assert torch.equal(result.valid[2], result.valid[1])


def test_out_of_memory_halves_the_stack_and_changes_no_bit(monkeypatch):
    where, runs, plain = world(blobs(SIZES)), runs_of(4), selection.learn
    whole = grown(runs, where, Stiff())

    def limited(lessons, *args, **kwargs):
        if len(lessons) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(lessons, *args, **kwargs)

    monkeypatch.setattr(selection, "learn", limited)
    halved = grown(runs, where, Stiff())
    for run in runs:
        same(halved[run], whole[run])


# ---------------------------------------------------------------- mistakes
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rates": ()}, r"rates \(\) must be one or more different"),
        ({"rates": (0.1, 0.1)}, r"rates \(0.1, 0.1\) must be one or more different"),
        ({"rates": (0.1, 0.0)}, r"rates \(0.1, 0.0\) must be finite numbers above 0"),
        ({"rates": (math.inf,)}, "must be finite numbers above 0"),
        ({"rates": (math.nan,)}, "must be finite numbers above 0"),
        ({"decay": 1.0}, "decay 1.0 must lie between 0 and 1, ends excluded"),
        ({"decay": 0.0}, "decay 0.0 must lie between 0 and 1, ends excluded"),
        ({"tolerance": -0.1}, "tolerance -0.1 must lie between 0 and 1"),
        ({"tolerance": math.nan}, "tolerance nan must lie between 0 and 1"),
        ({"attempts": 0}, "attempts 0 must be a whole number of at least 1"),
        ({"attempts": 2.0}, "attempts 2.0 must be a whole number of at least 1"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Continual(**fields)


@pytest.mark.parametrize(
    ("method", "training", "message"),
    [
        (Finetune(), SHORT, "Finetune has no strength that could decay: tune it otherwise, without a"),
        (Joint(), SHORT, "Joint has no strength that could decay"),
        (Ewc(strength=0.0), SHORT, "strength 0.0 cannot decay: give Ewc a high one"),
        (
            Lwf(weighting="shares"),
            SHORT,
            "Lwf does not read its strength with weighting 'shares': take weighting",
        ),
        (
            Ewc(),
            Training(optimizer="kept"),
            "optimizer 'kept' carries moments from rate to rate: take 'fresh'",
        ),
    ],
)
def test_what_cannot_be_chosen_is_refused_before_anything_is_learnt(method, training, message):
    with pytest.raises(ValueError, match=message):
        grow_continually([Run(method, *r) for r in runs_of(3)], world(), training, RULE)


def test_a_method_that_forgets_its_order_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Sets(Ewc):
        def node(self, done):
            return tuple(sorted(done))

    with pytest.raises(ValueError, match="Sets forgets the order of its tasks"):
        grow_continually([Run(Sets(), *r) for r in runs_of(3)], world(), SHORT, RULE)


# ---------------------------------------------------------------- as part of a trial
BENCHMARK = blobs((40, 33, 9))
PLAIN = Trial(
    benchmark=Named.of("blobs"),
    model=Named.of("mlp", widths=[8, 4]),
    method=Ewc(strength=1e4),
    training=SHORT,
    order=(2, 0, 1),
)
CHOSEN = dataclasses.replace(PLAIN, selection=RULE)


def named(trial):
    return fingerprint(trial, "digest")


def test_a_selection_is_part_of_a_trials_name_and_none_leaves_it_as_it_was():
    assert "selection" not in settings(PLAIN, "digest")
    others = [
        dataclasses.replace(RULE, **change)
        for change in ({"rates": (1e-3,)}, {"decay": 0.6}, {"tolerance": 0.3}, {"attempts": 4})
    ]
    trials = [PLAIN, CHOSEN, *(dataclasses.replace(PLAIN, selection=rule) for rule in others)]
    assert len({named(trial) for trial in trials}) == 6
    assert named(dataclasses.replace(CHOSEN, training=Training(epochs=2, rate=0.1))) == named(CHOSEN)


def test_settings_of_a_selection_are_plain_and_lead_back_to_it():
    found = settings(CHOSEN, "digest")
    assert json.loads(canonical(found)) == found
    assert Continual.of(found["selection"]) == RULE
    assert Continual.of({}) == Continual()
    assert "rate" not in found["training"]
    with pytest.raises(ValueError, match="a selection has no setting 'strength': it has rates, decay, tol"):
        Continual.of({"strength": 1.0})


def test_trials_with_a_selection_run_as_the_tree_grows_with_it():
    trials = [
        dataclasses.replace(CHOSEN, order=order, method=Ewc(strength=strength))
        for order in itertools.permutations(range(3))
        for strength in (1e4, 1e3)
    ]
    outcomes = {outcome.trial: outcome.result for outcome in run_many(trials, benchmark=BENCHMARK)}
    assert set(outcomes) == set(trials)
    where = world_of(BENCHMARK, PLAIN.model)
    for trial in trials[::3]:
        same(outcomes[trial], only(where, trial.method, order=trial.order))
        (alone,) = run_many([trial], benchmark=BENCHMARK)
        same(outcomes[trial], alone.result)


def test_trials_with_other_selections_do_not_run_together():
    with pytest.raises(ValueError, match="run_many takes trials that differ in order, seeds, strength alone"):
        list(run_many([PLAIN, CHOSEN], benchmark=BENCHMARK))


def test_a_trial_whose_method_has_nothing_to_choose_is_refused():
    with pytest.raises(ValueError, match="Finetune has no strength that could decay"):
        dataclasses.replace(CHOSEN, method=Finetune())
