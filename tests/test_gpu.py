"""What holds on a GPU, where bits are not promised: skipped where torch finds no CUDA device."""

import dataclasses

import pytest
import torch
from worlds import blobs, taught

from nai import footprint
from nai.evaluate import evaluate
from nai.learn import Lesson, World, begin, learn
from nai.methods import Ewc, Finetune, Nai, Si
from nai.seeds import Seeds
from nai.stack import WIDEST
from nai.training import Training
from nai.trial import Named, Trial, load, run_many, world_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device on this machine"),
]
NETS = {
    "mlp": ("mlp", {"widths": [12, 8]}, (12,)),
    "conv": ("conv", {"widths": [4, 8], "dense_units": 8}, (3, 8, 8)),
    "resnet18": ("resnet18", {"width": 4, "groups": 2}, (3, 8, 8)),
}
METHODS = [Finetune(), Nai(strength=0.3), Ewc(), Si()]
PRECISIONS = ("float32", "bfloat16")


@pytest.fixture(autouse=True)
def exact():
    """Products of float32 in float32, so that the CPU's are comparable."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def made(name: str, device: str) -> World:
    model, options, features = NETS[name]
    return world_of(blobs((64, 64), features=features), Named.of(model, **options), device)


def walked(where: World, method: object, together: bool, precision: str = "float32") -> list[Lesson]:
    """Four lessons after two tasks each, in one stack or one by one."""
    seeds, training = [Seeds(n, n) for n in range(4)], Training(epochs=1, precision=precision)
    lessons = [begin(where, method, s) for s in seeds]
    for tasks in ([0, 1, 0, 1], [1, 0, 1, 0]):
        parts = [slice(None)] if together else [slice(n, n + 1) for n in range(4)]
        lessons = [
            lesson
            for part in parts
            for lesson in learn(
                lessons[part], tasks[part], where, method, training=training, seeds=seeds[part]
            )
        ]
    return lessons


def away(ones: list[Lesson], others: list[Lesson]) -> float:
    """Distance between the weights of two lists of lessons."""
    squares = [
        (a.params[k].cpu().double() - v.cpu().double()).square().sum()
        for a, b in zip(ones, others, strict=True)
        for k, v in b.params.items()
    ]
    return float(torch.stack(squares).sum().sqrt())


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__.lower())
@pytest.mark.parametrize("name", NETS)
def test_a_stack_learns_what_each_lesson_learns_alone_and_on_a_cpu_to_rounding(name, method):
    where, here = made(name, "cuda"), made(name, "cpu")
    stacked, alone = (walked(where, method, together) for together in (True, False))
    start = [begin(where, method, Seeds(n, n)) for n in range(4)]
    way = away(start, alone)
    assert away(stacked, alone) < 1e-2 * way
    assert away(walked(here, method, together=False), alone) < 1e-2 * way
    marks = [[m.test for m in evaluate(some, where, method)] for some in (stacked, alone)]
    assert (torch.stack(marks[0]) - torch.stack(marks[1])).abs().max() < 0.13  # two of a task's sixteen


@pytest.mark.parametrize("name", NETS)
def test_bfloat16_differs_by_rounding_and_leaves_weights_float32(name):
    where = made(name, "cuda")
    high, low = (walked(where, Finetune(), True, precision) for precision in PRECISIONS)
    start = [begin(where, Finetune(), Seeds(n, n)) for n in range(4)]
    assert 0 < away(low, high) < away(start, high)
    alone = walked(where, Finetune(), False, "bfloat16")
    assert away(low, alone) < 1.5 * away(low, high)
    assert {v.dtype for lesson in low for v in lesson.params.values()} == {torch.float32}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_digits_are_learnt_as_well_as_on_a_cpu(precision):
    trial = Trial(
        Named.of("split", dataset="digits"),
        Named.of("mlp"),
        Nai(strength=0.1),
        Training(epochs=5, precision=precision),
        (0, 1, 2, 3, 4),
    )
    trials = [dataclasses.replace(trial, seeds=Seeds(n, n)) for n in range(4)]
    found = [
        torch.stack([o.result.test[-1].cpu() for o in run_many(trials, device=device)])
        for device in ("cuda", "cpu")
    ]
    assert abs((found[0] - found[1]).mean()) < 0.02


def test_strength_zero_is_finetuning_to_rounding():
    where = made("conv", "cuda")
    free, held = (walked(where, method, together=True) for method in (Finetune(), Ewc(strength=0.0)))
    assert away(free, held) < 1e-2 * away([begin(where, Finetune(), Seeds(n, n)) for n in range(4)], free)


def test_a_lesson_survives_the_way_to_the_host_and_back():
    where = made("mlp", "cuda")
    whole = taught(where, Si(), [0, 1])
    half = taught(where, Si(), [0])
    moved = Lesson(half.done, *({k: v.cpu().cuda() for k, v in part.items()} for part in half[1:]))
    (end,) = learn([moved], [1], where, Si(), training=Training(epochs=2), seeds=[Seeds()])
    assert away([end], [whole]) < 1e-2 * away([begin(where, Si(), Seeds())], [whole])


def test_automatic_stacks_fit_into_the_share_of_the_card():
    device = torch.device("cuda", 0)
    whole = footprint.room(device)
    torch.cuda.set_per_process_memory_fraction(0.25, device)
    try:
        quarter = footprint.room(device)
        where = world_of(blobs((64, 64), features=(3, 32, 32)), Named.of("conv"), "cuda")
        own = footprint.held(where.net, Ewc(), where.heads)
        wide = footprint.width(where.net, device, None, features=(3, 32, 32), batch=64, own=lambda: own)
        seeds = [Seeds(n, n) for n in range(wide)]
        lessons = [begin(where, Ewc(), s) for s in seeds]
        torch.cuda.reset_peak_memory_stats(device)
        training = Training(epochs=1, batch=64)
        learnt = learn(lessons, [0] * wide, where, Ewc(), training=training, seeds=seeds)
        evaluate(learnt, where, Ewc())
        assert torch.cuda.max_memory_allocated(device) < quarter
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert quarter < whole
    assert 1 <= wide <= WIDEST["cuda"]


@pytest.mark.timeout(1200)
def test_the_quickstart_runs_through_ray_with_a_quarter_of_a_card_each(tmp_path):
    """Four workers share one card; the leader's accuracy is that of the CPU within noise."""
    from sweep import record, session
    from sweep.space import read

    tried = ["training.epochs=5", "orders.count=5", "search.suggestions=8", "confirm.orders.count=6"]
    rows = {}
    for name, resources in (
        ("card", ["resources.gpus=0.25", "resources.device=cuda"]),
        ("cpu", ["resources.gpus=0", "resources.device=cpu"]),
    ):
        session.run(read("quickstart", [*tried, *resources]), tmp_path / name, track=False)
        rows[name] = record.Store(tmp_path / name / "records").refresh()
        assert [row["error"] for row in rows[name] if row["error"]] == []
    assert len(rows["card"]) == len(rows["cpu"]) > 0
    assert {row["device"] for row in rows["card"]} == {torch.cuda.get_device_name(0)}

    def mean(some: list[dict[str, object]]) -> float:
        finals = [torch.tensor(row["test"][-1]).mean() for row in some if row["method"] == "finetune"]
        return float(torch.stack(finals).mean())

    assert abs(mean(rows["card"]) - mean(rows["cpu"])) < 0.02


def test_the_data_of_a_benchmark_lie_on_the_card_once():
    benchmark = load(Named.of("split", dataset="digits"))
    where = world_of(benchmark, Named.of("mlp"), "cuda")
    assert where.source.inputs.is_cuda
    assert where.source.inputs.dtype == torch.float32
