"""Views: each sample's is its own, whatever its batch, and each step is what it is pixel by pixel."""

import colorsys
import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import vmap

from nai import views
from nai.seeds import generator
from nai.tasks import Samples
from nai.views import DRAWN, NUMBERS, VIEWS, View, blurred, box, cropped, gray, jittered, picture, turned

BLACK, WHITE = torch.tensor([-1.0, -2.0, 0.5]).view(3, 1, 1), torch.tensor([3.0, 1.0, 2.5]).view(3, 1, 1)
ALL = View(crop=0.1, flip=0.5, jitter=0.8, gray=0.2, blur=0.5)


def colours(count=24, size=(9, 8)):
    """Pictures in 0..1, and what their views draw."""
    chance = generator("views", count)
    return torch.rand(count, 3, *size, generator=chance), torch.rand(count, NUMBERS, generator=chance)


def drawn(chance):
    return {name: chance[:, place] for place, name in enumerate(DRAWN)}


@pytest.mark.parametrize("view", [ALL, *VIEWS.values()])
def test_a_view_is_that_of_each_sample_alone_also_under_vmap(view):
    images, _ = colours(24, (24, 20))
    noise = {k: d(generator(k)) for k, d in views.draws("a", view, images.shape[1:], (24,)).items()}
    source = Samples(images, images, images, None, None, BLACK, WHITE)

    def seen(x, n):
        return views.viewed(x, view, n, "a", source=source)

    whole = seen(images, noise)
    assert whole.shape == images.shape and not torch.equal(whole, images)
    for i in range(24):
        assert torch.equal(seen(images[i : i + 1], {k: v[i : i + 1] for k, v in noise.items()})[0], whole[i])
    stack = vmap(seen)(images.unflatten(0, (4, 6)), {k: v.unflatten(0, (4, 6)) for k, v in noise.items()})
    assert torch.equal(stack.flatten(0, 1), whole)


def test_the_whole_picture_upright_and_unchanged_is_itself():
    images, chance = colours()
    assert torch.equal(picture(images, View(), chance, black=BLACK, white=WHITE), images)
    whole = chance.clone()
    for name, value in (("area", 1.0), ("ratio", 0.5), ("flip", 0.9), ("jitter", 0.9), ("gray", 0.9)):
        whole[:, DRAWN.index(name)] = value
    square = images[..., :8, :8]
    same = picture(square, VIEWS["simclr"], whole, black=BLACK, white=WHITE)
    torch.testing.assert_close(same, square)


def test_a_crop_is_the_box_enlarged_between_pixels_linearly():
    images, _ = colours(5, (9, 8))
    boxes = [(0, 0, 9, 8), (2, 1, 4, 5), (5, 3, 4, 5), (8, 7, 1, 1), (1, 0, 2, 8)]
    first, sides = (torch.tensor([b[at : at + 2] for b in boxes]).float() for at in (0, 2))
    for image, made, (top, left, height, width) in zip(
        images, cropped(images, first, sides), boxes, strict=True
    ):
        part = image[None, :, top : top + height, left : left + width]
        expected = F.interpolate(part, (9, 8), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(made, expected)


def test_boxes_lie_within_the_picture_and_take_the_share_that_is_asked_for():
    chance = torch.rand(4000, NUMBERS, generator=generator("boxes"))
    first, sides = box(drawn(chance), 0.25, (20, 20))
    assert bool((first >= 0).all()) and bool((first + sides <= 20 + 1e-4).all())
    shares = sides.prod(1) / 400
    assert float(shares.min()) > 0.24 and float(shares.max()) <= 1
    small = (0.25 + 0.75 * chance[:, DRAWN.index("area")]) < 0.7  # cut at no edge
    ratios = (sides[:, 1] / sides[:, 0])[small]
    assert 3 / 4 - 1e-4 < float(ratios.min()) < 0.77 and 1.3 < float(ratios.max()) < 4 / 3 + 1e-4
    torch.testing.assert_close(
        shares[small], (0.25 + 0.75 * chance[:, DRAWN.index("area")])[small], atol=1e-4, rtol=0
    )


def test_hue_turns_as_in_colorsys():
    images, _ = colours(4, (3, 3))
    images[0, :, 0, 0] = 0.4  # gray has no hue
    shift = torch.tensor([-0.1, 0.0, 0.07, 0.1])
    made = turned(images, shift)
    for image, out, turn in zip(images, made, shift.tolist(), strict=True):
        for y in range(3):
            for x in range(3):
                hue, saturation, value = colorsys.rgb_to_hsv(*image[:, y, x].tolist())
                expected = torch.tensor(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
                torch.testing.assert_close(out[:, y, x], expected, atol=1e-5, rtol=1e-4)


def test_brightness_contrast_and_saturation_by_hand():
    images, chance = colours(6, (4, 4))
    chance[:, DRAWN.index("hue")] = 0.5  # turned by nothing
    made, own = jittered(images, drawn(chance)), drawn(chance)
    for i, image in enumerate(images):
        bright, contrast, saturation = (
            0.6 + 0.8 * own[k][i] for k in ("brightness", "contrast", "saturation")
        )
        x = (image * bright).clamp(0, 1)
        luma = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]
        x = (contrast * x + (1 - contrast) * luma.mean()).clamp(0, 1)
        luma = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2]
        x = (saturation * x + (1 - saturation) * luma).clamp(0, 1)
        torch.testing.assert_close(made[i], x, atol=1e-5, rtol=1e-4)


def test_gray_pictures_have_no_colours_to_change():
    images, chance = colours(6, (4, 4))
    made, own = jittered(images[:, :1], drawn(chance)), drawn(chance)
    for i, image in enumerate(images[:, :1]):
        bright, contrast = (0.6 + 0.8 * own[k][i] for k in ("brightness", "contrast"))
        x = (image * bright).clamp(0, 1)
        torch.testing.assert_close(made[i], (contrast * x + (1 - contrast) * x.mean()).clamp(0, 1))


def test_colours_are_changed_between_black_and_white():
    images, chance = colours()
    standardised = BLACK + images * (WHITE - BLACK)
    plain = picture(images, ALL, chance, black=torch.zeros(()), white=torch.ones(()))
    made = picture(standardised, ALL, chance, black=BLACK, white=WHITE)
    torch.testing.assert_close((made - BLACK) / (WHITE - BLACK), plain, atol=1e-5, rtol=1e-4)


def test_every_change_comes_as_often_as_it_should():
    images = torch.rand(3000, 3, 4, 4, generator=generator("many"))
    chance = torch.rand(3000, NUMBERS, generator=generator("often"))

    def share(**only):
        made = picture(images, View(**only), chance, black=torch.zeros(()), white=torch.ones(()))
        return float((made - images).abs().amax((1, 2, 3)).gt(1e-4).float().mean())

    assert share(flip=0.5) == pytest.approx(0.5, abs=0.03)
    assert share(jitter=0.8) == pytest.approx(0.8, abs=0.03)
    assert share(gray=0.2) == pytest.approx(0.2, abs=0.03)
    flipped = picture(images, View(flip=1.0), chance, black=BLACK, white=WHITE)
    assert torch.equal(flipped, images.flip(-1))
    grayed = picture(images, View(gray=1.0), chance, black=torch.zeros(()), white=torch.ones(()))
    torch.testing.assert_close(grayed, gray(images).expand_as(images))


def test_a_blur_is_a_convolution_with_a_gaussian():
    images, _ = colours(3, (44, 41))
    sigma = torch.tensor([0.1, 0.7, 2.0])
    at = torch.arange(-2, 3).float()
    for image, made, deviation in zip(images, blurred(images, sigma), sigma, strict=True):
        line = torch.tensor([math.exp(-(float(a) ** 2) / (2 * float(deviation) ** 2)) for a in at])
        kernel = torch.outer(line, line) / line.sum() ** 2
        padded = F.pad(image[:, None], (2, 2, 2, 2), mode="reflect")
        torch.testing.assert_close(made, F.conv2d(padded, kernel[None, None])[:, 0], atol=1e-5, rtol=1e-4)


def test_vectors_get_noise_and_lose_numbers():
    x = torch.ones(2000, 5)
    view = VIEWS["noise"]
    noise = {k: d(generator(k)) for k, d in views.draws("a", view, (5,), (2000,)).items()}
    made = views.viewed(x, view, noise, "a", source=Samples(x, x, x, None, None))
    gone = made == 0
    assert float(gone.float().mean()) == pytest.approx(view.mask, abs=0.02)
    assert float(made[~gone].std()) == pytest.approx(view.noise, abs=0.01)
    assert float(made[~gone].mean()) == pytest.approx(1, abs=0.01)
