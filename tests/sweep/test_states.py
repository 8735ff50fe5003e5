"""States in files: the same runs bit for bit, and whatever happens to a file costs time alone."""

import itertools
import os

import pytest
import torch
from worlds import blobs, differing, world

from nai import selection, tree
from nai.learn import Lesson
from nai.methods import Joint, Nai
from nai.seeds import Seeds
from nai.selection import Continual, grow_continually
from nai.states import State
from nai.training import Training
from nai.tree import Run, grow
from sweep.states import Disk, read, write

KEY = "ab" * 32
TRAINING = Training(epochs=1)


def state(seed=0, numbers=5):
    chance = torch.Generator().manual_seed(seed)
    params = {"a.weight": torch.randn(numbers, 3, generator=chance).mT, "a.bias": torch.tensor(1 / 3)}
    memory = {"seen": torch.tensor([True, False]), "keys": torch.arange(4), "none": torch.zeros(0, 2)}
    lesson = Lesson((2, 0), params, memory, {"step": torch.tensor(float("nan"))})
    valid, test = torch.rand(2, 3, 4, generator=chance)
    return State(lesson, valid, test, (0.1 + 0.2, 1e-300))


def equal(one, other):
    assert one.lesson.done == other.lesson.done
    assert one.importances == other.importances
    pairs = [(one.valid, other.valid), (one.test, other.test)]
    for part in ("params", "memory", "optimizer"):
        mine, theirs = getattr(one.lesson, part), getattr(other.lesson, part)
        assert list(mine) == list(theirs)
        pairs += [(mine[k], theirs[k]) for k in mine]
    for a, b in pairs:
        assert a.dtype == b.dtype
        assert torch.equal(a.nan_to_num(7), b.nan_to_num(7))


def test_a_file_gives_back_every_number(tmp_path):
    write(tmp_path / "one", KEY, state())
    equal(read(tmp_path / "one", KEY), state())
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_so_does_that_of_a_state_without_moments(tmp_path):
    bare = state()._replace(lesson=state().lesson._replace(optimizer={}))
    write(tmp_path / "one", KEY, bare)
    equal(read(tmp_path / "one", KEY), bare)


def test_memory_comes_first_and_its_overflow_goes_to_files(tmp_path):
    disk = Disk(tmp_path / "states", 2 * state().nbytes)
    for n in range(4):
        disk.put(f"k{n}", state(n))
    assert sorted(p.name for p in disk.folder.iterdir()) == ["k0.safetensors", "k1.safetensors"]
    assert [f"k{n}" in disk for n in range(5)] == [True] * 4 + [False]
    for n in range(4):
        equal(disk.get(f"k{n}"), state(n))
    assert disk.get("k4") is None


def test_another_process_finds_what_was_flushed(tmp_path):
    disk = Disk(tmp_path, 2**20)
    disk.put("k", state(3))
    assert "k" not in Disk(tmp_path, 2**20)
    disk.flush()
    equal(Disk(tmp_path, 0).get("k"), state(3))


def test_a_state_put_again_replaces_its_file(tmp_path):
    disk = Disk(tmp_path, 0)
    disk.put("k", state(0))
    disk.put("k", state(1))
    equal(disk.get("k"), state(1))


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(whole)


def empty(path):
    path.write_bytes(b"")


def foreign(path):
    path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")


def another(path):
    write(path, "cd" * 32, state(1))


def bare(path):
    from safetensors.torch import save_file

    save_file({"valid": torch.zeros(1)}, path)


@pytest.mark.parametrize("harm", [cut, flip, empty, foreign, another, bare])
def test_a_file_that_is_not_what_was_written_counts_as_absent(tmp_path, harm):
    disk = Disk(tmp_path, 0)
    disk.put(KEY, state())
    (file,) = tmp_path.iterdir()
    harm(file)
    assert KEY in disk
    assert disk.get(KEY) is None
    assert KEY not in disk
    disk.put(KEY, state())
    equal(disk.get(KEY), state())


def test_files_that_were_not_used_for_the_longest_go_first(tmp_path):
    disk = Disk(tmp_path, 0)
    for n, name in enumerate("abc"):
        disk.put(name, state(n))
        os.utime(tmp_path / f"{name}.safetensors", (n, n))
    (tmp_path / "left.part").write_bytes(b"x" * 9)  # of a process that is no more
    os.utime(tmp_path / "left.part", (0, 0))
    (tmp_path / "mine.txt").write_text("not a state")
    size = (tmp_path / "a.safetensors").stat().st_size
    disk.get("a")
    small = Disk(tmp_path, 0, disk_bytes=2 * size + 100)
    small.put("d", state(3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "d.safetensors", "mine.txt"]


def test_a_disk_that_is_full_loses_states_and_nothing_else(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sweep.states.save_file", full)
    disk = Disk(tmp_path, 0)
    disk.put("k", state())
    assert disk.get("k") is None
    assert list(tmp_path.iterdir()) == []


def test_less_than_nothing_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="disk_bytes -1 must be at least 0"):
        Disk(tmp_path, 0, disk_bytes=-1)
    with pytest.raises(ValueError, match="limit_bytes -1 must be at least 0"):
        Disk(tmp_path, -1)


@pytest.mark.parametrize("memory", [0, 2**30])
def test_runs_that_go_on_from_files_are_those_of_one_call(tmp_path, memory):
    where = world(blobs((70, 33, 90, 1)))
    runs = [Run(Nai(), Seeds(), order) for order in itertools.permutations(range(4))]
    whole = {g.order: g for g in grow(runs, where, TRAINING)}
    first = Disk(tmp_path, memory)
    found = list(grow(runs[:9], where, TRAINING, states=first, later=runs[9:]))
    first.flush()
    found += grow(runs[9:], where, TRAINING, states=Disk(tmp_path, memory))
    assert len(found) == 24
    for one in found:
        assert torch.equal(one.test, whole[one.order].test)
        assert one.strengths == whole[one.order].strengths
        assert not differing(one.lesson, whole[one.order].lesson)


@pytest.mark.parametrize(("method", "again"), [(Nai(), 0), (Joint(), 2)], ids=["nai", "joint"])
def test_after_a_kill_nothing_is_learnt_again_that_took_long(tmp_path, monkeypatch, method, again):
    """Every task takes too long to repeat: the second call learns what the first had not come to.

    Sets of tasks, which joint training shares between orders, are found again by the order that led there.
    """
    where = world(blobs((70, 33, 90)))
    runs = [Run(method, Seeds(), order) for order in itertools.permutations(range(3))]
    learnt, plain = [], tree.learn
    monkeypatch.setattr(tree, "SAFE", 0.0)
    monkeypatch.setattr(
        tree, "learn", lambda some, *more, **named: (learnt.append(len(some)), plain(some, *more, **named))[1]
    )
    whole = {g.order: g for g in grow(runs, where, TRAINING, width=1)}
    all_of_it, first = sum(learnt), next(grow(runs, where, TRAINING, width=1, states=Disk(tmp_path, 2**30)))
    before = sum(learnt) - all_of_it
    left = [run for run in runs if run.order != first.order]
    found = [first, *grow(left, where, TRAINING, width=1, states=Disk(tmp_path, 2**30))]
    assert 0 < before < all_of_it and sum(learnt) <= 2 * all_of_it + again
    for one in found:
        assert torch.equal(one.test, whole[one.order].test)
        assert not differing(one.lesson, whole[one.order].lesson)


def test_choices_made_before_a_kill_stand_and_are_not_made_again(tmp_path, monkeypatch):
    """Rate and strength chosen task by task: each node is chosen for once, and goes on with its own strength.

    A method that starts from another strength finds none of these states.
    """
    where, rule = world(blobs((70, 33, 90))), Continual(rates=(1e-2, 1e-3), tolerance=0.0, attempts=3)
    orders, learnt, plain = list(itertools.permutations(range(3))), [], selection.learn
    monkeypatch.setattr(tree, "SAFE", 0.0)
    monkeypatch.setattr(
        selection, "learn", lambda some, *more, **named: (learnt.append(1), plain(some, *more, **named))[1]
    )

    def grown(strength, some, **states):
        runs = [Run(Nai(strength=strength), Seeds(), order) for order in some]
        return grow_continually(runs, where, TRAINING, rule, width=1, **states)

    whole = {g.order: g for g in grown(1e3, orders)}
    all_of_it, first = len(learnt), next(grown(1e3, orders, states=Disk(tmp_path, 2**30)))
    left = [order for order in orders if order != first.order]
    found = [first, *grown(1e3, left, states=Disk(tmp_path, 2**30))]
    assert all_of_it < len(learnt) <= 2 * all_of_it
    assert len({choice.strength for one in found for choice in one.chosen}) > 2  # a test of something
    other = next(grown(1.0, orders[:1]))
    found.append(next(grown(1.0, orders[:1], states=Disk(tmp_path, 2**30))))
    for one, same in zip(found, [*(whole[g.order] for g in found[:-1]), other], strict=True):
        assert torch.equal(one.test, same.test)
        assert (one.chosen, one.strengths) == (same.chosen, same.strengths)
        assert not differing(one.lesson, same.lesson)


def test_what_is_quick_is_not_written_down(tmp_path):
    runs = [Run(Nai(), Seeds(), order) for order in itertools.permutations(range(3))]
    assert len(list(grow(runs, world(blobs((70, 33, 90))), TRAINING, states=Disk(tmp_path, 2**30)))) == 6
    assert list(tmp_path.iterdir()) == []
