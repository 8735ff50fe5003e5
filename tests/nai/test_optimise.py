"""What moves weights in place has the bits of what it stands for."""

import pytest
import torch
from torch.optim.adam import adam
from worlds import blobs, taught, world

from nai.methods import Ewc, Finetune, Mas, Nai, Si
from nai.optimise import BETAS, CACHED, EPS, Adam, Decay, Springs, fresh, optimizer_of
from nai.stack import Rule, flat, stacked, views
from nai.training import Training


def named(replicas, *, seed):
    shapes = {"layers.0.weight": (12, 12), "layers.0.bias": (12,)}
    shapes |= {
        "layers.1.weight": (8, 12),
        "layers.1.bias": (8,),
        "layers.2.weight": (6, 8),
        "layers.2.bias": (6,),
    }
    buffer = flat({k: torch.Size(v) for k, v in shapes.items()}, replicas, torch.device("cpu"))
    buffer.copy_(torch.randn(buffer.shape, generator=torch.Generator().manual_seed(seed)))
    return views(buffer, {k: torch.Size(v) for k, v in shapes.items()})


@pytest.mark.parametrize("cached", [1, 300, CACHED])
@pytest.mark.parametrize("kind", [Nai, Ewc, Si, Mas])
def test_springs_pull_as_adjust_does_bit_for_bit(kind, cached, monkeypatch):
    monkeypatch.setattr("nai.optimise.CACHED", cached)
    where = world(blobs((40, 33, 70)))
    methods = [kind(strength=s) for s in (0.3, 0.0, 7.0)]
    memory = stacked([taught(where, m, (n,)).memory for n, m in enumerate(methods)])
    params, grads = named(3, seed=1), named(3, seed=2)
    rule = Rule.of(methods, torch.device("cpu"))
    expected = rule.whole.adjust(grads, params, memory, None)
    for n, method in enumerate(methods):  # and that is what each is alone
        alone = {
            part: {k: v[n].clone() for k, v in some.items()} for part, some in (("p", params), ("g", grads))
        }
        mine = {k: v[n] for k, v in memory.items()}
        found = method.adjust(alone["g"], alone["p"], mine, None)
        assert all(torch.equal(found[k], expected[k][n]) for k in found)
        Springs(method.spring(mine), alone["p"], alone["g"]).pull()
        assert all(torch.equal(found[k], alone["g"][k]) for k in found)
    Springs(rule.whole.spring(memory), params, grads).pull()
    assert all(torch.equal(expected[k], grads[k]) for k in grads)


def test_only_a_quadratic_penalty_is_a_spring():
    assert Finetune().spring({}) is None
    assert Nai(penalty="group_l2").spring({}) is None


def test_adam_steps_as_torch_does_and_leaves_rows_that_are_done():
    chance = torch.Generator().manual_seed(0)
    buffer, twin = torch.randn(2, 3, 48, generator=chance)
    state, rate = fresh(buffer, Training()), 1e-2
    mine, other = buffer.clone(), [[row.clone() for row in x] for x in (buffer, *state.values())]
    stepping = Adam(mine, twin, state, rate)
    for live in ([True] * 3, [True, False, True], [True] * 3, [False, False, True]):
        twin.copy_(torch.randn(3, 48, generator=chance))
        stepping.step(live)
        columns = [[x for x, flag in zip(some, live, strict=True) if flag] for some in (twin, *other)]
        grads, values, mean, square, step = columns
        adam(
            values, grads, mean, square, [], step,
            fused=True, foreach=False, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1],
            lr=rate, weight_decay=0.0, eps=EPS, maximize=False,
        )  # fmt: skip
    for found, expected in zip((mine, *state.values()), other, strict=True):
        assert torch.equal(found, torch.stack(expected))
    assert state["step"].tolist() == [3, 2, 4]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_descent_steps_as_torch_does_bit_for_bit_and_leaves_rows_that_are_done(momentum, decay):
    chance = torch.Generator().manual_seed(0)
    buffer, twin = torch.randn(2, 3, 48, generator=chance)
    training = Training(algorithm="sgd", rate=1e-2, momentum=momentum, decay=decay)
    mine, state = buffer.clone(), fresh(buffer, training)
    stepping = optimizer_of(training, mine, twin, state)
    pulling = Decay(mine, twin, torch.full_like(mine, decay))
    rows = [torch.nn.Parameter(row.clone()) for row in buffer]
    theirs = [torch.optim.SGD([row], lr=1e-2, momentum=momentum, weight_decay=decay) for row in rows]
    for live in ([True] * 3, [True, False, True], [True] * 3, [False, False, True]):
        twin.copy_(torch.randn(3, 48, generator=chance))
        for row, grad, other, flag in zip(rows, twin, theirs, live, strict=True):
            row.grad = grad.clone() if flag else None
            other.step()
        pulling.pull()
        stepping.step(live)
        assert torch.equal(mine, torch.stack([row.detach() for row in rows]))


def test_no_moments_are_kept_that_nothing_asks_for():
    buffer = torch.zeros(2, 16)
    assert fresh(buffer, Training(algorithm="sgd")) == {}
    assert list(fresh(buffer, Training(algorithm="sgd", momentum=0.5))) == ["momentum"]
    assert list(fresh(buffer, Training())) == ["mean", "square", "step"]
