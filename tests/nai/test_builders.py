import numpy as np
import pytest

from nai import builders, sources
from nai.builders import permuted, rotated, split, stream
from nai.sources import Source


def source(*, classes=10, samples=40, features=(2, 4, 4)):
    """Every class has the same number of samples, the last quarter of them test."""
    chance = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), samples)
    inputs = chance.integers(0, 256, (len(labels), *features), np.uint8)
    is_test = np.tile(np.arange(samples) >= samples * 3 // 4, classes)
    return Source("toy", inputs, labels, is_test, np.full(1, 1 / 255, np.float32))


def home(benchmark, row):
    """The source's row that a sample of a benchmark of variants came from."""
    return row % (len(benchmark.labels) // len(benchmark.tasks))


BENCHMARKS = {
    "split": lambda **o: split(source(), **o),
    "unequal": lambda **o: split(source(), 3, **o),
    "permuted": lambda **o: permuted(source(), 3, **o),
    "rotated": lambda **o: rotated(source(), 3, **o),
}


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize("scenario", ["task", "class", "domain"])
def test_every_sample_is_in_one_split_of_one_task_and_test_samples_are_those_of_the_source(name, scenario):
    benchmark = BENCHMARKS[name](scenario=scenario)
    named = np.concatenate([part for task in benchmark.tasks for part in task.splits])
    assert sorted(named.tolist()) == list(range(len(benchmark.inputs)))
    for number, task in enumerate(benchmark.tasks):
        assert (benchmark.owners[np.concatenate(task.splits)] == number).all()
        assert source().is_test[home(benchmark, task.test) if len(named) > 400 else task.test].all()


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.parametrize(("valid", "counts"), [(0.2, (24, 6, 10)), (0.5, (15, 15, 10))])
def test_validation_takes_its_share_of_every_class(name, valid, counts):
    benchmark = BENCHMARKS[name](scenario="class", valid=valid)
    for task in benchmark.tasks:
        for number in task.classes:
            assert tuple((benchmark.labels[part] == number).sum() for part in task.splits) == counts


def test_validation_depends_on_the_seed_but_not_on_composition_or_scenario():
    def held(**options):
        return sorted(np.concatenate([task.valid for task in split(source(), **options).tasks]).tolist())

    assert held() == held(classes=5, class_order=range(9, -1, -1)) == held(scenario="domain")
    assert held() != held(seed=1)


def test_each_class_draws_its_own_validation_samples():
    held = (sources.partition(source(), 0.2, 0) == 1).reshape(10, 40)
    assert len({tuple(row) for row in held.tolist()}) == 10


def test_task_and_class_scenarios_label_by_class_number_domain_by_place_in_the_task():
    order = [7, 2, 0, 1, 9, 8, 3, 4, 5, 6]
    for scenario in ("task", "class"):
        benchmark = split(source(), 2, scenario, class_order=order)
        assert benchmark.labels.tolist() == source().labels.tolist()
        assert [set(task.classes) for task in benchmark.tasks] == [{7, 2}, {0, 1}, {9, 8}, {3, 4}, {5, 6}]
        assert benchmark.outputs == 10
    benchmark = split(source(), 2, "domain", class_order=order)
    assert benchmark.labels[::40].tolist() == [0, 1, 1, 0, 1, 0, 1, 0, 1, 0]
    assert [task.classes for task in benchmark.tasks] == [(0, 1)] * 5
    assert benchmark.outputs == 2


def test_class_order_changes_the_composition_not_the_samples():
    plain, mixed = split(source()), split(source(), class_order=[0, 2, 1, 3, 4, 5, 6, 7, 8, 9])
    assert [task.name for task in mixed.tasks][:2] == ["classes 0 2", "classes 1 3"]
    assert np.array_equal(plain.inputs, mixed.inputs)
    assert plain.digest != mixed.digest
    assert split(source(), class_order=range(10)).digest == plain.digest


def test_three_classes_in_a_row_are_named_as_a_span():
    assert [task.name for task in split(source(), 5).tasks] == ["classes 0-4", "classes 5-9"]
    (only,) = split(source(), [[7, 0, 1, 5, 6, 8, 9, 3]]).tasks
    assert only.name == "classes 7 0 1 5 6 8 9 3"
    (only,) = split(source(), [[7, 0, 1, 2, 8, 9]]).tasks
    assert only.name == "classes 7 0-2 8 9"


def test_the_last_task_may_be_smaller_and_the_domain_scenario_has_the_outputs_of_the_largest():
    benchmark = split(source(), 4)
    assert [task.classes for task in benchmark.tasks] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    assert [len(task.train) for task in benchmark.tasks] == [96, 96, 48]
    assert split(source(), 4, "domain").outputs == 4


def test_groups_may_be_given_and_classes_left_out_leave_no_output_behind():
    benchmark = split(source(), [[9, 3], [5]])
    assert [task.name for task in benchmark.tasks] == ["classes 9 3", "classes 5"]
    assert [task.classes for task in benchmark.tasks] == [(0, 2), (1,)]
    assert benchmark.outputs == 3
    kept = np.isin(source().labels, [9, 3, 5])
    assert np.array_equal(benchmark.inputs, source().inputs[kept])


@pytest.mark.parametrize("build", [permuted, rotated])
def test_variants_share_their_labels_in_the_domain_scenario_and_have_their_own_otherwise(build):
    domain, own = build(source(), 3), build(source(), 3, "class")
    assert np.array_equal(domain.labels, np.tile(source().labels, 3))
    assert [task.classes for task in domain.tasks] == [tuple(range(10))] * 3
    assert np.array_equal(own.labels, domain.labels + 10 * own.owners)
    assert [task.classes for task in own.tasks] == [tuple(range(n, n + 10)) for n in (0, 10, 20)]
    assert (domain.outputs, own.outputs) == (10, 30)


@pytest.mark.parametrize("build", [permuted, rotated])
def test_a_sample_is_in_the_same_split_in_every_variant_and_the_first_is_the_original(build):
    benchmark = build(source(), 3)
    assert np.array_equal(benchmark.inputs[:400], source().inputs)
    for task in benchmark.tasks:
        for part, first in zip(task.splits, benchmark.tasks[0].splits, strict=True):
            assert np.array_equal(home(benchmark, part), first)


@pytest.mark.parametrize("features", [(2, 4, 4), (1, 3, 5), (12,)])
def test_the_inverse_permutation_restores_the_images(features):
    images = source(features=features).inputs
    pixels = builders.permutation(features, 0, 1)
    shuffled = builders.permute(images, pixels)
    assert not np.array_equal(shuffled, images)
    assert np.array_equal(builders.permute(shuffled, np.argsort(pixels)), images)


def test_all_channels_are_permuted_alike():
    grey = np.repeat(source(features=(1, 4, 4)).inputs, 3, axis=1)
    shuffled = builders.permute(grey, builders.permutation((3, 4, 4), 0, 1))
    assert (shuffled == shuffled[:, :1]).all()


def test_permutations_differ_between_tasks_and_seeds_and_do_not_depend_on_their_number():
    drawn = [builders.permutation((1, 8, 8), seed, task).tolist() for seed in (0, 1) for task in (1, 2)]
    assert len(set(map(tuple, drawn))) == 4
    assert np.array_equal(permuted(source(), 3).inputs[400:800], permuted(source(), 2).inputs[400:])


@pytest.mark.parametrize(("degrees", "quarters"), [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3), (360, 0)])
@pytest.mark.parametrize("side", [4, 7])
def test_quarter_turns_equal_rot90(degrees, quarters, side):
    images = source(features=(2, side, side)).inputs
    assert np.array_equal(builders.rotate(images, degrees), np.rot90(images, quarters, axes=(2, 3)))


def test_half_a_turn_of_a_wide_image_is_both_flips_and_other_angles_keep_its_proportions():
    wide = source(features=(1, 4, 8)).inputs
    assert np.array_equal(builders.rotate(wide, 180), wide[:, :, ::-1, ::-1])
    disc = (255 * np.clip((18 - np.hypot(*np.mgrid[-20:21, -30:31])) / 8, 0, 1)).astype(np.uint8)
    turned = builders.rotate(disc[None, None], 45)[0, 0]
    assert np.abs(turned.astype(int) - disc).max() <= 0.05 * 255


def test_rotation_weighs_the_four_neighbours_bilinearly():
    image = np.array([[10, 20], [30, 40]], np.uint8)[None, None]
    # Pixels lie sqrt(1/2) from the centre. After an eighth of a turn anticlockwise the top left one reads the
    # point straight above the centre: midway between the columns, sqrt(1/2) - 1/2 beyond the top row.
    inside = 1 - (np.sqrt(0.5) - 0.5)
    assert builders.rotate(image, 45)[0, 0, 0, 0] == round(inside * (10 + 20) / 2)


def test_angles_are_even_steps_below_half_a_turn_or_those_given():
    assert [task.name for task in rotated(source(), 4).tasks] == [f"rotation {a}" for a in (0, 45, 90, 135)]
    given = rotated(source(), angles=[0, 22.5])
    assert [task.name for task in given.tasks] == ["rotation 0", "rotation 22.5"]


def in_batches(batches=((0, 1), (2,), (0, 2)), samples=8, tested=5):
    """Batches of classes 3, 5 and 9, listed by their places; every class has test samples in the end."""
    numbers = [3, 5, 9]
    rows = [(numbers[c], b, False) for b, batch in enumerate(batches) for c in batch for _ in range(samples)]
    rows += [(c, -1, True) for _ in range(tested) for c in numbers]
    labels, owners, is_test = map(np.array, zip(*rows, strict=True))
    inputs = np.random.default_rng(0).integers(0, 256, (len(labels), 1, 2, 2), np.uint8)
    return Source("toy", inputs, labels, is_test, batches=owners)


@pytest.mark.parametrize("scenario", ["class", "domain"])
def test_a_stream_has_the_batches_of_its_source_and_every_test_sample_once(scenario):
    source = in_batches()
    benchmark = stream(source, scenario, valid=0.25)
    assert [task.classes for task in benchmark.tasks] == [(0, 1), (2,), (0, 2)]
    assert benchmark.outputs == 3
    assert benchmark.labels.tolist() == [[3, 5, 9].index(c) for c in source.labels]
    for number, task in enumerate(benchmark.tasks):
        own = np.flatnonzero(source.batches == number)
        assert sorted([*task.train.tolist(), *task.valid.tolist()]) == own.tolist()
        for c in task.classes:
            counts = [(benchmark.labels[part] == c).sum() for part in (task.train, task.valid)]
            assert counts == [6, 2]
    # class 3 is in batches 0 and 2, class 5 in 0 alone, class 9 in 1 and 2: dealt in turn, the first first
    assert [len(task.test) for task in benchmark.tasks] == [3 + 5, 3, 2 + 2]
    tested = np.concatenate([task.test for task in benchmark.tasks])
    assert sorted(tested.tolist()) == np.flatnonzero(source.is_test).tolist()


def test_what_a_stream_holds_out_depends_on_the_seed_and_the_batch_alone():
    def held(seed=0, scenario="class"):
        return [task.valid.tolist() for task in stream(in_batches(), scenario, seed=seed).tasks]

    assert held() == held(scenario="domain")
    assert held() != held(seed=1)
    first = [[i % 8 for i in part if i < 8] for part in held()]
    third = [[i % 8 for i in part if 24 <= i < 32] for part in held()]
    assert first[0] != third[2]


def test_a_stream_may_be_split_by_class_instead():
    assert split(in_batches(), 1).digest == split(in_batches()._replace(batches=None), 1).digest
    kept = sources.only(in_batches(), np.isin(in_batches().labels, [3, 9]))
    assert kept.batches.tolist() == [0] * 8 + [1] * 8 + [2] * 16 + [-1] * 10


def test_a_float_source_keeps_its_type_under_permutation():
    values = source(features=(6,))._replace(inputs=np.linspace(0, 1, 2400, dtype=np.float32).reshape(400, 6))
    benchmark = permuted(values._replace(scale=None), 2)
    assert benchmark.inputs.dtype == np.float32
    assert np.array_equal(np.sort(benchmark.inputs[400:]), values.inputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stream(source()), "toy comes in no batches of its own: take the benchmark split"),
        (lambda: stream(in_batches(), "task"), 'scenario "task" would tell a batch of one class its class'),
        (lambda: stream(in_batches(((0, 1), (1,)))), "class 9 of toy has test samples but is in no batch"),
        (lambda: stream(in_batches(), valid=1.0), "valid is 1.0"),
        (lambda: stream(in_batches(tested=1)), "task 2 of stream_toy has no test samples"),
        (lambda: split(source(), 0), "classes is 0"),
        (lambda: split(source(), class_order=[0, 0]), r"classes \[\[0, 0\]\] must be different ones"),
        (lambda: split(source(), class_order=[0, 12]), r"classes \[\[0, 12\]\] .* toy: \[0, 1, 2"),
        (lambda: split(source(), [[0], []]), "must be different ones"),
        (lambda: split(source(), [[0], [1]], class_order=[0, 1]), "leaves class_order no say"),
        (lambda: split(source(), scenario="online"), "scenario 'online'"),
        (lambda: permuted(source(), scenario="online"), "scenario 'online'"),
        (lambda: split(source(), valid=0.0), "valid is 0.0"),
        (lambda: split(source(samples=4), valid=0.1), "task 0 of split_toy has no validation samples"),
        (lambda: permuted(source(), 0), "permuted_toy has no tasks"),
        (lambda: rotated(source(), angles=[]), "rotated_toy has no tasks"),
        (lambda: rotated(source(features=(16,))), r"samples of shape \[16\] cannot be rotated"),
    ],
)
def test_a_composition_that_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_fewer_samples_of_each_class_are_some_of_the_more_and_the_test_stays():
    def learnt(per_class):
        few = sources.thinned(source(), per_class, 0)
        assert few.inputs[few.is_test].tolist() == source().inputs[source().is_test].tolist()
        assert np.bincount(few.labels[~few.is_test]).tolist() == [min(per_class, 30)] * 10
        return {image.tobytes() for image in few.inputs[~few.is_test]}

    assert learnt(4) < learnt(12) < learnt(30) == learnt(99)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_take_fewer_samples(name):
    benchmark = BENCHMARKS[name](per_class=10, valid=0.2)
    for task in benchmark.tasks:
        per_class = [(benchmark.labels[part] == task.classes[0]).sum() for part in task.splits]
        assert per_class == [8, 2, 10]


@pytest.mark.parametrize("wrong", [0, 1, -3, 2.5])
def test_too_few_samples_of_a_class_are_refused(wrong):
    with pytest.raises(ValueError, match=f"per_class {wrong} must be a whole number of at least 2"):
        split(source(), per_class=wrong)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_standardised_channels_have_mean_0_and_deviation_1_where_one_learns(name):
    benchmark = BENCHMARKS[name](standardise=True)
    learnt = np.concatenate([part for task in benchmark.tasks for part in (task.train, task.valid)])
    read = benchmark.inputs[learnt] * benchmark.scale + benchmark.shift
    assert benchmark.scale.shape == benchmark.shift.shape == (2, 1, 1)
    if name == "rotated":  # pictures that turn lose their corners: those of task 0 do not
        read = benchmark.inputs[learnt[benchmark.owners[learnt] == 0]] * benchmark.scale + benchmark.shift
    assert read.mean((0, 2, 3)) == pytest.approx([0, 0], abs=1e-5)
    assert read.std((0, 2, 3)) == pytest.approx([1, 1], abs=1e-5)


def test_standardising_sees_no_test_sample_and_knows_vectors_and_constants():
    vectors = source(features=(6,))
    changed = vectors._replace(
        inputs=np.where(vectors.is_test[:, None], 255, vectors.inputs).astype(np.uint8)
    )
    once, again = sources.standardised(vectors), sources.standardised(changed)
    values = vectors.inputs[~vectors.is_test].astype(float)
    assert once.scale == again.scale == np.float32(1 / values.std()) and once.scale.shape == (1,)
    assert once.shift == again.shift == np.float32(-values.mean() / values.std())
    constant = vectors._replace(inputs=np.full_like(vectors.inputs, 7))
    black = sources.standardised(constant)
    assert (constant.inputs * black.scale + black.shift == 0).all()


def test_standardised_by_hand():
    values = np.zeros((100, 1, 10, 10), np.uint8)
    values[:25] = 255  # a quarter is white: mean 1/4, deviation sqrt(3)/4
    white = Source("white", values, np.zeros(100, np.int64), np.zeros(100, bool))
    found = sources.standardised(white)
    assert float(found.scale[0, 0, 0]) == pytest.approx(4 / 3**0.5 / 255)
    assert float(found.shift[0, 0, 0]) == pytest.approx(-(3**-0.5))
