"""What each formula says, and the laws that hang on it, for every choice."""

import dataclasses
import itertools

import oracles
import pytest
import torch
from laws import Case, questions
from method_cases import FADES
from worlds import blobs, differing, taught, world

from nai.learn import begin, learn
from nai.methods import Ewc, Finetune, Joint, Mas, Nai, Si
from nai.methods.anchored import below, effective_strength, mean_importance, penalty, pull, shaped
from nai.methods.base import Context, no_rows
from nai.methods.groups import columns
from nai.methods.nai import ACCUMULATIONS, GROUPS
from nai.normalise import NORMALISERS
from nai.seeds import Seeds, generator
from nai.training import Training

SHORT = Training(epochs=2)
HEADS = ((0, 1), (2, 3), (4, 5))
NAI_VARIANTS = [
    *(Nai(normalization=name) for name in NORMALISERS),
    *(Nai(accumulation=name, eta=0.3) for name in ACCUMULATIONS),
    *(Nai(group=name) for name in GROUPS),
    *(Nai(group=name, anchor="weighted_mean") for name in GROUPS),
    Nai(match_scale=False),
    Nai(activation_stat="mean_abs"),
    Nai(importance_source="random"),
]
OF_FORMULAS = (
    "strength_0_is_finetuning",
    "importances_are_positive_in_sum_after_a_task",
    "importances_only_grow",
)
GUARDED = [*NAI_VARIANTS, Ewc(), Ewc(labels="true"), Ewc(labels="sample"), Si(), Mas()]


def name_of(method):
    changed = [
        f"{f.name}={getattr(method, f.name)}"
        for f in dataclasses.fields(method)
        if getattr(method, f.name) != f.default
    ]
    return " ".join([type(method).__name__, *changed])


guarded = pytest.mark.parametrize("method", GUARDED, ids=name_of)


def same_training(a, b):
    """Weights and moments alike, whatever is remembered."""
    return not differing(a._replace(memory={}), b._replace(memory={}))


# ---------------------------------------------------------------- laws of all choices
def cases():
    """All that NAI may choose, as the contract suite asks it."""
    fading, untrue = ("decayed", "average"), {"importances_only_grow": FADES}
    return [Case(name_of(m), m, untrue if m.accumulation in fading else {}) for m in NAI_VARIANTS]


@pytest.mark.parametrize(("case", "law"), [q for q in questions(cases()) if q.values[1].name in OF_FORMULAS])
def test_laws_that_hang_on_formulas(case, law):
    law.check(case)


@pytest.mark.parametrize(
    "method", [*GUARDED, Joint(), Nai(reset="all"), Nai(reset="unimportant")], ids=name_of
)
def test_the_first_task_is_finetuning_bit_for_bit(method):
    where = world(dropout=0.3)
    assert same_training(taught(where, method, (1,)), taught(where, Finetune(), (1,)))


@guarded
def test_pull_is_the_gradient_of_the_penalty(method):
    where = world()
    lesson = taught(where, method, (0, 1))
    chance = generator("away")
    params = {k: v + torch.randn(v.shape, generator=chance) for k, v in lesson.params.items()}
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    grads = torch.autograd.grad(
        penalty(leaves, lesson.memory, 3.0), list(leaves.values()), materialize_grads=True
    )
    found = pull({k: torch.zeros_like(v) for k, v in params.items()}, params, lesson.memory, 3.0)
    for (name, value), g in zip(found.items(), grads, strict=True):
        torch.testing.assert_close(value, g, rtol=1e-5, atol=1e-7, msg=name)
    adjusted = dataclasses.replace(method, strength=3.0).adjust(params, params, lesson.memory, None)
    for name, value in adjusted.items():
        torch.testing.assert_close(value, params[name] + found[name], msg=name)


def test_the_penalty_is_half_the_strength_times_importance_times_squared_distance():
    memory = {"importance.w": torch.tensor([2.0, 0.0]), "anchor.w": torch.tensor([[1.0, 1.0], [5.0, 5.0]])}
    params = {"w": torch.tensor([[2.0, 4.0], [9.0, 9.0]]), "free": torch.tensor(3.0)}
    assert penalty(params, memory, 3.0).item() == 3 / 2 * 2 * (1 + 9)
    assert mean_importance(memory).item() == 1.0
    assert effective_strength(Ewc(strength=3.0), memory) == 3.0
    assert effective_strength(Finetune(), {}) is None
    zeros = {k: torch.zeros_like(v) for k, v in params.items()}
    found = pull(zeros, params, memory, 3.0)
    assert {k: v.tolist() for k, v in found.items()} == {"w": [[6, 18], [0, 0]], "free": 0}


@pytest.mark.parametrize("method", [Nai(strength=1e8), Nai(strength=1e8, match_scale=False)], ids=name_of)
def test_a_huge_strength_holds_important_neurons_while_others_move(method):
    where, training = world(widths=[20, 12]), Training(epochs=6)
    first = taught(where, method, (0,), training=training)
    for layer in where.net.hidden:
        first.memory[f"omega.{layer.name}"][::2] = 0
        for name in layer.parameters:
            first.memory[f"importance.{name}"][::2] = 0
    (held,) = learn([first], [2], where, method, training=training, seeds=[Seeds()])
    for layer in where.net.hidden:
        important = first.memory[f"omega.{layer.name}"] > 0
        for name in layer.parameters:
            moved = (held.params[name] - first.params[name]).abs()
            assert moved[important].max() < 3 * training.rate  # Adam goes one step, and is drawn back
            assert moved[~important].max() > 6 * training.rate


def test_a_huge_proximal_strength_holds_important_neurons_exactly():
    where, method = world(), Nai(strength=1e9, penalty="group_l2")
    first = taught(where, method, (0,))
    (held,) = learn([first], [2], where, method, training=SHORT, seeds=[Seeds()])
    for layer in where.net.hidden:
        important = first.memory[f"omega.{layer.name}"] > 0
        assert important.any()
        for name in layer.parameters:
            assert torch.equal(held.params[name][important], first.params[name][important])


# ---------------------------------------------------------------- several tasks in two buffers
def test_ewc_s_two_buffers_are_the_sum_over_tasks_of_their_own_penalties():
    where, method = world(), Ewc(strength=7.0)
    told, lesson = [], begin(where, method, Seeds())
    for task in (2, 0, 1):
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        told.append(
            (oracles.fisher(where, lesson.params, task, HEADS[task], lambda place, p: p), lesson.params)
        )
    away = {k: v + torch.randn(v.shape, generator=generator(k)) for k, v in lesson.params.items()}
    model = oracles.plain_mlp(away)
    own = oracles.named(model, away)
    expected = torch.autograd.grad(oracles.quadratic(own, told, 7.0), list(own.values()))
    found = pull({k: torch.zeros_like(v) for k, v in away.items()}, away, lesson.memory, 7.0)
    for (name, value), g in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(value, g, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize("group", ["incoming", "incoming_no_bias", "incoming_outgoing_max"])
def test_nai_s_weighted_mean_anchor_is_one_penalty_a_task(group):
    where, method = world(), Nai(group=group, anchor="weighted_mean")
    told, lesson = [], begin(where, method, Seeds())
    zero = below("importance", lesson.memory)
    for task in (2, 0, 1):
        before = below("importance", lesson.memory)
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        after = below("importance", lesson.memory)
        told.append(({k: after[k] - before[k] for k in zero}, {k: lesson.params[k] for k in zero}))
    away = {k: v + torch.randn(v.shape, generator=generator(k)) for k, v in lesson.params.items()}
    found = pull({k: torch.zeros_like(v) for k, v in away.items()}, away, lesson.memory, 7.0)
    for name in zero:
        expected = sum(7.0 * shaped(n[name], away[name]) * (away[name] - a[name]) for n, a in told)
        torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-4, msg=name)


def test_si_is_its_path_integral():
    where, method = world(), Si(strength=4.0, damping=0.2)
    lesson = begin(where, method, Seeds())
    omega = {k: torch.zeros_like(v) for k, v in lesson.params.items()}
    anchor = lesson.params
    for depth, task in enumerate((1, 0, 2)):
        terms = [(dict(omega), anchor)]
        expected, path = oracles.plain_training(
            where,
            lesson.params,
            task,
            used=HEADS[task],
            training=SHORT,
            depth=depth,
            penalty=lambda own, terms=terms: oracles.quadratic(own, terms, 4.0),
        )
        for name, value in path.items():
            moved = expected[name] - anchor[name]
            omega[name] = omega[name] + value.clamp(min=0) / (moved**2 + 0.2)
        (lesson,) = learn([lesson], [task], where, method, training=SHORT, seeds=[Seeds()])
        anchor = lesson.params  # not `expected`: Adam blows a pull by rounding up to whole steps
        for name, value in omega.items():
            torch.testing.assert_close(lesson.params[name], expected[name], rtol=1e-3, atol=5e-5, msg=name)
            torch.testing.assert_close(
                lesson.memory[f"importance.{name}"], value, rtol=2e-2, atol=1e-4, msg=name
            )
            assert lesson.memory[f"path.{name}"].eq(0).all()


def test_si_s_shares_worked_by_hand_and_those_below_0_count_as_0():
    method = Si(damping=0.5)
    memory = {
        "importance.w": torch.tensor([1.0, 1.0, 0.0]),
        "anchor.w": torch.zeros(3),
        "path.w": torch.tensor([3.0, -3.0, 1.0]),
    }
    params = {"w": torch.tensor([1.0, 1.0, 0.0])}
    _, after = method.after_task(None, params, None, memory, None)
    assert after["importance.w"].tolist() == [1 + 3 / 1.5, 1, 1 / 0.5]
    assert torch.equal(after["anchor.w"], params["w"])
    grads, before = {"w": torch.tensor([2.0, 2.0, 2.0])}, {"w": torch.tensor([0.5, 1.5, 0.0])}
    _, walked = method.after_step(before, grads, params, memory, None)
    assert walked["path.w"].tolist() == [3 - 1, -3 + 1, 1]


def test_mas_and_nai_sum_over_tasks_and_anchor_at_the_last_weights():
    where = world()
    for method in (Mas(), Nai()):
        one, two = (taught(where, method, order) for order in ((0,), (0, 1)))
        if isinstance(method, Mas):
            added = oracles.sensitivity(where, two.params, 1, HEADS[1])
            for name, value in added.items():
                total = one.memory[f"importance.{name}"] + value
                torch.testing.assert_close(two.memory[f"importance.{name}"], total, rtol=1e-4, atol=1e-8)
        for name, anchor in below("anchor", two.memory).items():
            assert torch.equal(anchor, two.params[name])


# ---------------------------------------------------------------- NAI's own choices
def omegas(where, method, order):
    lesson = taught(where, method, order)
    return torch.cat([lesson.memory[f"omega.{layer.name}"] for layer in where.net.hidden])


def test_omega_is_mean_over_spread_matched_over_the_net():
    where = world()
    lesson = taught(where, Nai(), (1,))
    said = oracles.activations(where, lesson.params, 1)
    raw = torch.cat([x.mean(0) / (x.std(0, correction=0) + 1e-6) for x in said])
    torch.testing.assert_close(omegas(where, Nai(), (1,)), raw / raw.mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_accumulation_over_tasks(name):
    where, strength = world(), 0.0  # so that all train alike
    method = Nai(strength=strength, accumulation=name, eta=0.6)
    decayed = [
        omegas(where, Nai(strength=strength, accumulation="decayed", eta=0.0), order)
        for order in ((0,), (0, 1), (0, 1, 2))
    ]
    a, b, c = decayed  # eta 0 leaves each task's own
    expected = {
        "sum": a + b + c,
        "max": torch.maximum(torch.maximum(a, b), c),
        "decayed": 0.36 * a + 0.6 * b + c,
        "average": (a + b + c) / 3,
    }
    torch.testing.assert_close(omegas(where, method, (0, 1, 2)), expected[name])


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_weights_share_the_importance_of_the_neurons_at_their_ends(group, model):
    options = {"mlp": {"widths": [4, 3]}, "conv": {"widths": [2], "dense_units": 3}}[model]
    where = world(blobs((8, 8), features=(1, 4, 4)), model, **options)
    lesson = taught(where, Nai(group=group), (0,), training=Training(epochs=1))
    net = where.net
    ends = {"max": max, "min": min, "mean": lambda a, b: (a + b) / 2}
    for layer in net.hidden:
        omega = lesson.memory[f"omega.{layer.name}"]
        weight, bias = layer.parameters
        if group == "incoming_no_bias":
            assert f"importance.{bias}" not in lesson.memory
        else:
            assert torch.equal(lesson.memory[f"importance.{bias}"], omega)
        value = lesson.params[weight]
        found = shaped(lesson.memory[f"importance.{weight}"], value).expand(value.shape)
        for place in itertools.product(*map(range, value.shape)):
            expected = omega[place[0]].item()
            if group.startswith("incoming_outgoing") and layer.source is not None:
                fed = net.hidden[layer.source]
                # a flattened map's numbers stand together, channel after channel
                neuron = place[1] // (value.shape[1] // fed.units)
                other = lesson.memory[f"omega.{fed.name}"][neuron].item()
                expected = ends[group.rpartition("_")[2]](expected, other)
            assert found[place].item() == pytest.approx(expected)


def test_columns_repeat_each_map_s_neuron():
    assert columns(torch.tensor([1.0, 2.0]), torch.zeros(3, 6)).tolist() == [[1, 1, 1, 2, 2, 2]]
    assert columns(torch.tensor([1.0, 2.0]), torch.zeros(3, 2, 3, 3)).shape == (1, 2, 1, 1)


def context_of(where, method, depth, noise=None):
    return Context(
        task=torch.tensor(0), depth=torch.tensor(depth), steps=torch.tensor(1),
        heads=where.heads, noise=noise or {}, epoch=0, epochs=1, step=0, rate=0.01, widest=2,
        source=where.source, net=where.net, rows=no_rows((), where.device),
    )  # fmt: skip


def redrawn(where, method, omega, depth):
    """Parameters before a task and after `before_task`, with given importances."""
    lesson = begin(where, method, Seeds())
    noise = {k: make(generator("drawn", k)) for k, make in method.task_draws(where.net, 32).items()}
    memory = lesson.memory | {f"omega.{layer.name}": omega[i] for i, layer in enumerate(where.net.hidden)}
    context = context_of(where, method, depth, noise)
    params, after = method.before_task(where.net, lesson.params, context.rows, memory, context)
    assert after is memory
    return lesson.params, params, noise


OMEGA = [torch.tensor([0.0, 3.0, 1.0, 0.0]), torch.tensor([5.0, 0.0, 2.0, 1.0])]


@pytest.mark.parametrize("reset", ["none", "all", "unimportant", "unimportant+zero_outgoing"])
def test_nothing_is_drawn_anew_before_the_first_task(reset):
    where = world(widths=[4, 4])
    method = Nai(reset=reset, penalty="group_l2" if reset.endswith("outgoing") else "squared_l2")
    before, after, _ = redrawn(where, method, OMEGA, 0)
    assert all(torch.equal(after[k], v) for k, v in before.items())


@pytest.mark.parametrize(
    ("reset", "rho", "rows"),
    [
        ("all", 0.5, [[0, 1, 2, 3], [0, 1, 2, 3]]),
        ("unimportant", 0.5, [[0, 3], [1, 3]]),
        ("unimportant", 0.25, [[0], [1]]),  # of equals the first
        ("unimportant", 0.8, [[0, 2, 3], [1, 2, 3]]),
        ("unimportant", 0.0, [[], []]),
        ("unimportant", 1.0, [[0, 1, 2, 3], [0, 1, 2, 3]]),
    ],
)
def test_later_tasks_draw_the_least_important_neurons_anew(reset, rho, rows):
    where = world(widths=[4, 4])
    before, after, noise = redrawn(where, Nai(reset=reset, rho=rho), OMEGA, 1)
    expected = {k: v.clone() for k, v in before.items()}
    for layer, lost in zip(where.net.hidden, rows, strict=True):
        for name in layer.parameters:
            expected[name][lost] = noise[f"redraw.{name}"][lost]
    assert all(torch.equal(after[k], v) for k, v in expected.items())


def test_outgoing_weights_of_drawn_neurons_without_importance_are_zeroed_the_head_s_too():
    where = world(widths=[4, 4])
    method = Nai(reset="unimportant+zero_outgoing", penalty="group_l2", rho=0.75)
    before, after, noise = redrawn(where, method, OMEGA, 1)
    expected = {k: v.clone() for k, v in before.items()}
    for layer, lost in zip(where.net.hidden, [[0, 2, 3], [1, 2, 3]], strict=True):
        for name in layer.parameters:
            expected[name][lost] = noise[f"redraw.{name}"][lost]
    expected["layers.1.weight"][:, [0, 3]] = 0
    expected["layers.2.weight"][:, [1]] = 0
    assert all(torch.equal(after[k], v) for k, v in expected.items())


def test_fresh_weights_differ_between_tasks_and_data_seeds_but_not_between_initial_seeds():
    where, method = world(), Nai(reset="all", strength=0.0)
    # a rate so small that weights stay as they were drawn
    training = Training(epochs=1, rate=1e-30)
    body = lambda order, seeds: taught(where, method, order, training=training, seeds=seeds).params[  # noqa: E731
        "layers.0.weight"
    ]
    once = body((0, 1), Seeds(0, 0))
    assert torch.equal(once, body((0, 2), Seeds(5, 0)))
    assert not torch.equal(once, body((0, 1), Seeds(0, 5)))
    assert not torch.equal(once, body((0, 1, 2), Seeds(0, 0)))
    assert not torch.equal(once, body((0,), Seeds(0, 0)))


def test_the_proximal_step_is_that_of_each_neuron_s_whole_group():
    where = world(widths=[4, 4])
    method = Nai(strength=40.0, sparsity=30.0, penalty="group_l2")
    lesson = begin(where, method, Seeds())
    memory = lesson.memory | {f"omega.{layer.name}": OMEGA[i] for i, layer in enumerate(where.net.hidden)}
    params = {k: v + 0.2 * torch.randn(v.shape, generator=generator(k)) for k, v in lesson.params.items()}
    after, _ = method.after_epoch(where.net, params, memory, context_of(where, method, 1))
    exact = 0
    for layer, omega in zip(where.net.hidden, OMEGA, strict=True):
        group = lambda values, n, layer=layer: torch.cat([values[p][n].flatten() for p in layer.parameters])  # noqa: E731
        for n in range(4):
            expected = oracles.proximal(
                group(params, n),
                group(lesson.params, n),
                float(omega[n]),
                strength=40.0,
                sparsity=30.0,
                rate=0.01,
            )
            torch.testing.assert_close(group(after, n), expected)
            exact += torch.equal(group(after, n), group(lesson.params, n))
    assert exact  # some are drawn back all the way
    for name in where.net.head.parameters:
        assert torch.equal(after[name], params[name])


# ---------------------------------------------------------------- joint
@pytest.mark.parametrize("optimizer", ["fresh", "kept"])
def test_joint_depends_on_the_set_of_tasks_alone(optimizer):
    where, training = world(), Training(epochs=1, optimizer=optimizer)
    ends = [taught(where, Joint(), order, training=training) for order in itertools.permutations(range(3))]
    assert all(not differing(ends[0]._replace(done=()), other._replace(done=())) for other in ends[1:])
    assert len({Joint().node(order) for order in itertools.permutations(range(3))}) == 1


def test_joint_starts_anew_from_its_initial_weights_on_all_tasks_so_far():
    where, training = world(), Training(epochs=2)
    start = begin(where, Joint(), Seeds())
    whole = where._replace(train=(torch.cat([where.train[t] for t in (0, 2)]),) * 3)
    model = oracles.plain_mlp(start.params)
    optimizer = torch.optim.Adam(model.parameters(), lr=training.rate)
    for indices in oracles.batches(whole, 0, training, Seeds(), 1):
        optimizer.zero_grad()
        logits = model(where.source.inputs[indices])
        own = where.heads[where.source.tasks[indices]]
        torch.nn.functional.cross_entropy(
            logits.masked_fill(~own, -torch.inf), where.source.labels[indices]
        ).backward()
        optimizer.step()
    found = taught(where, Joint(), (2, 0), training=training)
    for name, value in oracles.named(model, start.params).items():
        torch.testing.assert_close(found.params[name], value.detach(), rtol=1e-3, atol=1e-5)
    assert differing(found, taught(where, Joint(), (2, 0), training=training, seeds=Seeds(1, 0)))


# ---------------------------------------------------------------- hyperparameters
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Nai(strength=-1), "strength -1 must be a finite number of at least 0"),
        (lambda: Nai(strength=float("nan")), "strength nan must be a finite"),
        (lambda: Ewc(strength=float("inf")), "strength inf must be a finite"),
        (lambda: Si(strength=-0.1), "strength -0.1"),
        (lambda: Mas(strength=-0.1), "strength -0.1"),
        (lambda: Si(damping=0), "damping 0 divides by zero .* use a number above 0"),
        (lambda: Ewc(labels="guess"), "labels 'guess' is unknown: known are exact, true, sample"),
        (lambda: Nai(eta=1.5), "eta 1.5 must lie between 0 and 1"),
        (lambda: Nai(rho=-0.5), "rho -0.5 must lie between 0 and 1"),
        (lambda: Nai(eps=-1e-9), "eps -1e-09 must be"),
        (lambda: Nai(normalization="l2"), "normalization 'l2' is unknown: known are neuron_std"),
        (lambda: Nai(activation_stat="median"), "activation_stat 'median' is unknown"),
        (lambda: Nai(pooling="min"), "pooling 'min' is unknown: known are gap, max"),
        (lambda: Nai(accumulation="product"), "accumulation 'product' is unknown"),
        (lambda: Nai(anchor="first"), "anchor 'first' is unknown"),
        (lambda: Nai(group="outgoing"), "group 'outgoing' is unknown"),
        (lambda: Nai(penalty="l1"), "penalty 'l1' is unknown"),
        (lambda: Nai(reset="some"), "reset 'some' is unknown"),
        (lambda: Nai(importance_source="luck"), "importance_source 'luck' is unknown"),
        (lambda: Nai(anchor="weighted_mean", accumulation="max"), "use accumulation 'sum' or anchor 'last'"),
        (lambda: Nai(penalty="group_l2", group="incoming_no_bias"), "use group 'incoming' and anchor 'last'"),
        (lambda: Nai(reset="unimportant+zero_outgoing"), "unless penalty is 'group_l2'"),
        (lambda: Nai(sparsity=1.0), "sparsity 1.0 acts only with penalty 'group_l2'"),
        (lambda: Training(epochs=0), "epochs 0 must be a whole number of at least 1"),
        (lambda: Training(batch=0), "batch 0 must be a whole number of at least 1"),
        (lambda: Training(epochs=2.5), "epochs 2.5 must be a whole number"),
        (lambda: Training(rate=0), "rate 0 must be a finite number above 0"),
        (lambda: Training(rate=float("nan")), "rate nan must be"),
        (lambda: Training(optimizer="sgd"), "optimizer 'sgd' is unknown: known are fresh, kept"),
    ],
)
def test_wrong_hyperparameters_are_named_with_the_rule(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    "method",
    [Nai(group="incoming_outgoing_max"), Nai(reset="unimportant+zero_outgoing", penalty="group_l2")],
    ids=name_of,
)
def test_nets_that_are_no_chain_have_no_outgoing_groups(method):
    where = world(blobs((4,), features=(1, 8, 8)), "resnet18", width=2, groups=1)
    with pytest.raises(
        ValueError, match=r"ResNet18 has layers fed by several others: .* use group 'incoming'"
    ):
        begin(where, method, Seeds())
