"""Backbone and head as ExecuTorch programs, and the head trained by its program; only here it is known.

ExecuTorch calls its training experimental: constraints.txt has the version that was tested. What it warns of
is not shown.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nai.edge.head import Head, Lossy, Rates
from nai.pictures import needed

METHOD = "forward"
RATES = Rates()
BACKENDS = ("xnnpack", "portable")


def check_executorch() -> None:
    """ImportError, naming the extra that brings it, where ExecuTorch is missing: before hours of training."""
    with _quiet("an exported program"):
        import executorch.exir

    assert executorch.exir


def export_head(head: Head, batch: int, file: str | Path) -> Path:
    """Write the head, its loss and the gradients as a program that trains, on batches of this size.

    The weights that it starts from are the head's.
    """
    some = (torch.zeros(batch, head.width), torch.zeros(batch, dtype=torch.int64), torch.zeros(batch))
    with _quiet("an exported head"):
        from executorch.exir import to_edge
        from torch.export.experimental import _export_forward_backward

        both = _export_forward_backward(torch.export.export(Lossy(head).train(), some, strict=True))
        return _written(file, to_edge(both).to_executorch().buffer)


def export_backbone(
    module: nn.Module, features: tuple[int, ...], file: str | Path, backend: str = "xnnpack"
) -> Path:
    """Write a frozen network as a program that makes features of one sample, [1, *features].

    backend: xnnpack is fast on processors of phones; portable needs nothing, and is slow.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown: known are {', '.join(BACKENDS)}")
    with _quiet("an exported backbone"):
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        seen = torch.export.export(module.eval(), (torch.zeros(1, *features),), strict=True)
        lowered = to_edge_transform_and_lower(
            seen, partitioner=[XnnpackPartitioner()] if backend == "xnnpack" else None
        )
        return _written(file, lowered.to_executorch().buffer)


def run_backbone(file: str | Path, samples: Tensor) -> Tensor:
    """What an exported backbone makes of samples, [samples, *features] to [samples, width]."""
    with _quiet("an exported backbone"):
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(str(_there(file))).load_method(METHOD)
        return torch.cat([method.execute([one])[0].clone() for one in samples.split(1)])


class ExportedHead:
    """A head that its exported program trains; ExecuTorch computes losses, gradients and steps."""

    def __init__(self, file: str | Path, rates: Rates = RATES) -> None:
        self._rates, path = rates, _there(file)
        with _quiet("an exported head"):
            from executorch.extension.training import _load_for_executorch_for_training

            self._module: Any = _load_for_executorch_for_training(str(path))
            about = self._module.model.method_meta(METHOD)
            self.batch, self._width = about.input_tensor_meta(0).sizes()
            self._said(torch.zeros(self.batch, self._width))  # its weights can be had once it has run
        self._optimizer = self._fresh()

    def step(self, features: Tensor, labels: Tensor, weights: Tensor) -> float:
        """One step of training on [batch] samples; the loss before it."""
        loss, _ = self._module.forward_backward(METHOD, [features, labels, weights])
        self._optimizer.step(self._module.named_gradients())
        return float(loss.detach())

    def logits(self, features: Tensor) -> Tensor:
        """What the head says, [samples, outputs]; the last batch is filled up."""
        lacking = -len(features) % self.batch
        filled = torch.cat([features, features.new_zeros(lacking, self._width)])
        said = torch.cat([self._said(part) for part in filled.split(self.batch)])
        return said[: len(features)]

    def weights(self) -> dict[str, Tensor]:
        """The weights as they are now, by name: what a device would save."""
        return {name: value.detach().clone() for name, value in self._module.named_parameters().items()}

    @torch.no_grad()
    def restore(self, weights: dict[str, Tensor]) -> None:
        """Go on from weights that were saved, with an optimiser afresh."""
        own = self._module.named_parameters()
        if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in own.items()}:
            raise ValueError(f"weights {sorted(weights)} are not those of this head, {sorted(own)}")
        for name, value in own.items():
            value.copy_(weights[name])
        self._optimizer = self._fresh()

    def _said(self, features: Tensor) -> Tensor:
        idle = torch.zeros(len(features), dtype=torch.int64), torch.zeros(len(features))
        _, said = self._module.forward_backward(METHOD, [features.contiguous(), *idle])
        logits: Tensor = said
        return logits

    def _fresh(self) -> Any:
        rates = self._rates
        with _quiet("an exported head"):
            from executorch.extension.training import get_sgd_optimizer

            return get_sgd_optimizer(
                self._module.named_parameters(), rates.rate, rates.momentum, 0.0, rates.decay, False
            )


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[None]:
    """ExecuTorch without its notes on other packages; where it is missing, the extra that brings it."""
    noted = logging.getLogger("torch.utils._pytree")
    before = noted.level
    noted.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), needed(what, "executorch", "edge"):
            warnings.simplefilter("ignore")
            yield
    finally:
        noted.setLevel(before)


def _written(file: str | Path, program: bytes) -> Path:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(program)
    return path


def _there(file: str | Path) -> Path:
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: export a head or a backbone there first")
    return path
