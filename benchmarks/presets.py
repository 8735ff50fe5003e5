"""Writes the shipped presets (search_spaces/presets) anew from the sweeps in docs/studies that found them.

    python benchmarks/presets.py

Nothing is run: a preset is what `nai-sweep preset` makes of a sweep's records.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run from a clone, installed or not
PRESETS = ROOT / "search_spaces" / "presets"
FOUND_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "split_digits": ("head_to_head_digits", ()),
    "split_mnist": ("head_to_head_split_mnist", ()),
    "split_fashion_mnist": ("head_to_head_fashion", ()),
    "rotated_mnist": ("head_to_head_rotated_mnist", ()),
    "split_cifar10_conv": ("head_to_head_split_cifar10", ()),
    "split_cifar100_features": ("head_to_head_cifar100_features", ()),
    "split_cifar10_100_features": ("head_to_head_cifar10_100_features", ()),
    "permuted_mnist_ewc": ("permuted_searched", ("ewc",)),
    "permuted_mnist_si": ("permuted_searched", ("si",)),
}
"""The study behind each preset, and the methods of it; none: all, which then share their training."""


def text(name: str) -> str:
    """A preset as its study has it, named as a shipped space is."""
    from sweep import look

    study, methods = FOUND_BY[name]
    made = look.preset(ROOT / "docs" / "studies" / study, methods, name)
    return made.replace(f"nai-sweep run {name}.toml", f"nai-sweep run presets/{name}")


def main() -> None:
    """Writes all of them."""
    PRESETS.mkdir(exist_ok=True)
    for name in FOUND_BY:
        (PRESETS / f"{name}.toml").write_text(text(name), encoding="utf-8")
        print(PRESETS / f"{name}.toml")


if __name__ == "__main__":
    main()
