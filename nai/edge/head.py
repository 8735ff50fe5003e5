"""The head that learns: its layers, its loss, and how PyTorch trains it."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nai.seeds import generator


@dataclass(frozen=True)
class Rates:
    """Stochastic gradient descent: both PyTorch and ExecuTorch have this one."""

    rate: float = 0.01
    momentum: float = 0.9
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not self.rate > 0 or not 0 <= self.momentum < 1 or not self.decay >= 0:
            raise ValueError(f"{self}: rate must be above 0, momentum 0 to below 1, decay 0 or more")


class Head(nn.Module):
    """One linear layer, or with `hidden` units a ReLU layer before it; first weights drawn by `seed`."""

    def __init__(self, width: int, outputs: int, hidden: int = 0, seed: int = 0) -> None:
        super().__init__()
        if width < 1 or outputs < 2 or hidden < 0:
            raise ValueError(f"no head has {width} features, {hidden} hidden units and {outputs} outputs")
        self.width, self.outputs, self.hidden = width, outputs, hidden
        self.below = nn.Linear(width, hidden) if hidden else nn.Identity()
        self.out = nn.Linear(hidden or width, outputs)
        chance = generator(seed, "head")
        with torch.no_grad():
            for layer in (self.below, self.out):
                for value in layer.parameters():
                    spread = (width if layer is self.below else hidden or width) ** -0.5
                    value.uniform_(-spread, spread, generator=chance)

    def forward(self, features: Tensor) -> Tensor:
        below = self.below(features).relu() if self.hidden else features
        logits: Tensor = self.out(below)
        return logits


class Lossy(nn.Module):
    """A head and its loss: what is trained on a device, and exported for it."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted cross-entropy, and the logits [batch, outputs]; the first is what gradients are of."""
        logits = self.head(features)
        losses = F.nll_loss(F.log_softmax(logits, 1), labels, reduction="none")
        return (losses * weights).sum(), logits.detach()


class Trainee(Protocol):
    """A head that can be trained step by step, whatever computes it."""

    batch: int

    def step(self, features: Tensor, labels: Tensor, weights: Tensor) -> float:
        """One step of training on [batch] samples; the loss before it."""

    def logits(self, features: Tensor) -> Tensor:
        """What the head says, [samples, outputs], of any number of samples."""


class TorchHead:
    """A head that PyTorch trains."""

    def __init__(self, head: Head, batch: int, rates: Rates) -> None:
        self.batch, self._net = batch, Lossy(head)
        self._optimizer = torch.optim.SGD(
            head.parameters(), rates.rate, momentum=rates.momentum, weight_decay=rates.decay
        )

    def step(self, features: Tensor, labels: Tensor, weights: Tensor) -> float:
        self._optimizer.zero_grad()
        loss, _ = self._net(features, labels, weights)
        loss.backward()
        self._optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        said: Tensor = self._net.head(features)
        return said
