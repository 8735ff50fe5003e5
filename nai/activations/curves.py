"""Functions of one number that activations are made of, each with its slopes written out."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

NARROWEST = 1e-12
"""Added to a bell's squared width, so that a width of 0 divides nothing; to float32 it changes no other."""


class Curve(NamedTuple):
    """A function of what a neuron reads, x [..., units], and of its coefficients, which broadcast over x."""

    value: Callable[..., Tensor]  # of x and each coefficient
    slopes: Callable[..., tuple[Tensor, ...]]  # by x, then by each coefficient; they broadcast over x
    coefficients: tuple[str, ...] = ()


def _relu3(x: Tensor) -> Tensor:
    rest = torch.relu(x)
    return rest * rest * rest


def _relu3_slope(x: Tensor) -> tuple[Tensor, ...]:
    rest = torch.relu(x)
    return (3 * rest * rest,)


def _gaussian(width: float) -> Curve:
    """A bell of fixed width and height 1."""
    return Curve(
        lambda x: torch.exp(x * x / (-2 * width * width)),
        lambda x: (torch.exp(x * x / (-2 * width * width)) * x / (-width * width),),
    )


IDENTITY = Curve(lambda x: x, lambda x: (torch.ones_like(x),))
SQUARED = Curve(lambda x: x * x, lambda x: (2 * x,))
RELU = Curve(torch.relu, lambda x: ((x > 0).to(x.dtype),))
RELU3 = Curve(_relu3, _relu3_slope)
SINE = Curve(torch.sin, lambda x: (torch.cos(x),))
SIREN = Curve(lambda x: torch.sin(30 * x), lambda x: (30 * torch.cos(30 * x),))
GAUSSIAN = _gaussian(0.5)


def _wave_slopes(x: Tensor, height: Tensor, frequency: Tensor) -> tuple[Tensor, ...]:
    inner = frequency * x
    leaning = height * torch.cos(inner)
    return leaning * frequency, torch.sin(inner), leaning * x


def _bell(x: Tensor, height: Tensor, width: Tensor) -> Tensor:
    return height * torch.exp(x * x / (-2 * (width * width + NARROWEST)))


def _bell_slopes(x: Tensor, height: Tensor, width: Tensor) -> tuple[Tensor, ...]:
    square = width * width + NARROWEST
    away = x / square
    bell = torch.exp(x * away / -2)
    return -height * bell * away, bell, height * bell * away * away * width


LINE = Curve(lambda x, line: line * x, lambda x, line: (line, x), ("line",))
PARABOLA = Curve(
    lambda x, parabola: parabola * x * x, lambda x, parabola: (2 * parabola * x, x * x), ("parabola",)
)
WAVE = Curve(
    lambda x, height, frequency: height * torch.sin(frequency * x), _wave_slopes, ("wave", "frequency")
)
BELL = Curve(_bell, _bell_slopes, ("bell", "width"))


def _rational(x: Tensor, *coefficients: Tensor) -> Tensor:
    above, below, _ = _fraction(x, *coefficients)
    return above / below


def _fraction(
    x: Tensor, cubic: Tensor, square: Tensor, linear: Tensor, constant: Tensor, *under: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Numerator, denominator, and what the denominator is the size of, plus 1."""
    inner = (under[0] * x + under[1]) * x
    return ((cubic * x + square) * x + linear) * x + constant, 1 + inner.abs(), inner


def _rational_slopes(x: Tensor, *coefficients: Tensor) -> tuple[Tensor, ...]:
    cubic, square, linear, _, low_square, low_linear = coefficients
    above, below, inner = _fraction(x, *coefficients)
    share = 1 / below
    falling = above * share * share * torch.sign(inner)  # less of it, for each unit of `inner`
    rising = (3 * cubic * x + 2 * square) * x + linear
    by_x = rising * share - falling * (2 * low_square * x + low_linear)
    first = x * share
    second = x * first
    return by_x, x * second, second, first, share, -falling * x * x, -falling * x


RATIONAL = Curve(
    _rational,
    _rational_slopes,
    ("cubic", "square", "linear", "constant", "denominator_square", "denominator_linear"),
)
"""(cubic x^3 + square x^2 + linear x + constant) / (1 + |denominator_square x^2 + denominator_linear x|)."""
