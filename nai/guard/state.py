"""Checks of a guard's state before it is taken over."""

from collections.abc import Mapping
from typing import Any

import torch

from nai.methods import Method
from nai.methods.anchored import below
from nai.methods.base import told

FIELDS = frozenset({"method", "options", "depth", "steps", "epochs", "ready", "layers", "outputs", "memory"})
FREE = frozenset({"strength"})
"""Options that may differ between a state and the guard that takes it over."""


def described(method: Method) -> dict[str, Any]:
    """A method as names and numbers."""
    return {"method": type(method).__name__, "options": told(method)}


def check_state(state: Mapping[str, Any], method: Method, shapes: Mapping[str, torch.Size]) -> None:
    """ValueError unless a state was left by the same method on a module with the same parameters.

    shapes: of the parameters that the guard would keep.
    """
    if odd := FIELDS ^ set(state):
        raise ValueError(f"this is no state of a guard: {', '.join(sorted(odd))} missing or unknown")
    mine = described(method)
    if state["method"] != mine["method"]:
        raise ValueError(f"the state is of {state['method']}, the guard's method is {mine['method']}")
    for name, value in mine["options"].items():
        if name not in FREE and state["options"].get(name) != value:
            was = state["options"].get(name)
            raise ValueError(
                f"{name} was {was!r} and is {value!r}: only strength may differ from the state's method"
            )
    _check_shapes(
        {k: v.shape for k, v in below("anchor", state["memory"]).items()}, shapes, bool(state["layers"])
    )


def _check_shapes(
    anchors: Mapping[str, torch.Size], shapes: Mapping[str, torch.Size], by_layers: bool
) -> None:
    for name, shape in anchors.items():
        if name not in shapes:
            raise ValueError(
                f"the state remembers {name}, which the model does not have, skips or keeps frozen"
            )
        if shape != shapes[name]:
            raise ValueError(f"{name} has shape {tuple(shapes[name])}, but {tuple(shape)} in the state")
    missing = [name for name in shapes if name not in anchors]
    if missing and anchors and not by_layers:
        raise ValueError(f"the state remembers nothing of {missing[0]}: it is of another model")
