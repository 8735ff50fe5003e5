"""A step of a method of replay, and what it should be, literally."""

from typing import NamedTuple

import oracles
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from worlds import blobs, taught, world

from nai.learn import Lesson, World
from nai.methods import Context, Method
from nai.seeds import generator
from nai.tasks import Batch, Rows, gather
from nai.training import Training

SHORT = Training(epochs=2, batch=20)
LIVE = 9  # samples of the step's batch, which has three rows of padding


class Stand(NamedTuple):
    """A lesson after the tasks 2 and 0, before a step of task 1."""

    where: World
    lesson: Lesson
    params: dict[str, Tensor]  # of that step, away from the lesson's
    batch: Batch
    context: Context

    @property
    def model(self) -> nn.Sequential:
        """An ordinary module with the step's weights."""
        return oracles.plain_mlp(self.params)

    def autograd(self, loss: Tensor, model: nn.Module) -> dict[str, Tensor]:
        """The gradient of a loss of the module, by the core's names."""
        return dict(zip(self.params, torch.autograd.grad(loss, list(model.parameters())), strict=True))

    def chosen(self, purpose: str, count: int) -> list[int]:
        """Samples that a step's draw picks from the buffer: those with the smallest numbers."""
        slots, chance = self.lesson.memory["slots"].tolist(), self.context.noise[purpose].tolist()
        filled = sorted((c, s) for c, s in zip(chance, slots, strict=True) if s >= 0)
        return [s for _, s in filled[:count]]

    def used(self, sample: int) -> list[int]:
        """Outputs in use for a sample."""
        return self.context.heads[self.where.source.tasks[sample]].nonzero()[:, 0].tolist()

    def losses(self, model: nn.Module, samples: list[int]) -> list[Tensor]:
        """The cross-entropy of each sample within its head."""
        return [oracles.task_loss(model, self.where, torch.tensor([s]), self.used(s)) for s in samples]

    @property
    def own(self) -> list[int]:
        """Samples of the step's batch."""
        return self.context.rows.indices[:LIVE].tolist()


def stand(method: Method, scenario: str = "task", *, training: Training = SHORT) -> Stand:
    """Before a step, with its draws made."""
    where = world(blobs(scenario=scenario))
    lesson = taught(where, method, (2, 0), training=training)
    indices = F.pad(where.train[1][:LIVE], (0, 3))
    rows = Rows(indices, F.pad(torch.full((LIVE,), 1 / LIVE), (0, 3)))
    draws = method.step_draws(where.net, len(indices))
    context = Context(
        task=torch.tensor(1), depth=torch.tensor(2), steps=torch.tensor(3), heads=where.in_use((2, 0, 1)),
        noise={k: draw(generator("step", k)) for k, draw in draws.items()}, rows=rows, epoch=0, epochs=1,
        step=0, rate=0.05, widest=where.widest, source=where.source, net=where.net,
    )  # fmt: skip
    params = {k: v + 0.3 * torch.randn(v.shape, generator=generator(k)) for k, v in lesson.params.items()}
    return Stand(where, lesson, params, gather(where.source, rows), context)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Equal but for rounding, name by name."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)
