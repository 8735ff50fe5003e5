"""A stream of experiences through a head, with replay from a buffer of latent features."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from nai.edge.buffer import LatentBuffer
from nai.edge.head import Trainee
from nai.seeds import generator
from nai.tasks import Benchmark


@dataclass(frozen=True)
class Course:
    """How often each experience is gone through, and the seed of all that is drawn."""

    epochs: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs {self.epochs} must be at least 1")


COURSE = Course()


class Stream(NamedTuple):
    """Features in the order in which they come."""

    inputs: Tensor  # [samples, width] float32
    labels: Tensor  # [samples]
    experiences: tuple[Tensor, ...]  # rows to learn from
    tested: Tensor  # rows of the common test set
    outputs: int

    @classmethod
    def of(cls, benchmark: Benchmark) -> Self:
        """The tasks of a benchmark as experiences, tested on all their test samples together."""
        if len(benchmark.features) != 1:
            form = f"are {list(benchmark.features)}, but a head reads features"
            raise ValueError(f"samples of {benchmark.name} {form}: give the benchmark a backbone")
        samples = benchmark.samples()
        rows = [[torch.from_numpy(part.copy()) for part in task.splits] for task in benchmark.tasks]
        tested = torch.cat([test for _, _, test in rows])
        return cls(samples.inputs, samples.labels, tuple(r[0] for r in rows), tested, benchmark.outputs)


class Experience(NamedTuple):
    """What one experience of the stream was."""

    number: int  # from 1
    samples: int
    losses: tuple[float, ...]  # one a step


class Part(NamedTuple):
    """A batch to learn from: places among the experience's samples, and slots of the buffer."""

    rows: Tensor
    slots: Tensor


def learn(
    stream: Stream, trainee: Trainee, buffer: LatentBuffer, course: Course = COURSE
) -> Iterator[Experience]:
    """Learn experiences one after the other, each batch joined by replayed features.

    After each one the buffer is shown it, and it is yielded; what is done before the next is its reader's.
    """
    for number, rows in enumerate(stream.experiences, 1):
        features, labels = stream.inputs[rows], stream.labels[rows]
        losses = []
        for epoch in range(course.epochs):
            chance = generator(course.seed, "edge", number, epoch)
            for part in parts(len(labels), buffer.filled, trainee.batch, chance):
                losses.append(_stepped(trainee, buffer, part, features, labels))
        buffer.show(features, labels, generator(course.seed, "edge buffer", number))
        yield Experience(number, len(labels), tuple(losses))


def parts(samples: int, held: int, batch: int, chance: torch.Generator) -> Iterator[Part]:
    """The batches of an epoch: new and replayed samples in proportion, every new one once.

    With n new samples and m held, of each batch of b, n // ((n + m) // b) are new and the others replayed, in
    turn. Source: Pellegrini et al. 2020, as in their code.
    """
    new = min(batch, samples // max(1, (samples + held) // batch)) if held else batch
    new = max(1, new)
    order, again = (torch.randperm(n, generator=chance) for n in (samples, held))
    replayed = min(batch - new, held)
    for turn, rows in enumerate(order.split(new)):
        places = (turn * replayed + torch.arange(replayed)) % max(1, held)
        yield Part(rows, again[places])


def accuracy(trainee: Trainee, stream: Stream) -> float:
    """Share of right answers among all test samples, whatever has been learnt so far."""
    said = trainee.logits(stream.inputs[stream.tested]).argmax(1)
    return float((said == stream.labels[stream.tested]).float().mean())


def _stepped(trainee: Trainee, buffer: LatentBuffer, part: Part, features: Tensor, labels: Tensor) -> float:
    """One step; what a batch lacks is filled up with samples of weight 0."""
    found = torch.cat([features[part.rows], buffer.features(part.slots)])
    said = torch.cat([labels[part.rows], buffer.labels()[part.slots]])
    live, lacking = len(said), trainee.batch - len(said)
    weights = torch.cat([torch.full((live,), 1 / live), torch.zeros(lacking)])
    blank = torch.zeros(lacking, features.shape[1])
    return trainee.step(torch.cat([found, blank]), torch.cat([said, said.new_zeros(lacking)]), weights)
