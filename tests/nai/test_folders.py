import numpy as np
import pytest
from picture_files import flat, picture, write_folder, write_picture, write_tiny_imagenet

from nai.builders import split
from nai.datasets import benchmark, load, looked_at
from nai.folders import from_folder, tiny_imagenet
from nai.sources import quarter


def test_a_folder_for_each_class_is_numbered_by_name_and_a_quarter_is_test(tmp_path):
    made = write_folder(tmp_path, ["cat", "ant", "bee"], 8)
    source = from_folder(tmp_path)
    assert source.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert np.array_equal(source.inputs, np.concatenate([made[8:16], made[16:], made[:8]]))
    assert np.array_equal(source.is_test, quarter(source.labels))
    assert source.is_test.reshape(3, 8).sum(1).tolist() == [2, 2, 2]
    assert (source.scale * 255).tolist() == [1.0]
    assert source.name == tmp_path.name


def test_train_and_test_folders_are_the_splits(tmp_path):
    train, test = write_folder(tmp_path, "ab", 3, "train"), write_folder(tmp_path, "ab", 2, "test")
    source = from_folder(tmp_path)
    assert np.array_equal(source.inputs, np.concatenate([train, test]))
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
    assert source.is_test.tolist() == [False] * 6 + [True] * 4


def test_other_files_hidden_ones_and_empty_folders_do_not_count(tmp_path):
    write_folder(tmp_path, "ab", 4)
    before = from_folder(tmp_path)
    (tmp_path / "a" / "notes.txt").write_text("a walk")
    (tmp_path / "a" / "._000.png").write_bytes(b"")
    (tmp_path / ".cache").mkdir()
    write_picture(tmp_path / ".cache" / "0.png", picture(0))
    (tmp_path / "c").mkdir()
    after = from_folder(tmp_path)
    assert np.array_equal(before.inputs, after.inputs)
    assert before.labels.tolist() == after.labels.tolist()


def test_pictures_of_any_size_are_made_squares(tmp_path):
    write_folder(tmp_path, "a", 2, side=6)
    write_folder(tmp_path, "b", 2, side=9)
    assert from_folder(tmp_path, size=3).inputs.shape == (4, 3, 3, 3)
    assert from_folder(tmp_path, size=3, channels=1).inputs.shape == (4, 1, 3, 3)
    with pytest.raises(ValueError, match="give one size for all"):
        from_folder(tmp_path)


def test_a_folder_is_reached_by_name_and_its_place_is_not_part_of_the_digest(tmp_path):
    for place in ("here", "there"):
        write_folder(tmp_path / place, "abcd", 8)
    made = [benchmark("split", dataset="folder", root=str(tmp_path / p), size=2) for p in ("here", "there")]
    assert made[0].digest == made[1].digest == split(from_folder(tmp_path / "here", 2)).digest
    assert made[0].features == (3, 2, 2)
    with pytest.raises(ValueError, match="data set folder needs the option root: where your data are"):
        load("folder")
    with pytest.raises(ValueError, match=r"split has no option 'sizes': did you mean 'size'"):
        benchmark("split", dataset="folder", root=str(tmp_path), sizes=2)


@pytest.mark.parametrize("size", [None, 2])
def test_the_outline_of_a_folder_says_what_loading_it_will_say(tmp_path, size):
    write_folder(tmp_path, "abc", 5)
    source, seen = from_folder(tmp_path, size), looked_at("folder", tmp_path, size=size)
    assert seen.features == source.inputs.shape[1:]
    assert seen.source.labels.tolist() == source.labels.tolist()
    assert seen.source.is_test.tolist() == source.is_test.tolist()


def test_an_absent_or_empty_folder_says_what_to_put_where(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"there is no folder {tmp_path}/no: give as root one with"):
        from_folder(tmp_path / "no")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no pictures: put them at <class>/"):
        from_folder(tmp_path)


NAMES = ["n03", "n01", "n02"]


def test_tiny_imagenet_numbers_classes_as_its_list_and_tests_on_its_validation_set(tmp_path):
    write_tiny_imagenet(tmp_path, NAMES)
    source = tiny_imagenet(tmp_path)
    assert source.inputs.shape == (3 * 8 + 3 * 2, 3, 64, 64)
    assert source.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [0, 1, 2, 0, 1, 2]
    assert source.is_test.tolist() == [False] * 24 + [True] * 6
    places = [*[*range(8)] * 3, *[9] * 6]
    expected = np.stack([flat(k, i) for k, i in zip(source.labels, places, strict=True)])
    assert np.abs(source.inputs.astype(int) - expected).max() <= 3  # JPEG
    values = source.inputs * source.scale + source.shift
    mean, std = np.array([[0.4802, 0.4481, 0.3975], [0.2302, 0.2265, 0.2262]])[:, :, None, None]
    assert np.allclose(values, (source.inputs / 255 - mean) / std, atol=1e-5)


def test_tiny_imagenet_is_split_by_its_classes(tmp_path):
    write_tiny_imagenet(tmp_path, NAMES)
    made = benchmark("split", dataset="tiny_imagenet", root=str(tmp_path), classes=1)
    assert [len(part) for part in made.tasks[0].splits] == [6, 2, 2]


def test_tiny_imagenet_that_is_not_there_or_not_whole_says_what_to_download(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load("tiny_imagenet", tmp_path)
    for word in (str(tmp_path), "tiny-imagenet-200.zip", "248 MB", "NAI_DATA"):
        assert word in str(caught.value)
    write_tiny_imagenet(tmp_path, NAMES)
    (tmp_path / "tiny-imagenet-200" / "val" / "val_annotations.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks train/<class>/images or val_annotations.txt: unpack"):
        load("tiny_imagenet", tmp_path)
