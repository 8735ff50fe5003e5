"""Training on each task in turn, with nothing to prevent forgetting: the lower bound."""

from dataclasses import dataclass

from nai.methods.base import Method


@dataclass(frozen=True)
class Finetune(Method):
    """Plain training on the current task."""
