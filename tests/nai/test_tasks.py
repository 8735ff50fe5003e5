import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nai.tasks import Benchmark, Rows, Task, gather

LABELS = np.array([0, 1, 0, 1, 0, 1, 2, 2, 2])
TASKS = (
    Task("first", (0, 1), np.array([0, 1]), np.array([2, 3]), np.array([4, 5])),
    Task("second", (2,), np.array([6]), np.array([7]), np.array([8])),
)
INPUTS = np.arange(9 * 2 * 3, dtype=np.uint8).reshape(9, 2, 3, 1)
SCALE = np.array([[[0.1]], [[0.3]]], np.float32)
SHIFT = np.array([[[-1.0]], [[0.7]]], np.float32)


def made(**changes):
    values = {"inputs": INPUTS, "labels": LABELS, "scale": SCALE, "shift": SHIFT} | changes
    return Benchmark.of(
        values.pop("name", "toy"), values.pop("scenario", "task"), values.pop("tasks", TASKS), **values
    )


def changed(number, **fields):
    return tuple(task._replace(**fields) if n == number else task for n, task in enumerate(TASKS))


def rows(*shape):
    indices = torch.randint(0, 9, shape, generator=torch.Generator().manual_seed(0))
    return Rows(indices, torch.ones(shape))


def test_owners_and_outputs_follow_from_the_tasks():
    benchmark = made()
    assert benchmark.owners.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert benchmark.outputs == 3
    assert benchmark.features == (2, 3, 1)


@pytest.mark.parametrize("float_bytes", [0, 2**30])
def test_gather_reads_scaled_inputs_and_the_labels_and_tasks_of_its_rows(float_bytes):
    samples = made().samples(float_bytes=float_bytes)
    picked = rows(5)
    batch = gather(samples, picked)
    chosen = picked.indices.numpy()
    assert samples.inputs.dtype == (torch.float32 if float_bytes else torch.uint8)
    assert np.array_equal(batch.inputs.numpy(), INPUTS[chosen].astype(np.float32) * SCALE + SHIFT)
    assert batch.labels.tolist() == LABELS[chosen].tolist()
    assert batch.tasks.tolist() == made().owners[chosen].tolist()
    assert batch.weights is picked.weights


@pytest.mark.parametrize("float_bytes", [0, 2**30])
@pytest.mark.parametrize("constants", [{}, {"scale": None}, {"scale": None, "shift": None}])
def test_a_stack_gathers_what_each_lesson_gathers_alone_under_vmap_too(float_bytes, constants):
    samples = made(**constants).samples(float_bytes=float_bytes)
    stack = rows(4, 5)
    whole = gather(samples, stack)
    mapped = torch.func.vmap(lambda rows: gather(samples, rows))(stack)
    alone = [gather(samples, Rows(*row)) for row in zip(*stack, strict=True)]
    for own, field in enumerate(whole):
        assert torch.equal(field, mapped[own])
        assert torch.equal(field, torch.stack([batch[own] for batch in alone]))


def test_vectors_gather_like_images():
    samples = made(inputs=INPUTS.reshape(9, 6), scale=np.full(1, 0.5), shift=None).samples()
    assert torch.equal(gather(samples, rows(3, 2)).inputs, samples.inputs[rows(3, 2).indices])


def test_float_inputs_pass_through_unchanged():
    inputs = np.linspace(-1, 1, 54, dtype=np.float32).reshape(9, 2, 3, 1)
    samples = made(inputs=inputs, scale=None, shift=None).samples()
    assert np.array_equal(gather(samples, rows(5)).inputs.numpy(), inputs[rows(5).indices.numpy()])


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_samples_never_write_to_the_arrays_of_the_benchmark(dtype):
    inputs = INPUTS.astype(dtype)
    inputs.flags.writeable = False
    benchmark = made(inputs=inputs, scale=None, shift=None)
    benchmark.samples(float_bytes=0).inputs.zero_()
    benchmark.samples().labels.zero_()
    assert np.array_equal(benchmark.inputs, INPUTS)
    assert np.array_equal(benchmark.labels, LABELS)


def test_a_benchmark_cannot_be_written_to_and_leaves_its_callers_arrays_writable():
    inputs = INPUTS.copy()
    with pytest.raises(ValueError, match="read-only"):
        made(inputs=inputs).inputs[0] = 0
    inputs[0] = 0


def test_digest_is_that_of_the_content_and_not_of_names_or_memory_layout():
    renamed = tuple(task._replace(name="other") for task in TASKS)
    strided = np.asfortranarray(INPUTS)
    same = [
        made(),
        made(name="other"),
        made(tasks=renamed),
        made(inputs=strided),
        made(labels=LABELS.tolist()),
    ]
    assert {benchmark.digest for benchmark in same} == {made().digest}
    assert pickle.loads(pickle.dumps(made())).digest == made().digest


def test_digest_changes_with_every_part_of_the_content():
    other = INPUTS.copy()
    other[8, 1, 2, 0] += 1
    variants = [
        made(),
        made(inputs=other),
        made(inputs=INPUTS.reshape(9, 2, 1, 3)),
        made(inputs=INPUTS.astype(np.float32), scale=None, shift=None),
        made(labels=np.array([1, 1, 0, 1, 0, 1, 2, 2, 2])),
        made(scale=SCALE * 2),
        made(scale=None),
        made(shift=None),
        made(scale=SHIFT, shift=SCALE),
        made(scenario="class"),
        made(tasks=TASKS[::-1]),
        made(tasks=changed(0, train=np.array([1, 0]))),
        made(tasks=changed(0, train=np.array([2, 3]), valid=np.array([0, 1]))),
        made(tasks=changed(1, classes=(2, 3))),
    ]
    assert len({benchmark.digest for benchmark in variants}) == len(variants)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario": "online"}, "scenario 'online' is not known: choose one of task, class, domain"),
        ({"tasks": ()}, "toy has no tasks"),
        ({"tasks": changed(1, test=np.array([]))}, "task 1 of toy has no test samples"),
        ({"tasks": changed(1, test=np.array([9]))}, "task 1 of toy has test indices outside the 9 samples"),
        ({"tasks": changed(1, test=np.array([-1]))}, "task 1 of toy has test indices outside the 9 samples"),
        ({"tasks": changed(1, test=np.array([7]))}, "task 1 of toy has test samples named twice"),
        ({"tasks": changed(0, test=np.array([4, 4]))}, "task 0 of toy has test samples named twice"),
        ({"tasks": changed(0, test=np.array([4]))}, "sample 5 of toy is in no task"),
        ({"tasks": changed(1, classes=(3,))}, r"task 1 of toy has samples of label 2, .* classes are \(3,\)"),
        ({"tasks": changed(1, classes=(2, -1))}, r"task 1 of toy has classes \(2, -1\)"),
        ({"tasks": changed(1, classes=(2, 2))}, r"task 1 of toy has classes \(2, 2\)"),
        ({"labels": LABELS[:8]}, r"labels of toy have shape \[8\], .* each of 9 samples"),
        ({"inputs": INPUTS.astype(float)}, "inputs of toy are float64"),
        ({"inputs": INPUTS[:, 0, 0, 0]}, r"inputs of toy are uint8 of shape \[9\]"),
        ({"inputs": INPUTS.astype(np.float32)}, "scale or shift for float inputs"),
        ({"scale": np.ones(4)}, r"shape \[4\] does not broadcast over features \[2, 3, 1\]"),
        ({"shift": np.array([np.inf])}, "scale or shift that is not finite"),
        ({"inputs": np.full((9, 1), np.nan, np.float32), "scale": None, "shift": None}, "not finite"),
    ],
)
def test_an_unsound_benchmark_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_importing_tasks_and_data_sets_loads_neither_scikit_learn_nor_torchvision():
    code = "import sys, nai.tasks, nai.datasets; print({'sklearn', 'torchvision'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
