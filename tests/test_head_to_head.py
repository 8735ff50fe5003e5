"""The published comparisons of methods are what their records say."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))


METHODS = {
    "head_to_head_digits": 14,
    "head_to_head_split_mnist": 14,
    "head_to_head_fashion": 14,
    "head_to_head_rotated_mnist": 12,
    "head_to_head_split_cifar10": 8,
    "head_to_head_cifar100_features": 14,
    "head_to_head_cifar10_100_features": 14,
}


@pytest.mark.parametrize("study", METHODS)
def test_the_page_shows_the_table_of_the_records(study):
    from head_to_head import beside, markdown

    found = beside(ROOT / "docs" / "studies" / study, "nai")
    assert len(found) == METHODS[study]
    assert markdown(found, "nai") in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("study", ["head_to_head_digits", "head_to_head_split_mnist"])
def test_the_readme_shows_a_picture_of_it(study):
    picture = f"docs/images/{study}.svg"
    assert (ROOT / picture).is_file() and picture in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("study", ["importance_sources", "importance_sources_mnist"])
def test_the_page_on_attribution_shows_the_sources_of_the_records(study):
    from head_to_head import beside, markdown

    found = beside(ROOT / "docs" / "studies" / study, "random", "method.importance_source")
    assert len({one.method for one in found} - {"finetune", "joint"}) == 7
    assert markdown(found, "random") in (ROOT / "docs" / "attribution.md").read_text(encoding="utf-8")


def test_the_page_on_activations_shows_those_of_the_records():
    from head_to_head import beside, markdown

    found = beside(ROOT / "docs" / "studies" / "activations", "relu", "model.activation")
    assert len({one.method for one in found} - {"finetune", "joint"}) == 7
    assert markdown(found, "relu") in (ROOT / "docs" / "activations.md").read_text(encoding="utf-8")
