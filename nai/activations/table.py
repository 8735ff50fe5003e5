"""Activations by name."""

import torch
import torch.nn.functional as F

from nai.activations.curves import (
    BELL,
    GAUSSIAN,
    IDENTITY,
    LINE,
    PARABOLA,
    RATIONAL,
    RELU,
    RELU3,
    SINE,
    SIREN,
    SQUARED,
    WAVE,
)
from nai.activations.kinds import Activation, blocks, constant, mixture, normal, plain, uniform

SMALL = normal(0.1, 0.01)

ACTIVATIONS: dict[str, Activation] = {
    "relu": plain(
        "The positive part.",
        torch.relu,
        lambda above, said: torch.ops.aten.threshold_backward(above, said, 0),
    ),
    "leaky_relu": plain(
        "The positive part, and 0.01 of the negative one.",
        F.leaky_relu,
        lambda above, said: above * torch.where(said > 0, 1.0, 0.01),
    ),
    "tanh": plain("Hyperbolic tangent.", torch.tanh, lambda above, said: above * (1 - said * said)),
    "relu3": blocks("The positive part to the third power.", RELU3),
    "siren": blocks("sin(30 x), on weights that start as Sitzmann et al. 2020 have them.", SIREN, siren=True),
    # blocks of neurons: mixing is left to the next layer, so there is nothing to learn
    "poly": blocks("Half of the neurons x, half x^2.", IDENTITY, SQUARED),
    "poly_relu": blocks("Thirds: x, x^2, ReLU.", IDENTITY, SQUARED, RELU),
    "poly_relu3": blocks("Thirds: x, x^2, ReLU^3.", IDENTITY, SQUARED, RELU3),
    "poly_sin": blocks("Thirds: x, x^2, sin x.", IDENTITY, SQUARED, SINE),
    "poly_sin_gaussian": blocks(
        "Quarters: x, x^2, sin x, a bell of width 1/2.", IDENTITY, SQUARED, SINE, GAUSSIAN
    ),
    # mixtures: each neuron learns the coefficients of its own
    "rational": mixture(
        "A cubic over 1 + |a quadratic| for each neuron, which starts near ReLU; 6 coefficients.",
        RATIONAL,
        starts=[constant(value) for value in (1.1915, 1.5957, 0.5, 0.0218, 2.383, 0.0)],
    ),
    "sine_gaussian": mixture(
        "A wave and a bell for each neuron, which start slow and small, to classify; 4 coefficients.",
        WAVE,
        BELL,
        starts=[normal(1, 0.1), normal(1, 0.1), SMALL, uniform(0.3, 0.5)],
    ),
    "sine_gaussian_audio": mixture(
        "sine_gaussian with the authors' start for audio, on SIREN's weights.",
        WAVE,
        BELL,
        starts=[normal(2, 0.1), normal(30, 10), normal(1, 0.1), uniform(0.01, 0.05)],
        siren=True,
    ),
    "sine_poly_gaussian": mixture(
        "x, x^2, a wave and a bell for each neuron, which start slow and small, to classify; 6 coefficients.",
        LINE,
        PARABOLA,
        WAVE,
        BELL,
        starts=[normal(0, 0.1), SMALL, normal(1, 0.1), normal(1, 0.1), SMALL, uniform(0.3, 0.5)],
    ),
    "sine_poly_gaussian_mild": mixture(
        "sine_poly_gaussian on SIREN's weights, with waves that start fast: for functions of coordinates.",
        LINE,
        PARABOLA,
        WAVE,
        BELL,
        starts=[normal(0, 0.1), SMALL, normal(1, 0.1), normal(30, 0.001), SMALL, uniform(0.3, 0.5)],
        siren=True,
    ),
    "sine_poly_gaussian_image": mixture(
        "sine_poly_gaussian with the authors' start for images, which learns by heart.",
        LINE,
        PARABOLA,
        WAVE,
        BELL,
        starts=[
            *(normal(0, 0.1), normal(1, 0.1), normal(2, 0.1)),
            *(normal(30, 0.001), normal(1, 0.1), uniform(0.01, 0.05)),
        ],
        siren=True,
    ),
}
"""Only functions whose vector and scalar code round alike, so that a result never depends on its stack.

Source of the blocks, mixtures and their starts: Liang, Lyu, Wang, Yang 2021 and the authors' code.
Deviations: `poly_sin_gaussian` has a quarter of bells at every width (theirs has ten); `rational` has
coefficients for each neuron, not each layer, and a denominator that is never 0: theirs is the same at the
start, and may have poles later.
"""
