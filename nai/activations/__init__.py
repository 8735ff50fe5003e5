"""Activations: fixed functions, blocks of neurons with a basic function each, mixtures that neurons learn."""

from nai.activations.kinds import Activation
from nai.activations.module import Reproducing, activation, reproduced
from nai.activations.table import ACTIVATIONS

__all__ = ["ACTIVATIONS", "Activation", "Reproducing", "activation", "reproduced"]
