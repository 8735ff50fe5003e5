"""How many lessons a worker may train together within the memory that a space allows it."""

import sys
from typing import TYPE_CHECKING

from sweep.jobs import Settings
from sweep.ledger import SHELF
from sweep.measure import COMPILER, lesson_bytes, process_bytes, sizes_of, work_bytes
from sweep.space import Space

if TYPE_CHECKING:
    from nai.tasks import Benchmark


def lessons(space: Space, benchmark: "Benchmark", widest: int, *, card: bool = False) -> int | None:
    """Lessons of a stack, at most `widest`: as many as fit into the space's `resources.memory` on the host.

    card: workers hold stacks on a card, which need not be here; the host's memory then limits none: None.
    ValueError when not even one lesson fits.
    """
    memory = space.resources.memory
    if memory is None:
        return None if card else widest
    found = [_fitting(space.first(one.name), space, benchmark, card=card) for one in space.methods]
    return None if card else min(widest, *found)


def _fitting(settings: Settings, space: Space, benchmark: "Benchmark", *, card: bool) -> int:
    """As `nai-sweep plan` reckons: a stack for each level of the order tree, and the one that trains."""
    from nai.learn import begin
    from nai.seeds import Seeds
    from nai.trial import Named, method_of, world_of

    world = world_of(benchmark, Named.of(**settings["model"]), "cpu")
    method = method_of(settings["method"])
    lesson = lesson_bytes(begin(world, method, Seeds()))
    work = work_bytes(world, method, settings["training"].get("batch", 32))
    process = process_bytes(COMPILER in sys.modules)
    size = sizes_of(world, benchmark, process=process, lesson=lesson, work=work, card=card)
    limit = (space.resources.memory or 0) * 1e9
    each = (len(benchmark.tasks) + 2) * size.lesson + size.work
    fixed = size.process + size.arrays + max(size.loading - each, size.data)
    if fixed + each > limit:
        needed = f"{(fixed + each) / 1e9:.2f} GB that a worker needs for one lesson"
        raise ValueError(
            f"resources.memory {space.resources.memory:g} is less than the {needed} of "
            f"{settings['method']['name']}: raise it, or leave it out"
        )
    return max(1, int(((1 - SHELF) * limit - fixed) / each)) if each else 1
