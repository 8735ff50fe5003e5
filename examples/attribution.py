"""Which hidden neurons of a plain PyTorch module matter for its answers? Some seconds on a CPU.

python examples/attribution.py
"""

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
    source = digits()
    inputs = torch.tensor(source.inputs).flatten(1).float() / 16
    labels, tested = torch.tensor(source.labels), torch.tensor(source.is_test)
    model = learnt(inputs[~tested], labels[~tested])

    found = nai.attribute(model, inputs[~tested], labels[~tested])  # total conductance of all layers
    for name, gap in found.gaps().items():
        print(
            f"layer {name} sums to the logit's difference within {gap.abs().mean():.4f} of {found.difference.abs().mean():.2f}, {100 * gap.abs().mean() / found.difference.abs().mean():.2f} %"
        )

    order = found.shares["1"].abs().mean(0).argsort(descending=True)
    test = inputs[tested], labels[tested]
    chance = [torch.randperm(40)[:20] for _ in range(20)]
    print("all neurons", accuracy(model, order[:0], test))
    print("without the top 20", accuracy(model, order[:20], test))
    print("without 20 at random", sum(accuracy(model, c, test) for c in chance) / len(chance))


if __name__ == "__main__":
    main()
