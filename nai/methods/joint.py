"""Training from scratch on all tasks met so far: the upper bound."""

from collections.abc import Sequence
from dataclasses import dataclass

from nai.methods.anchored import below
from nai.methods.base import Context, Memory, Method
from nai.methods.redraw import redraws
from nai.models import Network, Params
from nai.seeds import Draw


@dataclass(frozen=True)
class Joint(Method):
    """From new weights on the data of every task so far; the set of tasks decides, not their order."""

    def pool(self, done: Sequence[int], task: int) -> tuple[int, ...]:
        return tuple(sorted((*done, task)))

    def node(self, done: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(done))

    def task_draws(self, net: Network, rows: int) -> dict[str, Draw]:
        return redraws(net, net.shapes())

    def before_task(
        self, net: Network, params: Params, memory: Memory, context: Context
    ) -> tuple[Params, Memory]:
        return below("redraw", context.noise), memory
