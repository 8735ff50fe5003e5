"""Crop and flip: a loop over samples and pixels says the same, and `learn` uses it as data."""

import numpy as np
import pytest
import torch
from torch.func import vmap
from worlds import blobs, differing, taught, world

from nai import augment
from nai.augment import FLIP, PADDING, SHIFT, crop_flip
from nai.learn import begin, learn
from nai.methods import METHODS, Finetune
from nai.seeds import Seeds, generator
from nai.tasks import Benchmark, Samples
from nai.training import Training


def literal(image, corner, flip, black):
    """Pad, cut, mirror, for one image [channels, height, width]."""
    channels, height, width = image.shape
    padded = np.broadcast_to(black, (channels, height, width))
    out = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            row, column = y + corner[0] - PADDING, x + corner[1] - PADDING
            inside = 0 <= row < height and 0 <= column < width
            to = width - 1 - x if flip else x
            out[:, y, to] = image[:, row, column] if inside else padded[:, 0, 0]
    return out


@pytest.fixture
def drawn():
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(40, 3, 6, 7, generator=chance)
    shifts = torch.randint(0, 2 * PADDING + 1, (40, 2), generator=chance)
    return images, shifts, torch.rand(40, generator=chance) < 0.5


@pytest.mark.parametrize("black", [None, torch.tensor([-1.0, 2.0, 3.0]).view(3, 1, 1)])
def test_it_is_the_loop_over_samples_and_pixels(drawn, black):
    made = crop_flip(*drawn, black)
    edge = np.zeros(1) if black is None else black.numpy()
    for out, *one in zip(made, *drawn, strict=True):
        image, corner, flip = (v.numpy() for v in one)
        assert np.array_equal(out.numpy(), literal(image, corner.tolist(), bool(flip), edge))


def test_the_middle_crop_changes_nothing_and_a_flip_undoes_itself(drawn):
    images, _, flips = drawn
    middle = torch.full((40, 2), PADDING)
    assert torch.equal(crop_flip(images, middle, torch.zeros(40, dtype=torch.bool)), images)
    assert torch.equal(crop_flip(images, middle, ~flips)[flips], images[flips])
    assert torch.equal(crop_flip(images, middle, flips)[flips], images[flips].flip(-1))


def test_a_stack_is_its_lessons_one_by_one_also_under_vmap(drawn):
    stack = [v.unflatten(0, (5, 8)) for v in drawn]
    alone = torch.stack([crop_flip(*one) for one in zip(*stack, strict=True)])
    assert torch.equal(crop_flip(*stack), alone)
    assert torch.equal(vmap(crop_flip)(*stack), alone)


def test_every_shift_comes_up_and_half_of_the_samples_are_flipped():
    makers = augment.draws("crop_flip", (1, 8, 8), 9000)
    shifts, flips = (makers[k](torch.Generator().manual_seed(0)) for k in (SHIFT, FLIP))
    counts = torch.bincount((9 * shifts[:, 0] + shifts[:, 1]), minlength=81)
    assert counts.min() > 60
    assert counts.max() < 170
    assert abs(flips.float().mean() - 0.5) < 0.02


def test_nothing_is_drawn_and_nothing_changes_without_a_name_and_vectors_are_refused():
    assert augment.draws("none", (12,), 4) == {}
    inputs = torch.ones(4, 12)
    assert augment.augmented(inputs, {}, Samples(inputs, inputs, inputs, None, None)) is inputs
    with pytest.raises(
        ValueError, match=r"augment 'crop_flip' needs images .*, but samples have shape \[12\]"
    ):
        augment.draws("crop_flip", (12,), 4)
    with pytest.raises(ValueError, match="augment 'crop' is unknown: known are none, crop_flip"):
        Training(augment="crop")


def test_black_is_what_the_byte_0_is_read_as_whether_bytes_or_floats_are_on_the_device():
    plain = blobs(features=(1, 2, 2))
    bytes_ = Benchmark.of(
        "bytes",
        "task",
        plain.tasks,
        inputs=np.zeros(plain.inputs.shape, np.uint8),
        labels=plain.labels,
        scale=np.array([0.5]),
        shift=np.array([-3.0]),
    )
    for limit in (0, 2**30):
        assert bytes_.samples(float_bytes=limit).black.tolist() == [-3.0]
    assert plain.samples().black is None


# ---------------------------------------------------------------- in learn
CROPPED = Training(epochs=2, augment="crop_flip")
IMAGES = (1, 8, 8)


def test_it_changes_what_is_learnt_and_its_default_changes_no_fingerprint():
    place = world(blobs(features=IMAGES))
    plain, cropped = (taught(place, Finetune(), (0, 1), training=t) for t in (Training(epochs=2), CROPPED))
    assert differing(plain, cropped)
    assert "augment" not in Training().settings()
    assert CROPPED.settings()["augment"] == "crop_flip"


@pytest.mark.parametrize("name", ["finetune", "ewc", "lwf", "joint"])
@pytest.mark.parametrize("width", [2, 3, 7, 32])
def test_a_lesson_has_the_bits_of_one_alone_at_every_width(name, width):
    place, method = world(blobs(features=IMAGES)), METHODS[name]()
    seeds = [Seeds(0, n % 3) for n in range(width)]
    begun = [begin(place, method, s) for s in seeds]
    after = learn(begun, [n % 2 for n in range(width)], place, method, training=CROPPED, seeds=seeds)
    for n in {0, 1, width - 1}:
        (alone,) = learn([begun[n]], [n % 2], place, method, training=CROPPED, seeds=[seeds[n]])
        assert not differing(alone, after[n])


def test_a_step_on_convolutions_is_the_step_on_images_changed_beforehand():
    """One batch with all the data: learning from changed images is learning with the change in between."""
    benchmark = blobs((32, 32), features=IMAGES)
    place = world(benchmark, "conv", widths=[4], dense_units=8, dropout=0.0, dropout_dense=0.0)
    once = Training(epochs=1, batch=32, augment="crop_flip")
    seeds = Seeds(1, 2)
    cropped = taught(place, Finetune(), (0,), training=once, seeds=seeds)
    makers = augment.draws("crop_flip", IMAGES, 32)
    drawn = [makers[k](generator(2, 0, k, 0)) for k in (SHIFT, FLIP)]
    order = place.train[0][torch.randperm(32, generator=generator(2, 0, "batches", 0))]
    changed = place.source.inputs.clone()
    changed[order] = crop_flip(changed[order], *drawn)
    beforehand = place._replace(source=place.source._replace(inputs=changed))
    plain = Training(epochs=1, batch=32)
    assert not differing(cropped, taught(beforehand, Finetune(), (0,), training=plain, seeds=seeds))


def test_vectors_cannot_be_cropped():
    with pytest.raises(ValueError, match="needs images"):
        taught(world(), Finetune(), (0,), training=CROPPED)
