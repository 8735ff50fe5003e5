"""Which hidden neurons of a plain PyTorch module matter for its answers? Some seconds on a CPU.

python examples/attribution.py
"""

from pathlib import Path

import torch
from torch import nn

import nai
from nai.datasets import digits


def learnt(inputs: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    """A net of one's own, trained in a loop of one's own."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        for part in torch.randperm(len(inputs)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[part]), labels[part]).backward()
            optimizer.step()
    return model


def accuracy(model: nn.Sequential, silent: torch.Tensor, data: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Share of right answers while some neurons of the first hidden layer say nothing."""
    inputs, labels = data
    said = model[1](model[0](inputs)).index_fill(1, silent, 0.0)
    return float((model[2:](said).argmax(1) == labels).float().mean())


def main() -> None:
    source = digits(Path())  # they travel with scikit-learn
    inputs = torch.tensor(source.inputs).flatten(1).float() / 16
    labels, tested = torch.tensor(source.labels), torch.tensor(source.is_test)
    model = learnt(inputs[~tested], labels[~tested])

    found = nai.attribute(model, inputs[~tested], labels[~tested])  # total conductance of all layers
    for name, gap in found.gaps().items():
        share = gap.abs().mean() / found.difference.abs().mean()
        print(f"shares of layer {name} sum to what the logit changed by, within {100 * share:.2f} %")

    order = found.shares["1"].abs().mean(0).argsort(descending=True)
    test = inputs[tested], labels[tested]
    chance = [torch.randperm(40)[:12] for _ in range(20)]
    print("all neurons", accuracy(model, order[:0], test))
    print("without the top 12", accuracy(model, order[:12], test))
    print("without 12 at random", sum(accuracy(model, c, test) for c in chance) / len(chance))


if __name__ == "__main__":
    main()
