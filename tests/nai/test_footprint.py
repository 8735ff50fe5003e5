"""How wide a stack may be: fixed on a CPU, what finds room in this process's share on a GPU."""

import pytest
import torch
from worlds import blobs, numbers, taught, world

from nai import footprint
from nai.learn import learn
from nai.methods import Er, Ewc, Finetune, Hat, Nai, Progressive, RWalk
from nai.models import ConvNet, Mlp
from nai.seeds import Seeds
from nai.stack import WIDEST
from nai.training import Training

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SMALL = Mlp((64,), 10)
LARGE = ConvNet((3, 32, 32), 10)


@pytest.fixture
def card(monkeypatch):
    """A made-up card: bytes free and in all, of which this process holds and uses some, and its share."""

    def made(free, total=16 * 2**30, held=0, used=0, share=1.0):
        values = {
            "mem_get_info": (free, total),
            "memory_reserved": held,
            "memory_allocated": used,
            "get_per_process_memory_fraction": share,
        }
        for name, value in values.items():
            monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)

    return made


HEADS = torch.eye(5).bool().repeat_interleave(2, 1)


def width(net, device=GPU, wanted=None, batch=64, method=Nai()):  # noqa: B008
    features = (64,) if net is SMALL else (3, 32, 32)
    own = footprint.held(net, method, HEADS)
    return footprint.width(net, device, wanted, features=features, batch=batch, own=lambda: own)


def test_a_lesson_holds_what_its_method_adds_and_remembers():
    plain = footprint.weights(SMALL)
    assert footprint.held(SMALL, Finetune(), HEADS) == (plain, 0)
    assert footprint.held(SMALL, Ewc(), HEADS) == (plain, 2 * plain)
    assert footprint.held(SMALL, Er(size=100), HEADS) == (plain, 100 * 16)
    hat = footprint.held(SMALL, Hat(), HEADS)
    assert hat.params == plain + 4 * 5 * 200  # a row of embeddings a task
    assert footprint.held(SMALL, Progressive(), HEADS).params > 15 * plain
    less, more = (
        footprint.step(SMALL, (64,), 32, footprint.held(SMALL, one, HEADS)) for one in (Finetune(), Hat())
    )
    assert more - less == 2 * (hat.params - plain) + hat.memory


def test_stacks_on_a_gpu_are_narrower_where_a_method_adds_much(card):
    card(free=4 * 2**30, total=80 * 2**30)
    assert width(SMALL) == WIDEST["cuda"] > width(SMALL, method=Progressive()) > 1
    assert width(LARGE, method=Ewc()) == width(LARGE) > width(LARGE, method=RWalk())
    assert width(SMALL, wanted=200, method=Progressive()) == 200


def test_a_sample_s_bytes_are_those_of_input_units_and_logits():
    assert footprint.sample(SMALL, (64,)) == 4 * (64 + 100 + 100 + 10)
    pairs = 2 * (32 * 32 * 32 + 64 * 16 * 16 + 128 * 8 * 8)
    assert footprint.sample(LARGE, (3, 32, 32)) == 4 * (3 * 32 * 32 + pairs + 256 + 10)
    assert footprint.weights(SMALL) == 4 * (64 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10)


def test_room_is_what_is_free_but_no_more_than_the_share(card):
    card(free=100, total=1000)
    assert footprint.room(GPU) == 100
    card(free=900, total=1000, share=0.25)
    assert footprint.room(GPU) == 250
    card(free=100, total=1000, held=80, used=30)  # 50 are held for this process, and not in use
    assert footprint.room(GPU) == 150
    card(free=900, total=1000, held=80, used=30, share=0.25)
    assert footprint.room(GPU) == 220


def test_on_a_cpu_the_width_never_looks_at_memory(card):
    card(free=0)
    assert width(SMALL, CPU) == WIDEST["cpu"]
    assert width(LARGE, CPU) == 1
    assert width(SMALL, CPU, wanted=5) == 5


def test_on_a_gpu_it_grows_with_the_room_up_to_what_pays_and_shrinks_with_the_batch(card):
    card(free=80 * 2**30, total=80 * 2**30)
    assert width(SMALL) == WIDEST["cuda"]
    found = []
    for gigabytes in (1, 4, 8, 16):
        card(free=gigabytes * 2**30, total=80 * 2**30)
        found.append(width(LARGE))
    assert found[0] == 1 < found[1] < found[2] < found[3] <= WIDEST["cuda"]
    assert width(LARGE, batch=256) < width(LARGE, batch=64) / 2
    assert width(LARGE, wanted=200) == 200


def test_four_workers_of_a_quarter_each_fit_on_a_card(card):
    card(free=80 * 2**30, total=80 * 2**30, share=0.25)
    lessons = width(LARGE)
    card(free=20 * 2**30, total=20 * 2**30)
    assert width(LARGE) == lessons


def test_a_wide_stack_of_large_nets_is_asked_about_fewer_samples_at_a_time():
    assert footprint.asked(SMALL, (64,), 256, 2048) == 2048
    few = footprint.asked(LARGE, (3, 32, 32), 16, 2048)
    assert 32 < few < 2048
    assert footprint.evaluation(LARGE, (3, 32, 32), 16 * few) <= footprint.AT_ONCE
    assert footprint.asked(LARGE, (3, 32, 32), 10_000, 2048) == 32


def test_importances_are_taken_of_a_few_lessons_at_a_time_on_a_gpu_alone():
    assert footprint.at_once(LARGE, (3, 32, 32), CPU) is None
    few = footprint.at_once(LARGE, (3, 32, 32), GPU)
    assert 1 <= few < footprint.at_once(SMALL, (64,), GPU)
    assert few * footprint.importances(LARGE, (3, 32, 32)) <= footprint.AT_ONCE


def test_lessons_whose_importances_are_taken_two_at_a_time_are_the_same(monkeypatch):
    where, method = world(blobs()), Nai(strength=0.3)
    firsts = [taught(where, method, [task]) for task in (0, 1, 2, 0, 1)]

    def learnt():
        return learn(firsts, [1, 2, 0, 2, 0], where, method, training=Training(epochs=1), seeds=[Seeds()] * 5)

    together = learnt()
    monkeypatch.setattr(footprint, "at_once", lambda *given: 2)
    for one, other in zip(learnt(), together, strict=True):
        for key, value in numbers(one).items():
            torch.testing.assert_close(value, numbers(other)[key])
