import sys

import numpy as np
import pytest
import torch
from picture_files import picture, write_picture
from PIL import Image

from nai import pictures


def test_png_pixels_are_read_as_they_are_channels_first(tmp_path):
    files = [tmp_path / f"{n}.png" for n in range(3)]
    for n, file in enumerate(files):
        write_picture(file, picture(n))
    assert np.array_equal(pictures.read(files), np.stack([picture(n) for n in range(3)]))


def test_a_grey_picture_has_three_equal_channels_or_one(tmp_path):
    write_picture(tmp_path / "grey.png", picture(0, channels=1))
    assert np.array_equal(
        pictures.read([tmp_path / "grey.png"]), np.repeat(picture(0, 4, 1)[None], 3, axis=1)
    )
    assert np.array_equal(pictures.read([tmp_path / "grey.png"], channels=1), picture(0, channels=1)[None])


def test_halving_a_picture_weighs_pixels_as_triangles_do():
    """Antialiased bilinear by two: weights 1, 3, 3, 1 along each side, cut and rescaled at the edges."""
    pixels = picture(0, side=8, channels=1)[0].astype(float)
    weights = np.zeros((4, 8))
    for out in range(4):
        for at, weight in zip(range(2 * out - 1, 2 * out + 3), (1, 3, 3, 1), strict=True):
            if 0 <= at < 8:
                weights[out, at] = weight
    weights /= weights.sum(1, keepdims=True)
    expected = np.floor(weights @ pixels @ weights.T + 0.5)
    made = pictures.resized(torch.from_numpy(picture(0, side=8, channels=1)), 4)
    assert np.array_equal(made[0].numpy(), expected)


def test_a_flat_picture_stays_flat_at_any_size_and_the_own_size_changes_nothing():
    flat = torch.full((3, 5, 9), 77, dtype=torch.uint8)
    for size in (1, 4, 20):
        assert torch.equal(pictures.resized(flat, size), torch.full((3, size, size), 77, dtype=torch.uint8))
    own = torch.from_numpy(picture(1))
    assert pictures.resized(own, 4) is own
    assert pictures.resized(own, None) is own


def test_what_cannot_be_read_is_named_with_the_way_out(tmp_path):
    write_picture(tmp_path / "a.png", picture(0))
    write_picture(tmp_path / "b.png", picture(0, side=5))
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"b.png has 5 x 5 pixels and a.png 4 x 4: give one size for all"):
        pictures.read([tmp_path / "a.png", tmp_path / "b.png"])
    with pytest.raises(FileNotFoundError, match=r"c.png cannot be read as a picture \(.*: unpack it again"):
        pictures.read([tmp_path / "c.png"])
    with pytest.raises(FileNotFoundError, match=r"d.png cannot be read"):
        pictures.read([tmp_path / "d.png"])
    with pytest.raises(ValueError, match=r"channels 2 must be 1 \(grey\) or 3"):
        pictures.read([tmp_path / "a.png"], channels=2)
    with pytest.raises(ValueError, match="size 0 must be at least 1 pixel"):
        pictures.read([tmp_path / "a.png"], 0)


def test_numbers_above_a_byte_are_refused_and_a_missing_extra_names_itself(tmp_path, monkeypatch):
    Image.fromarray(np.full((2, 2), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png has pixels of mode I;16: save it with 8 bits a channel"):
        pictures.read([tmp_path / "deep.png"])
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"needs pillow: pip install 'nai-sweep\[data\]'"):
        pictures.read([tmp_path / "deep.png"])


def test_a_picture_of_another_format_is_refused_whatever_its_name(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: pytest.fail("a program was started"))
    file = tmp_path / "x.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n%%EOF\n")
    with pytest.raises(FileNotFoundError, match="cannot be read as a picture"):
        pictures.read([file], 4)
