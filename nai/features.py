"""What a frozen network says of a data set, computed once and kept: features in place of pictures."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nai.backbones import Frozen, digest_of, extractor
from nai.sources import Source
from nai.tasks import Array

CHUNK = 256  # pictures of one forward pass


class Features(NamedTuple):
    """A data set as a frozen network sees it."""

    source: Source  # inputs [samples, width] float32, mean 0 and deviation 1 over the samples to learn from
    module: nn.Module  # pictures of 0..1 to those inputs: the network and the scale


class Scaled(nn.Module):
    """A network whose features are brought to mean 0 and deviation 1."""

    def __init__(self, net: nn.Module, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, pictures: Tensor) -> Tensor:
        said: Tensor = self.net(pictures)
        return (said - self.get_buffer("mean")) / self.get_buffer("spread")


def featured(source: Source, frozen: Frozen, kept: str | Path | None = None) -> Features:
    """A data set seen through a frozen network, each feature standardised over the samples to learn from.

    kept: a folder where features lie, and are put, so that they are computed once; None: nowhere. A feature
    that is the same for all samples is read as 0.
    """
    net = extractor(frozen, source.inputs.shape[1:])
    title = f"{source.name}_{frozen.backbone.replace(':', '_')}"
    file = None if kept is None else Path(kept) / f"{title}_{_address(source, net, frozen)}.npy"
    said = _kept(file, len(source.inputs))
    if said is None:
        said = extracted(net, source)
        _keep(file, said)
    mean, spread = _moments(said[~source.is_test])
    inputs = np.asarray((said - mean) / spread, np.float32)
    module = Scaled(net, torch.from_numpy(mean), torch.from_numpy(spread)).eval()
    return Features(source._replace(name=title, inputs=inputs, scale=None, shift=None), module)


def pictures(source: Source, rows: slice) -> Tensor:
    """Some samples as floats, bytes as 0..1."""
    values = torch.from_numpy(np.array(source.inputs[rows])).float()
    if source.inputs.dtype != np.uint8:
        return values
    alone = source.scale is not None and source.shift is None  # such a scale is what makes bytes 0..1
    return values * torch.from_numpy(np.array(source.scale)) if alone else values / 255


@torch.inference_mode()
def extracted(net: nn.Module, source: Source) -> NDArray[np.float32]:
    """What the network says of every sample, [samples, width]."""
    parts = (slice(start, start + CHUNK) for start in range(0, len(source.inputs), CHUNK))
    said = [net(pictures(source, rows)).float().numpy() for rows in parts]
    return np.concatenate(said)


def _moments(said: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    mean, spread = said.mean(0, dtype=np.float64), said.std(0, dtype=np.float64)
    return mean.astype(np.float32), np.where(spread > 1e-6, spread, np.inf).astype(np.float32)


def _address(source: Source, net: nn.Module, frozen: Frozen) -> str:
    """Digest of samples, weights and size: other features lie in another file."""
    total = hashlib.sha256(f"features 1 {frozen.backbone} {frozen.pixels} {source.inputs.shape}".encode())
    total.update(str((source.scale, source.shift)).encode())
    total.update(np.ascontiguousarray(source.inputs).reshape(-1).view(np.uint8).data)
    for part in digest_of(net):
        total.update(part)
    return total.hexdigest()[:16]


def _kept(file: Path | None, samples: int) -> Array | None:
    """The features of a file; None where there is none, or one that was cut short."""
    if file is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        found = np.load(file, allow_pickle=False)
        if found.dtype == np.float32 and found.ndim == 2 and len(found) == samples:
            return np.asarray(found)
    return None


def _keep(file: Path | None, said: Array) -> None:
    """Write the features all or nothing; a folder that cannot be written to keeps none."""
    if file is None:
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        number, work = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=".npy", dir=file.parent)
        try:
            with os.fdopen(number, "wb") as to:
                np.save(to, said, allow_pickle=False)
            Path(work).replace(file)
        finally:
            Path(work).unlink(missing_ok=True)
