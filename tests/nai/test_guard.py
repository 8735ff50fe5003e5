"""The guard of plain modules, against the functional core as its oracle."""

import copy
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import nai
from nai.datasets import benchmark
from nai.learn import begin, learn
from nai.methods.anchored import below, effective_strength, penalty
from nai.seeds import generator
from nai.tasks import Benchmark, Task
from nai.trial import world_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guard.md"
SEEDS = nai.Seeds(init=3, data=5)
TRAINING = nai.Training(epochs=2, batch=16, rate=3e-3)
ORDER = (2, 0, 1)


class Twin(nn.Module):
    """`nai.Mlp` as a plain module with the same names; the activation as a module or as a function."""

    def __init__(self, widths=(12, 10), outputs=6, features=20, functional=False):
        super().__init__()
        sizes = [features, *widths, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = F.relu if functional else nn.ReLU()

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class Images(nn.Module):
    def __init__(self, functional, inplace=False):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(36, 8), nn.Linear(8, 3)
        self.act = F.relu if functional else nn.ReLU(inplace)

    def forward(self, x):
        x = self.act(F.max_pool2d(self.norm1(self.conv1(x)), 2))
        x = self.act(self.conv2(x) + x)
        return F.log_softmax(self.fc2(self.act(self.fc1(x.flatten(1)))), 1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.read, self.rnn, self.fc = nn.Linear(3, 5), nn.LSTM(5, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.rnn(torch.relu(self.read(x)))[0][:, -1])


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(20, 8)
        self.heads = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))

    def forward(self, x, task=0):
        return self.heads[task](self.body(x).relu())


def made(build, seed=0):
    """A module with weights from a seed, leaving no trace in the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loader(task=0, count=40, shape=(20,), outputs=6):
    inputs = draw(count, *shape, seed=task)
    labels = torch.randint(0, outputs, (count,), generator=torch.Generator().manual_seed(task))
    return [(inputs[i : i + 16], labels[i : i + 16]) for i in range(0, count, 16)]


def backward(model, inputs, labels):
    model.zero_grad()
    F.cross_entropy(model(inputs), labels).backward()


def fit(model, guard, data, steps=6, rate=1e-2, optimizer=None):
    """Plain training of one task, every call of the guard in its place."""
    optimizer = optimizer or torch.optim.SGD(model.parameters(), rate)
    guard.before_task()
    for step in range(steps):
        backward(model, *data[step % len(data)])
        guard.adjust()
        optimizer.step()
        guard.after_step()
    guard.after_epoch(rate)
    guard.after_task(data)


def perturb(model, seed=1, size=0.1):
    with torch.no_grad():
        for n, p in enumerate(model.parameters()):
            p += size * draw(*p.shape, seed=seed + n)


def grads(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def world():
    """Three tasks of two classes on 20 made features, as the core sees them."""
    chance = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 30)
    inputs = chance.normal(size=(180, 20)).astype(np.float32) + np.eye(6, 20, dtype=np.float32)[labels] * 2
    parts = [np.flatnonzero(labels // 2 == t) for t in range(3)]
    tasks = tuple(Task(f"{t}", (2 * t, 2 * t + 1), p[::2], p[1::4], p[3::4]) for t, p in enumerate(parts))
    made = Benchmark.of("toy", "task", tasks, inputs=inputs, labels=labels, scale=None, shift=None)
    return world_of(made, nai.Named.of("mlp", widths=(12, 10)))


def by_core(world, method):
    lesson = begin(world, method, SEEDS)
    for task in ORDER:
        (lesson,) = learn([lesson], [task], world, method, training=TRAINING, seeds=[SEEDS])
    return lesson


def by_guard(world, method):
    """The same course of training, written as a plain PyTorch loop."""
    model = Twin()
    model.load_state_dict(begin(world, method, SEEDS).params)
    guard = nai.Guard(model, method, seed=SEEDS.data)
    guard.watch(world.source.inputs[:2])
    for depth, task in enumerate(ORDER):
        guard.before_task()
        optimizer = torch.optim.Adam(model.parameters(), TRAINING.rate, fused=True)
        rows = world.train[task]
        for epoch in range(TRAINING.epochs):
            plan = torch.randperm(len(rows), generator=generator(SEEDS.data, depth, "batches", epoch))
            for part in rows[plan].split(TRAINING.batch):
                optimizer.zero_grad()
                logits = model(world.source.inputs[part])
                logits = logits.masked_fill(~world.heads[task], -torch.inf)
                F.cross_entropy(logits, world.source.labels[part]).backward()
                guard.adjust()
                optimizer.step()
                guard.after_step()
            guard.after_epoch(TRAINING.rate)
        whole = [(world.source.inputs[p], world.source.labels[p]) for p in rows.split(25)]
        used = (
            {"outputs": list(range(2 * task, 2 * task + 2))} if isinstance(method, nai.Ewc | nai.Mas) else {}
        )
        guard.after_task(whole, **used)
    return model, guard


METHODS = {
    "nai": nai.Nai(strength=0.3),
    "nai without strength": nai.Nai(strength=0.0),
    "nai layer_mean": nai.Nai(normalization="layer_mean", accumulation="max", match_scale=False),
    "nai weighted mean": nai.Nai(anchor="weighted_mean", group="incoming_no_bias"),
    "nai average": nai.Nai(accumulation="average", activation_stat="mean_abs", eps=0.1),
    "nai decayed": nai.Nai(accumulation="decayed", eta=0.5, normalization="layer_softmax"),
    "nai both ends": nai.Nai(group="incoming_outgoing_max"),
    "nai group": nai.Nai(penalty="group_l2", strength=1.0, sparsity=0.3),
    "nai group zeroed": nai.Nai(
        penalty="group_l2", strength=1.0, sparsity=9.0, reset="unimportant+zero_outgoing"
    ),
    "nai reset": nai.Nai(reset="all"),
    "nai reset some": nai.Nai(reset="unimportant", rho=0.3),
    "nai random": nai.Nai(importance_source="random"),
    "ewc exact": nai.Ewc(),
    "ewc true": nai.Ewc(labels="true", strength=10.0),
    "si": nai.Si(),
    "mas": nai.Mas(),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_plain_loop_with_the_guard_ends_where_the_core_does(world, method):
    lesson = by_core(world, method)
    model, guard = by_guard(world, method)
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), lesson.params[name], rtol=1e-3, atol=2e-4)
    for name, value in lesson.memory.items():
        torch.testing.assert_close(guard.memory[name], value, rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize(
    "method", [METHODS["nai"], nai.Ewc(), nai.Si(), nai.Mas()], ids=lambda m: type(m).__name__
)
def test_adjust_is_the_method_s_own_to_the_bit(method):
    model = made(Twin)
    guard = nai.Guard(model, method)
    for task in range(2):
        fit(model, guard, loader(task))
    perturb(model)
    backward(model, *loader(2)[0])
    raw = grads(model)
    values = {name: p.detach() for name, p in model.named_parameters()}
    expected = method.adjust(raw, values, guard.memory, None)
    guard.adjust()
    assert not torch.equal(model.layers[0].weight.grad, raw["layers.0.weight"])
    for name, value in grads(model).items():
        assert torch.equal(value, expected[name]), name
    assert guard.penalty() == penalty(values, guard.memory, method.strength)


@pytest.mark.parametrize("method", [nai.Nai(), nai.Mas()], ids=lambda m: type(m).__name__)
def test_the_gradient_is_that_of_the_penalty(method):
    model = made(Twin)
    guard = nai.Guard(model, method)
    fit(model, guard, loader())
    perturb(model)
    values = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    penalty(values, guard.memory, method.strength).backward()
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    guard.adjust()
    for name, p in model.named_parameters():
        wanted = values[name].grad
        torch.testing.assert_close(p.grad, torch.zeros_like(p) if wanted is None else wanted)


@pytest.mark.parametrize("method", [nai.Nai(strength=0.0), nai.Ewc(strength=0.0), nai.Mas(strength=0.0)])
def test_no_strength_no_change_of_any_bit(method):
    model = made(Twin)
    guard = nai.Guard(model, method)
    fit(model, guard, loader())
    perturb(model)
    backward(model, *loader(1)[0])
    raw = grads(model)
    guard.adjust()
    assert all(torch.equal(v.view(torch.int32), raw[k].view(torch.int32)) for k, v in grads(model).items())


# ---------------------------------------------------------------- what the page says
def blocks():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_example_has_under_15_lines_and_runs():
    example = blocks()[0]
    assert len([line for line in example.splitlines() if line.strip()]) < 15
    names = {}
    with torch.random.fork_rng():
        exec(example, names)
    guard = names["guard"]
    assert guard.depth == 2
    assert effective_strength(guard.method, guard.memory) == pytest.approx(2.0)  # two tasks, each of mean 1


def test_the_page_names_what_the_guard_has():
    for name in set(re.findall(r"guard\.(\w+)\(", PAGE.read_text())):
        assert hasattr(nai.Guard, name)


def mean_accuracy(digits, strength):
    """Over all tasks after the last, of a plain loop over tasks that share their outputs."""
    model = made(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 60), nn.ReLU(), nn.Linear(60, 10)))
    guard = nai.Guard(model, nai.Nai(strength=strength))
    source = digits.samples("cpu")
    for depth, task in enumerate(digits.tasks):
        optimizer, rows = torch.optim.Adam(model.parameters(), 3e-3), torch.tensor(task.train)
        for epoch in range(8):
            for part in rows[torch.randperm(len(rows), generator=generator(depth, epoch))].split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(source.inputs[part]), source.labels[part]).backward()
                guard.adjust()
                optimizer.step()
        guard.after_task([source.inputs[rows]])
    tests = [torch.tensor(task.test) for task in digits.tasks]
    return np.mean([(model(source.inputs[t]).argmax(1) == source.labels[t]).float().mean() for t in tests])


def test_a_guarded_model_forgets_less():
    digits = benchmark("permuted", dataset="digits", tasks=4)
    assert mean_accuracy(digits, 0.03) > mean_accuracy(digits, 0.0) + 0.03


# ---------------------------------------------------------------- any module
@pytest.mark.parametrize("inplace", [False, True])
def test_activations_as_modules_and_as_functions_are_the_same(inplace):
    data = loader(shape=(1, 8, 8), outputs=3)
    memories = []
    for functional in (False, True):
        model = made(lambda f=functional: Images(f, inplace)).eval()
        guard = nai.Guard(model, nai.Nai())
        guard.after_task(data)
        memories.append(guard.memory)
    assert memories[0].keys() == memories[1].keys()
    assert all(torch.equal(v, memories[1][k]) for k, v in memories[0].items())


@pytest.mark.parametrize("pooling", ["gap", "max", "spatial_l2"])
def test_neurons_of_convolutions_by_hand(pooling):
    model = made(lambda: Images(functional=True)).eval()
    method = nai.Nai(pooling=pooling, match_scale=False)
    guard = nai.Guard(model, method)
    data = loader(shape=(1, 8, 8), outputs=3)
    guard.after_task(data)
    with torch.no_grad():
        x = F.relu(F.max_pool2d(model.norm1(model.conv1(torch.cat([b[0] for b in data]))), 2))
        y = F.relu(model.conv2(x) + x)
        z = F.relu(model.fc1(y.flatten(1)))
    pools = {
        "gap": lambda m: m.mean((2, 3)),
        "max": lambda m: m.amax((2, 3)),
        "spatial_l2": lambda m: m.norm(dim=(2, 3)),
    }
    for name, said in {"conv1": pools[pooling](x), "conv2": pools[pooling](y), "fc1": z}.items():
        wanted = said.mean(0) / (said.std(0, correction=0) + method.eps)
        torch.testing.assert_close(guard.memory[f"omega.{name}"], wanted, rtol=1e-4, atol=1e-5)
    assert guard.watch(data[0][0]) == {
        "conv1": ("conv1.weight", "norm1.weight", "norm1.bias"),
        "conv2": ("conv2.weight", "conv2.bias"),
        "fc1": ("fc1.weight", "fc1.bias"),
    }


def test_a_layer_without_activation_counts_by_the_size_of_its_output():
    model = made(lambda: nn.Sequential(nn.Linear(20, 5), nn.Linear(5, 6)))
    guard = nai.Guard(model, nai.Nai(match_scale=False, normalization="none"))
    data = loader()
    guard.after_task(data)
    wanted = model[0](torch.cat([b[0] for b in data])).abs().mean(0).detach()
    torch.testing.assert_close(guard.memory["omega.0"], wanted)


def test_a_sequence_s_neurons_lie_on_the_last_axis():
    model = made(lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(35, 2)))
    guard = nai.Guard(model, nai.Nai(match_scale=False, normalization="none"))
    inputs = draw(9, 7, 3)
    guard.after_task([inputs])
    torch.testing.assert_close(guard.memory["omega.0"], model[:2](inputs).mean((0, 1)).detach())


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (Recurrent, "rnn (LSTM)"),
        (lambda: nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2)), "0 (Embedding)"),
        (
            lambda: nn.ModuleDict({"att": nn.MultiheadAttention(4, 2), "fc": nn.Linear(4, 2)}),
            "att (MultiheadAttention)",
        ),
    ],
)
def test_a_module_that_nai_cannot_guard_is_named_with_the_way_out(build, name):
    with pytest.raises(ValueError, match=re.escape(name)) as error:
        nai.Guard(build(), nai.Nai())
    assert f"skip=({name.split()[0]!r},)" in str(error.value)


def test_a_model_s_own_parameter_is_named_without_the_modules_inside():
    model = made(Twin)
    model.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=r"cannot guard scale \(Twin\): .* skip=\('scale',\)"):
        nai.Guard(model, nai.Nai())
    assert set(nai.Guard(model, nai.Nai(), skip="scale").watch(draw(2, 20))) == {"layers.0", "layers.1"}


def test_of_many_modules_an_error_names_a_few_and_their_class():
    model = nn.Sequential(*(nn.Bilinear(2, 2, 2) for _ in range(7)))
    with pytest.raises(
        ValueError, match=r"3 \(Bilinear\) and 3 more: .*'3', \.\.\.\) or by class \(Bilinear\)"
    ):
        nai.Guard(model, nai.Nai())


@pytest.mark.parametrize("skip", ["rnn", ("rnn",), nn.LSTM, (nn.LSTM,)])
def test_a_skipped_module_is_left_free(skip):
    model = made(Recurrent)
    guard = nai.Guard(model, nai.Nai(), skip=skip)
    guard.after_task([(draw(8, 6, 3), torch.zeros(8))])
    assert set(below("anchor", guard.memory)) == {"read.weight", "read.bias"}


def test_the_other_methods_guard_any_module():
    model = made(lambda: nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 3)))
    inputs = torch.randint(0, 7, (10, 3), generator=torch.Generator().manual_seed(0))
    guard = nai.Guard(model, nai.Mas())
    guard.after_task([(inputs[:6],), (inputs[6:],)])
    wanted = torch.zeros(7, 4)
    for one in inputs:
        model.zero_grad()
        model(one[None]).square().sum().backward()
        wanted += model[0].weight.grad.abs() / 10
    torch.testing.assert_close(guard.memory["importance.0.weight"], wanted)


def test_fisher_of_sampled_labels_repeats_and_has_the_right_mean():
    model = made(Twin)
    data = loader(count=400)

    def fisher(labels, seed):
        guard = nai.Guard(model, nai.Ewc(labels=labels), seed=seed)
        guard.after_task(data)
        return guard.memory["importance.layers.2.bias"]

    assert torch.equal(fisher("sample", 1), fisher("sample", 1))
    drawn = torch.stack([fisher("sample", s) for s in range(8)]).mean(0)
    torch.testing.assert_close(drawn, fisher("exact", 0), rtol=0.1, atol=0)


def test_heads_by_name_and_the_loop_s_own_forward():
    model = made(Heads)
    with pytest.raises(
        ValueError, match=r"heads\.1 \(Linear\), heads\.2 \(Linear\): this pass did not run it"
    ):
        nai.Guard(model, nai.Nai()).watch(draw(2, 20))
    guard = nai.Guard(model, nai.Nai(), head="heads")
    guard.after_task(loader(), forward=lambda m, x: m(x, task=2))
    assert set(below("anchor", guard.memory)) == {"body.weight", "body.bias"}
    ewc = nai.Guard(model, nai.Ewc())
    ewc.after_task(loader(), forward=lambda m, x: m(x, task=2))
    assert not ewc.memory["importance.heads.0.weight"].any()
    assert ewc.memory["importance.heads.2.weight"].all()


def test_a_layer_called_twice_is_refused():
    layer = nn.Linear(20, 20)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(20, 6))
    with pytest.raises(ValueError, match=r"0 \(Linear\): one forward pass calls it more than once"):
        nai.Guard(model, nai.Nai()).after_task(loader())


def test_a_norm_ahead_of_its_layer_is_refused():
    model = nn.Sequential(nn.LayerNorm(20), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 6))
    with pytest.raises(ValueError, match=r"0 \(LayerNorm\): .* follows no layer"):
        nai.Guard(model, nai.Nai()).after_task(loader())
    guard = nai.Guard(model, nai.Nai(), skip=nn.LayerNorm)
    guard.after_task(loader())
    assert set(below("anchor", guard.memory)) == {"1.weight", "1.bias"}


def test_branches_have_no_chain():
    with pytest.raises(ValueError, match="layers fed by several others: group 'incoming_outgoing_max'"):
        nai.Guard(made(lambda: Images(True)), nai.Nai(group="incoming_outgoing_max")).after_task(
            loader(shape=(1, 8, 8), outputs=3)
        )


# ---------------------------------------------------------------- what it must not touch
@pytest.mark.parametrize(
    "method", [nai.Nai(), nai.Ewc(), nai.Si(), nai.Mas()], ids=lambda m: type(m).__name__
)
def test_frozen_parameters_buffers_and_modes_are_left_alone(method):
    model = made(lambda: Images(functional=False))
    model.conv2.requires_grad_(False)
    model.norm1.eval()
    guard = nai.Guard(model, method)
    data = loader(shape=(1, 8, 8), outputs=3)
    fit(model, guard, data)
    kept = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    if isinstance(method, nai.Si):
        guard.steps = 1
    guard.after_task(data)
    assert all(torch.equal(v, kept[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert not any("conv2." in name for name in below("anchor", guard.memory))
    backward(model, *data[0])
    guard.adjust()
    assert model.conv2.weight.grad is None
    assert not any(m._forward_hooks for m in model.modules())


def test_a_parameter_without_gradient_is_left_out():
    model = made(Twin)
    guard = nai.Guard(model, nai.Ewc())
    fit(model, guard, loader())
    perturb(model)
    backward(model, *loader(1)[0])
    model.layers[0].weight.grad = None
    guard.adjust()
    assert model.layers[0].weight.grad is None


def test_a_sparse_gradient_is_refused():
    model = nn.Embedding(5, 3, sparse=True)
    guard = nai.Guard(model, nai.Mas())
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="weight has a sparse gradient"):
        guard.adjust()


# ---------------------------------------------------------------- saving
@pytest.mark.parametrize(
    "method",
    [
        nai.Nai(reset="unimportant"),
        nai.Nai(penalty="group_l2", strength=1.0),
        nai.Ewc(labels="sample"),
        nai.Si(),
        nai.Mas(),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_saved_guard_goes_on_as_if_never_stopped(method, tmp_path):
    model = made(Twin)
    guard = nai.Guard(model, method)
    for task in range(2):
        fit(model, guard, loader(task))
    torch.save({"model": model.state_dict(), "guard": guard.state_dict()}, tmp_path / "at.pt")
    state = torch.load(tmp_path / "at.pt", weights_only=True)
    other = Twin()
    other.load_state_dict(state["model"])
    second = nai.Guard(other, method)
    second.load_state_dict(state["guard"])
    for who, keeper in ((model, guard), (other, second)):
        for task in (2, 3):
            fit(who, keeper, loader(task))
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())
    assert guard.memory.keys() == second.memory.keys()
    assert all(torch.equal(v, second.memory[k]) for k, v in guard.memory.items())


@pytest.mark.parametrize(
    ("other", "method", "message"),
    [
        (Twin, nai.Mas(), "the state is of Ewc, the guard's method is Mas"),
        (Twin, nai.Ewc(labels="true"), "labels was 'exact' and is 'true': only strength may differ"),
        (
            lambda: Twin(widths=(12, 11)),
            nai.Ewc(),
            r"layers.1.weight has shape \(11, 12\), but \(10, 12\) in the state",
        ),
        (lambda: Twin(widths=(12,)), nai.Ewc(), r"layers.1.weight has shape"),
        (lambda: nn.Linear(3, 2), nai.Ewc(), r"remembers layers.0.weight, which the model does not have"),
        (lambda: Twin(widths=(12, 10, 6)), nai.Ewc(), "layers.2.weight has shape|remembers nothing of"),
    ],
)
def test_a_state_of_another_method_or_model_is_refused(other, method, message):
    model = made(Twin)
    guard = nai.Guard(model, nai.Ewc())
    fit(model, guard, loader())
    with pytest.raises(ValueError, match=message):
        nai.Guard(other(), method).load_state_dict(guard.state_dict())


def test_another_strength_may_take_over_a_state():
    model = made(Twin)
    guard = nai.Guard(model, nai.Ewc(strength=1.0))
    fit(model, guard, loader())
    perturb(model)
    second = nai.Guard(model, nai.Ewc(strength=2.0))
    second.load_state_dict(guard.state_dict())
    assert second.penalty() == 2 * guard.penalty()


# ---------------------------------------------------------------- calls forgotten, options out of place
def test_si_misses_its_steps():
    model = made(Twin)
    guard = nai.Guard(model, nai.Si())
    with pytest.raises(RuntimeError, match="Si saw no step"):
        guard.after_task()
    backward(model, *loader()[0])
    guard.adjust()
    with pytest.raises(RuntimeError, match=r"call guard.after_step\(\)"):
        guard.adjust()
    with pytest.raises(RuntimeError, match="a step is under way"):
        guard.state_dict()
    guard.after_step()
    with pytest.raises(RuntimeError, match=r"call guard.adjust\(\) before"):
        guard.after_step()


def test_reset_and_group_miss_their_calls():
    for method, message in (
        (nai.Nai(reset="all"), r"call guard.before_task\(\)"),
        (nai.Nai(penalty="group_l2"), r"call guard.after_epoch\(rate\)"),
    ):
        model = made(Twin)
        guard = nai.Guard(model, method)
        fit(model, guard, loader())
        with pytest.raises(RuntimeError, match=message):
            guard.adjust()
            guard.after_task(loader())


def nai_guard(**options):
    return nai.Guard(Twin(), nai.Nai(**options))


def ewc_guard(**options):
    return nai.Guard(Twin(), nai.Ewc(**options))


MISTAKES = {
    "Guard takes Nai, Ewc, Si or Mas, got Joint": lambda: nai.Guard(Twin(), nai.Joint()),
    "skip 'layer' is no module of the model": lambda: nai.Guard(Twin(), nai.Nai(), skip="layer"),
    "head acts with Nai alone": lambda: nai.Guard(Twin(), nai.Mas(), head="layers.2"),
    "loader gave no batch": lambda: nai_guard().after_task([]),
    "outputs acts with Ewc and Mas": lambda: nai_guard().after_task(loader(), outputs=[1]),
    "needs labels": lambda: ewc_guard(labels="true").after_task([draw(4, 20)]),
    r"label \d is none of the outputs in use, \[1\]": lambda: ewc_guard(labels="true").after_task(
        loader(), outputs=[1]
    ),
    r"outputs \[batch, outputs\], got \(4, 5, 6\)": lambda: nai.Guard(nn.Linear(3, 6), nai.Mas()).after_task(
        [draw(4, 5, 3)]
    ),
    "inputs in one tensor": lambda: ewc_guard().after_task([{"x": draw(4, 20)}]),
    "no hidden layer": lambda: nai.Guard(nn.Linear(20, 3), nai.Nai()).after_task(loader()),
    "no shape yet": lambda: nai.Guard(nn.LazyLinear(3), nai.Nai()),
    "is a proximal step": lambda: nai_guard(penalty="group_l2").penalty(),
    r"call guard.watch\(inputs\)": lambda: nai_guard(penalty="group_l2", sparsity=1.0).after_epoch(0.1),
}


@pytest.mark.parametrize("message", MISTAKES)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_mistakes_are_named(message):
    with pytest.raises((TypeError, ValueError, RuntimeError), match=message):
        MISTAKES[message]()


# ---------------------------------------------------------------- compiled, mixed precision, devices
def test_a_compiled_model_is_guarded_like_the_plain_one():
    results = []
    for compiled in (False, True):
        model = made(Twin)
        run = torch.compile(model, backend="eager") if compiled else model
        guard = nai.Guard(run, nai.Nai())
        for task in range(2):
            fit(run, guard, loader(task))
        results.append((model.state_dict(), guard.memory))
    (plain, memory), (other, other_memory) = results
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value)
    for name, value in memory.items():
        torch.testing.assert_close(other_memory[name], value)


def test_a_compiled_part_keeps_its_plain_name():
    model = made(Heads)
    model.body = torch.compile(model.body, backend="eager")
    guard = nai.Guard(model, nai.Nai(reset="all"), head="heads")
    for task in range(2):
        fit(model, guard, loader(task, outputs=2))
    assert set(below("anchor", guard.memory)) == {"body.weight", "body.bias"}


def test_autocast_gives_float32_memory_close_to_the_plain_one():
    model, data = made(Twin), loader()
    for method in (nai.Nai(), nai.Mas()):
        plain, mixed = nai.Guard(model, method), nai.Guard(model, method)
        plain.after_task(data)
        with torch.autocast("cpu", torch.bfloat16):
            mixed.after_task(data)
            backward(model, *data[0])
            mixed.adjust()
        for name, value in below("importance", plain.memory).items():
            found = mixed.memory[f"importance.{name}"]
            assert found.dtype == torch.float32
            assert (found - value).norm() < 0.05 * value.norm()


def test_half_precision_parameters_have_float32_anchors():
    model = made(Twin).bfloat16()
    guard = nai.Guard(model, nai.Ewc())
    data = [(x.bfloat16(), y) for x, y in loader()]
    fit(model, guard, data)
    perturb(model)
    backward(model, *data[0])
    raw = grads(model)
    guard.adjust()
    assert {v.dtype for v in guard.memory.values()} == {torch.float32}
    assert model.layers[0].weight.grad.dtype == torch.bfloat16
    assert not torch.equal(raw["layers.0.weight"], model.layers[0].weight.grad)


@pytest.mark.parametrize("order", ["unscaled first", "told the scale"])
@pytest.mark.parametrize("method", [nai.Nai(), nai.Si()], ids=lambda m: type(m).__name__)
def test_a_scaler_changes_nothing(method, order):
    results = []
    for scaled in (False, True):
        model = made(Twin)
        guard = nai.Guard(model, method)
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=1024.0)
        for task in range(2):
            for batch in loader(task):
                model.zero_grad()
                scaler.scale(F.cross_entropy(model(batch[0]), batch[1])).backward()
                if order == "unscaled first":
                    scaler.unscale_(optimizer)
                    guard.adjust()
                else:
                    guard.adjust(scale=scaler.get_scale())
                scaler.step(optimizer)
                scaler.update()
                guard.after_step()
            guard.after_task(loader(task))
        results.append(model.state_dict())
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value)


def test_a_step_that_the_scaler_skips_leaves_si_s_path_finite():
    model = made(Twin)
    guard = nai.Guard(model, nai.Si())
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(model(draw(4, 20)).sum() * torch.inf).backward()
    guard.adjust(scale=scaler.get_scale())
    scaler.step(optimizer)
    guard.after_step()
    assert all(not v.any() for v in below("path", guard.memory).values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "method", [nai.Nai(reset="unimportant"), nai.Ewc(), nai.Si(), nai.Mas()], ids=lambda m: type(m).__name__
)
def test_on_a_gpu_as_on_the_cpu_and_moved_between_them(method):
    results = []
    for where in (("cpu", "cpu"), ("cuda", "cuda"), ("cpu", "cuda")):
        model = made(Twin)
        guard = nai.Guard(model, method)
        for task, device in enumerate(where):
            model.to(device)
            data = [(x.to(device), y.to(device)) for x, y in loader(task)]
            fit(model, guard, data)
        results.append({k: v.cpu() for k, v in model.state_dict().items()})
    for other in results[1:]:
        for name, value in results[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_float16_autocast_with_a_scaler_on_a_gpu_forgets_less():
    data = [[(x.cuda(), y.cuda()) for x, y in loader(task)] for task in range(2)]

    def drift(strength):
        model = made(Twin).cuda()
        guard = nai.Guard(model, nai.Nai(strength=strength))
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        scaler = torch.amp.GradScaler("cuda")
        for part in data:
            for batch in part * 5:
                optimizer.zero_grad()
                with torch.autocast("cuda", torch.float16):
                    loss = F.cross_entropy(model(batch[0]), batch[1])
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                guard.adjust()
                scaler.step(optimizer)
                scaler.update()
            if not guard.depth:
                before = copy.deepcopy(model.state_dict())
            guard.after_task(part)
        return sum(
            (v - before[k]).norm() for k, v in model.state_dict().items() if not k.startswith("layers.2")
        )

    assert drift(10.0) < drift(0.0)
