"""Algorithms, decay, steps and hidden boundaries: what they are in a plain loop, and what they refuse."""

import dataclasses
import re
from pathlib import Path

import oracles
import pytest
import torch
from worlds import blobs, differing, marks, taught, world

from nai.learn import begin, learn
from nai.methods import Er, Ewc, EwcPlusPlus, Finetune, Joint, Method, Nai, Si
from nai.prefixes import Run
from nai.seeds import Seeds
from nai.training import Training
from nai.tree import grow

DESCENT = Training(epochs=2, algorithm="sgd", rate=0.05)
WAYS = {
    "descent": DESCENT,
    "with momentum": dataclasses.replace(DESCENT, momentum=0.9),
    "with decay": dataclasses.replace(DESCENT, decay=0.1),
    "with both": dataclasses.replace(DESCENT, momentum=0.5, decay=0.1, batch=7),
    "adam with decay": Training(epochs=2, decay=0.1),
    "few steps": Training(epochs=2, steps=2),
    "many steps": Training(epochs=1, steps=25, batch=10),
    "steps of descent": dataclasses.replace(DESCENT, steps=9, momentum=0.9),
}
BLIND = Training(epochs=1, batch=10, optimizer="kept", boundaries="hidden")


def close(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("widths", [[12, 8], [9, 5]])  # in a stack, and alone because odd
@pytest.mark.parametrize("way", WAYS)
def test_training_is_a_plain_loop_with_torch_s_own_optimiser(way, widths):
    where, method, training = world(blobs(scenario="domain"), widths=widths), Finetune(), WAYS[way]
    lesson = begin(where, method, Seeds())
    for depth, task in enumerate((2, 0)):
        expected, _ = oracles.plain_training(
            where, lesson.params, task, used=(0, 1), training=training, depth=depth
        )
        (lesson,) = learn([lesson], [task], where, method, training=training, seeds=[Seeds()])
        close(lesson.params, expected)


def test_kept_momentum_goes_on_where_it_was():
    where = world(blobs((64, 64), scenario="domain"))
    two = taught(where, Finetune(), (0,), training=dataclasses.replace(DESCENT, momentum=0.9))
    lesson = begin(where, Finetune(), Seeds())
    lesson = lesson._replace(params=two.params, optimizer=two.optimizer, done=(0,))
    kept = dataclasses.replace(DESCENT, momentum=0.9, optimizer="kept", rate=1e-9)
    (after,) = learn([lesson], [1], where, Finetune(), training=kept, seeds=[Seeds()])
    assert not torch.equal(after.optimizer["momentum"], two.optimizer["momentum"])
    (fresh,) = learn(
        [lesson],
        [1],
        where,
        Finetune(),
        training=dataclasses.replace(kept, optimizer="fresh"),
        seeds=[Seeds()],
    )
    # four steps at a standstill: v = m^4 v + what fresh momentum has gathered
    expected = 0.9**4 * two.optimizer["momentum"] + fresh.optimizer["momentum"]
    torch.testing.assert_close(after.optimizer["momentum"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
@pytest.mark.parametrize("way", ["with both", "adam with decay"])
def test_no_output_moves_while_it_is_not_in_use(way, optimizer):
    where, training = world(), dataclasses.replace(WAYS[way], optimizer=optimizer)
    before = taught(where, Finetune(), (0, 2), training=training)
    after = taught(where, Finetune(), (0, 2, 1), training=training)
    for name in where.net.head.parameters:
        assert torch.equal(before.params[name][[0, 1, 4, 5]], after.params[name][[0, 1, 4, 5]])
        assert not torch.equal(before.params[name][2:4], after.params[name][2:4])


def test_si_s_path_is_along_the_loss_without_decay():
    where = world(blobs(scenario="domain"))
    training = dataclasses.replace(WAYS["with both"], epochs=1)
    start = begin(where, Si(), Seeds()).params
    _, path = oracles.plain_training(where, start, 0, used=(0, 1), training=training)
    lesson = taught(where, Si(), (0,), training=training)
    for name, value in path.items():
        moved = lesson.params[name] - start[name]
        share = value.clamp(min=0) / (moved**2 + Si().damping)
        torch.testing.assert_close(lesson.memory[f"importance.{name}"], share, rtol=1e-3, atol=1e-6)


@dataclasses.dataclass(frozen=True)
class Notes(Method):
    """Remembers the gradients that it was told of in the last step."""

    def start(self, net, params, heads, chance):
        return params, {f"grad.{k}": torch.zeros_like(v) for k, v in params.items()}

    def after_step(self, before, grads, params, memory, context):
        return params, {f"grad.{k}": v.clone() for k, v in grads.items()}


def test_methods_see_the_loss_s_gradient_without_decay():
    where = world(blobs((60,), scenario="domain"))
    one = Training(epochs=1, batch=64, algorithm="sgd", rate=0.1)  # a single step
    free, drawn = (
        taught(where, Notes(), (0,), training=dataclasses.replace(one, decay=d)) for d in (0.0, 0.5)
    )
    assert all(torch.equal(free.memory[k], drawn.memory[k]) for k in free.memory)
    assert all(not torch.equal(free.params[k], drawn.params[k]) for k in free.params)


def test_steps_of_one_pass_are_a_whole_pass_bit_for_bit():
    where = world(blobs((70, 70, 70)))
    for method in (Nai(), Si(), Ewc()):
        whole = taught(where, method, (1, 0), training=Training(epochs=2))
        assert not differing(whole, taught(where, method, (1, 0), training=Training(epochs=2, steps=3)))


# ---------------------------------------------------------------- hidden boundaries
@dataclasses.dataclass(frozen=True)
class Bell(Method):
    """Counts what it is told: tasks begun and ended, steps, and which task it is."""

    def start(self, net, params, heads, chance):
        return params, {k: torch.zeros(()) for k in ("begun", "ended", "steps", "told")}

    def before_task(self, net, params, rows, memory, context):
        return params, memory | {"begun": memory["begun"] + 1}

    def after_step(self, before, grads, params, memory, context):
        told = memory["told"] + context.task + context.depth
        return params, memory | {"steps": memory["steps"] + 1, "told": told}

    def after_task(self, net, params, rows, memory, context):
        return params, memory | {"ended": memory["ended"] + 1}


class Deaf(Bell):
    """The same, but it can do without."""

    needs_boundaries = False


def test_no_method_is_told_of_hidden_boundaries():
    where = world(blobs((60, 30, 90), scenario="domain"))
    counts = {k: float(v) for k, v in taught(where, Deaf(), (0, 1), training=BLIND).memory.items()}
    assert counts == {"begun": 0, "ended": 0, "steps": 9, "told": 0}
    known = dataclasses.replace(BLIND, boundaries="known")
    counts = {k: float(v) for k, v in taught(where, Deaf(), (0, 1), training=known).memory.items()}
    assert counts == {"begun": 2, "ended": 2, "steps": 9, "told": 3 * 2}


def test_hidden_boundaries_change_nothing_else_for_a_method_that_needs_none():
    where = world(blobs(scenario="domain"))
    known = dataclasses.replace(BLIND, boundaries="known")
    hidden = taught(where, Finetune(), (2, 0, 1), training=BLIND)
    assert not differing(hidden, taught(where, Finetune(), (2, 0, 1), training=known))


def test_every_output_is_in_use_from_the_first_task_on_where_boundaries_are_hidden():
    where = world(blobs((60, 30, 90), scenario="class"))
    lesson = taught(where, Finetune(), (1,), training=BLIND)
    start = begin(where, Finetune(), Seeds()).params
    expected, _ = oracles.plain_training(where, start, 1, used=range(6), training=BLIND)
    close(lesson.params, expected)
    run = Run(Finetune(), Seeds(), (1, 0, 2))
    (grown,) = grow([run], where, BLIND)
    unaware = where._replace(scenario="domain")
    assert torch.equal(grown.test[1], marks(lesson, unaware, Finetune()).test)


@pytest.mark.parametrize(
    ("method", "scenario", "mistake"),
    [
        (
            Ewc(),
            "class",
            "Ewc must be told where tasks begin and end, but boundaries are hidden: use a method",
        ),
        (Joint(), "domain", "Joint must be told"),
        (
            Finetune(),
            "task",
            "boundaries are hidden, but scenario 'task' tells each sample's task: use scenario",
        ),
    ],
)
def test_what_cannot_be_hidden_is_said(method, scenario, mistake):
    with pytest.raises(ValueError, match=mistake):
        taught(world(blobs(scenario=scenario)), method, (0,), training=BLIND)


def test_a_method_says_its_own_way_out():
    @dataclasses.dataclass(frozen=True)
    class Often(Bell):
        every: int = 0

        @property
        def needs_boundaries(self):
            return self.every == 0

    where = world(blobs(scenario="class"))
    with pytest.raises(ValueError, match="hidden: give it every = 10, or boundaries 'known'"):
        taught(where, Often(), (0,), training=BLIND)
    assert float(taught(where, Often(every=2), (0,), training=BLIND).memory["ended"]) == 0


@pytest.mark.parametrize(
    ("method", "way"),
    [
        (Er(), "give it fill = 'step', or"),
        (Er(weighting="shares"), "give it fill = 'step' and weighting = 'mean', or"),
        (Er(weighting="shares", fill="step"), "give it weighting = 'mean', or"),
        (EwcPlusPlus(), "give it every = 10, or"),
        (Ewc(), "use a method that needs none, or"),
    ],
)
def test_the_way_out_is_one(method, way):
    where = world(blobs(scenario="class"))
    with pytest.raises(ValueError, match=way):
        taught(where, method, (0,), training=BLIND)
    asked = dict(re.findall(r"(\w+) = '?(\w+)'?", way))
    if asked:
        told = {k: int(v) if v.isdigit() else v for k, v in asked.items()}
        taught(where, dataclasses.replace(method, **told), (0,), training=BLIND)


def test_a_method_that_cannot_work_in_a_scenario_says_so():
    class Picky(Finetune):
        scenarios = frozenset({"task", "domain"})

    mistake = "Picky cannot work in scenario 'class': use scenario 'domain' or 'task', or another method"
    with pytest.raises(ValueError, match=mistake):
        taught(world(blobs(scenario="class")), Picky(), (0,))
    taught(world(blobs(scenario="domain")), Picky(), (0,))


# ---------------------------------------------------------------- the settings themselves
@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"steps": 0}, "steps 0 must be a whole number of at least 1"),
        ({"steps": 2.0}, "steps 2.0 must be a whole number"),
        ({"epochs": None}, "epochs None must be a whole number"),
        ({"algorithm": "lion"}, "algorithm 'lion' is unknown: known are adam, sgd"),
        ({"boundaries": "none"}, "boundaries 'none' is unknown: known are known, hidden"),
        ({"momentum": 0.9}, "momentum 0.9 acts only with algorithm 'sgd'"),
        ({"momentum": 1.0, "algorithm": "sgd"}, "momentum 1.0 must be at least 0 and below 1"),
        ({"decay": -1e-3}, "decay -0.001 must be a finite number of at least 0"),
        ({"decay": float("nan")}, "decay nan must be a finite number"),
        (
            {"boundaries": "hidden"},
            "boundaries are hidden, but optimizer 'fresh' starts afresh .* optimizer 'kept'",
        ),
    ],
)
def test_a_mistake_names_value_rule_and_way_out(settings, mistake):
    with pytest.raises(ValueError, match=mistake):
        Training(**settings)


def test_every_setting_is_in_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    table = text.partition("## How a task is trained")[2].partition("## ")[0]
    assert not [f.name for f in dataclasses.fields(Training) if f"`{f.name}`" not in table]


def test_defaults_that_older_records_do_not_name_are_not_told():
    assert list(Training().settings()) == ["epochs", "batch", "rate", "optimizer"]
    assert Training(steps=7, algorithm="sgd").settings() == {
        "epochs": 20, "batch": 32, "rate": 1e-3, "optimizer": "fresh", "algorithm": "sgd", "steps": 7,
    }  # fmt: skip
    assert Training(**Training(steps=7, decay=0.1).settings()) == Training(steps=7, decay=0.1)


# ---------------------------------------------------------------- stretches of steps
@dataclasses.dataclass(frozen=True)
class Pulse(Method):
    """Counts stretches of so many steps, and keeps the weights of the last one's end."""

    length: int = 4

    @property
    def stretch(self):
        return self.length

    def start(self, net, params, heads, chance):
        return params, {"ended": torch.zeros(()), "steps": torch.zeros(()), "kept": params["layers.0.bias"]}

    def after_step(self, before, grads, params, memory, context):
        return params, memory | {"steps": memory["steps"] + 1}

    def after_stretch(self, net, params, memory, context):
        kept = {"ended": memory["ended"] + 1, "kept": params["layers.0.bias"]}
        return params, memory | kept


@pytest.mark.parametrize("length", [1, 3, 4, 100])
@pytest.mark.parametrize("training", [Training(epochs=3, batch=10), Training(epochs=2, batch=10, steps=5)])
@pytest.mark.parametrize("widths", [[12, 8], [9, 5]])  # in a stack, and alone because odd
def test_stretches_are_counted_along_all_tasks(length, training, widths):
    where, method = world(blobs((60, 31, 90)), widths=widths), Pulse(length)
    seeds = [Seeds(), Seeds(1, 1)]
    lessons = [taught(where, method, order, training=training) for order in ((2, 0), (0,))]
    lessons = learn(lessons, [1, 2], where, method, training=training, seeds=seeds)
    for lesson in lessons:
        each = [5 if training.steps else -(-len(where.train[t]) // 10) for t in lesson.done]
        steps = training.epochs * sum(each)
        assert int(lesson.memory["steps"]) == steps
        assert int(lesson.memory["ended"]) == steps // length
        ends_here = torch.equal(lesson.memory["kept"], lesson.params["layers.0.bias"])
        assert ends_here == (steps % length == 0)


# ---------------------------------------------------------------- schedules of the rate
def test_rates_by_hand():
    plain = Training(epochs=4, rate=0.5)
    assert [plain.rate_in(e) for e in range(4)] == [0.5] * 4
    cosine = dataclasses.replace(plain, schedule="cosine")
    # 0.0005 + 0.4995 (1 + cos(pi n / 4)) / 2, n = 1..4
    expected = [0.42684995, 0.25025, 0.07365005, 0.0005]
    assert [cosine.rate_in(e) for e in range(4)] == pytest.approx(expected)
    warm = dataclasses.replace(cosine, warm_epochs=2)
    # from 0.01 towards 0.25025, at a quarter and three quarters of the way
    assert [warm.rate_in(e) for e in range(4)] == pytest.approx([0.0700625, 0.1901875, *expected[2:]])


SCHEDULED = dataclasses.replace(
    WAYS["with momentum"], epochs=3, first_epochs=5, schedule="cosine", warm_epochs=2
)


@pytest.mark.parametrize("widths", [[12, 8], [9, 5]])
def test_scheduled_training_is_a_plain_loop_that_sets_the_rate_of_each_epoch(widths):
    where, method = world(blobs(scenario="domain"), widths=widths), Finetune()
    lesson = begin(where, method, Seeds())
    for depth, task in enumerate((2, 0)):
        own = SCHEDULED.after(depth)
        assert own.epochs == (3 if depth else 5)
        model = oracles.plain_mlp(lesson.params)
        optimizer = oracles.plain_optimizer(model, own)
        seen = list(oracles.batches(where, task, own, Seeds(), depth))
        for step, indices in enumerate(seen):
            optimizer.param_groups[0]["lr"] = own.rate_in(step * own.epochs // len(seen))
            optimizer.zero_grad()
            oracles.task_loss(model, where, indices, (0, 1)).backward()
            optimizer.step()
        expected = {k: v.detach() for k, v in oracles.named(model, lesson.params).items()}
        (lesson,) = learn([lesson], [task], where, method, training=SCHEDULED, seeds=[Seeds()])
        close(lesson.params, expected)


def test_lessons_of_other_depths_keep_their_bits_beside_a_longer_first_task():
    where, later = world(), taught(world(), Er(size=20), (1,), training=SCHEDULED)
    fresh = begin(where, Er(size=20), Seeds())
    both = learn(
        [later, fresh, later], [0, 2, 2], where, Er(size=20), training=SCHEDULED, seeds=[Seeds()] * 3
    )
    for lesson, start, task in zip(both, (later, fresh, later), (0, 2, 2), strict=True):
        (alone,) = learn([start], [task], where, Er(size=20), training=SCHEDULED, seeds=[Seeds()])
        assert not differing(lesson, alone)


def test_hooks_are_told_the_rate_of_their_epoch():
    @dataclasses.dataclass(frozen=True)
    class Told(Method):
        def start(self, net, params, heads, chance):
            return params, {"rate": torch.zeros(())}

        def after_epoch(self, net, params, memory, context):
            return params, {"rate": memory["rate"] + context.rate}

    lesson = taught(world(), Told(), (0,), training=SCHEDULED)
    own = SCHEDULED.after(0)
    assert lesson.memory["rate"].item() == pytest.approx(sum(map(own.rate_in, range(5))))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"schedule": "steps"}, "schedule 'steps' is unknown"),
        ({"warm_epochs": 20}, "warm_epochs 20 must be .* below the epochs of every task, here 20"),
        ({"warm_epochs": 5, "first_epochs": 4}, "here 4"),
        ({"first_epochs": 0}, "first_epochs 0"),
    ],
)
def test_schedules_that_cannot_be_are_refused(settings, word):
    with pytest.raises(ValueError, match=word):
        Training(**settings)


def test_schedules_are_told_only_where_there_is_one():
    assert not {"schedule", "warm_epochs", "first_epochs"} & set(Training().settings())
    told = SCHEDULED.settings()
    assert (told["schedule"], told["warm_epochs"], told["first_epochs"]) == ("cosine", 2, 5)
