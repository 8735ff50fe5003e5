"""What a space says of its data set: known without the data, or read from a user's own folder or file."""

import numpy as np
import pytest
from picture_files import nicv2_391, write_folder, write_nicv2_391

from nai.methods import Finetune
from nai.named import Named
from nai.training import Training
from nai.trial import Trial, run
from sweep import catalogue
from sweep.cli_failures import DATA, failure
from sweep.space import Mistakes, loads, read
from sweep.space.published import published
from sweep.space.shapes import shape

PLAIN = """\
name = "plain"
[benchmark]
name = "split"
dataset = "digits"
[model]
name = "mlp"
[method]
name = "nai"
strength = {low = 0.1, high = 10.0, log = true}
[orders]
design = "random"
count = 2
[search]
suggestions = 16
"""
SHIPPED = {
    "split_fashion_mnist": (5, (1, 28, 28), 10),
    "rotated_mnist": (10, (1, 28, 28), 10),
    "split_cifar100": (10, (3, 32, 32), 100),
    "split_cifar10_100": (11, (3, 32, 32), 110),
    "split_tiny_imagenet": (10, (3, 64, 64), 200),
    "core50_nicv2": (79, (3, 32, 32), 50),
    "edge_orders": (20, (576,), 100),
    "edge_nicv2": (39, (576,), 10),
    "co2l_fashion_mnist": (5, (1, 28, 28), 10),
}


def plain(*overrides):
    return loads(PLAIN, "plain.toml", overrides)


def mistakes(*overrides):
    with pytest.raises(Mistakes) as caught:
        plain(*overrides)
    return str(caught.value)


def seen(space):
    """Tasks, sample shape and outputs."""
    return shape(space.benchmark.name, space.benchmark.options)[:3]


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("NAI_DATA", str(tmp_path / "none"))


@pytest.mark.parametrize("name", SHIPPED)
def test_tasks_pictures_and_outputs_of_a_shipped_space_are_known_without_its_data(name):
    space = read(name)
    assert seen(space) == SHIPPED[name]
    assert all(len(order) == SHIPPED[name][0] for order in space.confirm_orders(space.tasks()))


def test_split_cifar100_has_twenty_tasks_of_five_too():
    twenty = ("benchmark.classes=5", 'confirm.orders={design="random", count=5, seed=1}', "orders.count=20")
    assert seen(read("split_cifar100", twenty)) == (20, (3, 32, 32), 100)
    with pytest.raises(Mistakes, match="'apd5' are for 10 tasks, not 20"):
        read("split_cifar100", twenty[:1])


@pytest.mark.parametrize("batches", [79, 196, 391])
@pytest.mark.parametrize("level", ["object", "category"])
def test_core50_has_the_batches_asked_for_as_tasks(batches, level):
    space = read("core50_nicv2", (f"benchmark.batches={batches}", f'benchmark.level="{level}"'))
    assert seen(space) == (batches, (3, 32, 32), 50 if level == "object" else 10)


def test_a_folder_of_pictures_is_read_for_its_classes_and_its_place_may_change(tmp_path):
    write_folder(tmp_path / "mine", "abcdef", 8)
    asked = ('benchmark.dataset="folder"', f'benchmark.root="{tmp_path}/mine"', "benchmark.size=6")
    assert seen(plain(*asked)) == (3, (3, 6, 6), 6)
    assert seen(plain(*asked[:2])) == (3, (3, 4, 4), 6)
    with pytest.raises(FileNotFoundError) as caught:
        plain(*asked[:1], f'benchmark.root="{tmp_path}/other"')
    assert failure(caught.value).code == DATA
    assert "give as root one with a folder for each class" in str(caught.value)


def test_an_npz_file_is_run_and_its_fingerprint_is_that_of_its_content(tmp_path):
    chance = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    inputs = (30 * labels[:, None] + chance.integers(0, 30, (160, 5))).astype(np.uint8)
    trials = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.npz"
        np.savez(path, inputs=inputs, labels=labels)
        assert seen(plain('benchmark.dataset="npz"', f'benchmark.root="{path}"')) == (2, (5,), 4)
        benchmark = Named.of("split", dataset="npz", root=str(path))
        model, training = Named.of("mlp", widths=[8]), Training(epochs=2)
        trials.append(Trial(benchmark, model, Finetune(), training, (0, 1)))
    assert trials[0].fingerprint == trials[1].fingerprint
    assert run(trials[0]).result.test.shape == (3, 2)


def test_a_data_set_of_a_module_is_made(tmp_path, monkeypatch):
    (tmp_path / "space_data.py").write_text(
        "import numpy as np\n"
        "from nai.arrays import from_tensors\n"
        "def blots(root): return from_tensors(np.zeros((80, 7), np.uint8), np.arange(80) % 4)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert seen(plain('benchmark.dataset="space_data:blots"', 'benchmark.root="here"')) == (2, (7,), 4)
    assert "cannot be imported" in mistakes('benchmark.dataset="space_data:blobs"')


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["benchmark.size=4"], "size: acts only with dataset 'core50' or 'folder': leave it out"),
        (['benchmark.root="x"'], "root: acts only with dataset 'mnist' or"),
        (['benchmark.dataset="folder"'], "data set folder needs the option root: where your data are"),
        (['benchmark.dataset="core50"', "benchmark.run=10"], "run: run 10 must be one of the official runs"),
        (['benchmark.dataset="core50"', "benchmark.batches=80"], "batches 80 must be one of 79, 196, 391"),
        (['benchmark.dataset="core50"', 'benchmark.run="a"'], "run: must be a whole number"),
        (['benchmark.dataset="core5"'], "npz; did you mean core50?"),
        (['benchmark.name="stream"'], "digits comes in no batches of its own"),
        (
            ['benchmark={name="stream", dataset="core50", scenario="task"}'],
            'scenario: scenario "task" would tell a batch of one class its class',
        ),
        (['training.augment="crop"'], "augment: augment 'crop' is unknown"),
    ],
)
def test_what_a_data_set_cannot_be_is_told_with_its_key(overrides, message):
    assert message in mistakes(*overrides)


def test_an_augmentation_of_vectors_is_a_mistake(tmp_path):
    np.savez(tmp_path / "v.npz", inputs=np.zeros((40, 7), np.uint8), labels=np.arange(40) % 4)
    own = ('benchmark.dataset="npz"', f'benchmark.root="{tmp_path}/v.npz"')
    said = mistakes(*own, 'training.augment="crop_flip"')
    assert "augment: needs images [channels, height, width], but samples have shape [7]: leave it out" in said
    assert plain('training.augment="crop_flip"').training.options == {"augment": "crop_flip"}


def test_lists_show_the_settings_of_data_sets_and_published_ones_know_the_scenario_of_a_stream():
    listed = {entry.name: dict(entry.settings) for entry in catalogue.entries("datasets")}
    assert listed["core50"] == {"batches": 391, "run": 0, "size": 32, "level": "object"}
    assert listed["digits"] == {}
    stream = {"name": "stream", "dataset": "core50"}
    assert published("ewc", stream) == published("ewc", stream | {"scenario": "class"})


# ---------------------------------------------------------------- the official runs of CORe50 as orders
STREAM = 'benchmark={name="stream", dataset="core50"}'
RUNS = '{design="named", named="core50"}'


def test_the_official_runs_are_ten_orders_that_the_space_then_holds_itself(tmp_path, monkeypatch):
    write_nicv2_391(tmp_path / "core50", range(10))
    monkeypatch.setenv("NAI_DATA", str(tmp_path))
    fixed = ("method.strength=1.0", 'search={sampler="grid", suggestions=1}')
    space = plain(STREAM, f"orders={RUNS}", f"confirm={{orders={RUNS}}}", *fixed)
    home, orders = nicv2_391(0), space.search_orders(391)
    assert [[home[task] for task in order] for order in orders] == [nicv2_391(run) for run in range(10)]
    assert space.confirm_orders(391) == orders
    monkeypatch.setenv("NAI_DATA", str(tmp_path / "none"))
    assert loads(space.to_toml()).search_orders(391) == orders


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([STREAM], "orders.named: the lists NIC_v2_391/run0 are not in"),
        ([], "orders.named: the orders 'core50' are of the batches of its run 0: take benchmark stream with"),
        ([STREAM, "benchmark.run=3"], "orders.named: the orders 'core50' are of the batches of its run 0"),
        ([STREAM, "benchmark.root=3"], "orders.named: "),
    ],
)
def test_official_runs_that_there_are_not_are_told_with_their_key(overrides, message):
    assert message in mistakes(*overrides, f"orders={RUNS}")
