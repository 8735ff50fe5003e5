"""Orders from Optuna's TPE: permutations as random keys or Lehmer digits; beside `sweep.search` its keeper.

A permutation is never one category of tasks!: numbers that are near decode to orders that are near.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import create_trial

from nai.orders import Order, positions

Values = Mapping[str, float]


def suggested(scores: Mapping[Order, float], *, code: str, tasks: int, address: str) -> Iterator[Order]:
    """Orders that a TPE, having seen these scores (less is better), suggests; without end, some seen before.

    code: keys or lehmer. The study is made anew and seeded by address: what it suggests depends on nothing
    else.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = distributions(code, tasks)
    study = optuna.create_study(sampler=TPESampler(seed=_seed(address)))
    for order, score in scores.items():
        study.add_trial(create_trial(params=encoded(order, code), distributions=space, value=score))
    while True:
        yield decoded(study.ask(space).params, code)


def distributions(code: str, tasks: int) -> dict[str, BaseDistribution]:
    """What Optuna draws: a key 0..1 a task, or a digit 0..tasks left - 1 a position (the last is free)."""
    if code == "keys":
        return {_name(task): FloatDistribution(0, 1) for task in range(tasks)}
    return {_name(place): IntDistribution(0, tasks - 1 - place) for place in range(tasks - 1)}


def encoded(order: Order, code: str) -> dict[str, float]:
    """The numbers of an order: of all keys that decode to it those of even distance, or its digits."""
    if code == "keys":
        return {_name(task): (place + 0.5) / len(order) for task, place in enumerate(positions(order))}
    left = sorted(order)
    digits: dict[str, float] = {}
    for place, task in enumerate(order[:-1]):
        digits[_name(place)] = left.index(task)
        left.remove(task)
    return digits


def decoded(values: Values, code: str) -> Order:
    """The order of some numbers: the inverse of `encoded`."""
    numbers = [values[_name(place)] for place in range(len(values))]
    if code == "keys":
        return tuple(sorted(range(len(numbers)), key=numbers.__getitem__))
    left = list(range(len(numbers) + 1))
    return tuple(itertools.chain((left.pop(int(digit)) for digit in numbers), left))


def _name(place: int) -> str:
    return f"{place:03}"


def _seed(address: str) -> int:
    return int.from_bytes(hashlib.sha256(f"orders/{address}".encode()).digest()[:4], "big")
