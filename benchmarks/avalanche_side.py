"""Avalanche's side of benchmarks/avalanche.py: runs in the interpreter that has avalanche-lib, knows no nai.

One JSON object a line on standard input asks for one run, one line on standard output answers it:
seconds of processor time (there is one thread), accuracy on the test data [tasks + 1, tasks] by home index,
and a digest of the final weights.
The clock starts with the model built and the stream made, so imports and data are in nobody's time.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.models import MultiHeadClassifier, MultiTaskModule
from avalanche.training.plugins import EvaluationPlugin, SynapticIntelligencePlugin
from avalanche.training.supervised import EWC, MAS, Naive, SynapticIntelligence
from torch import Tensor, nn
from torch.utils.data import TensorDataset

EVALUATED = 512
"""Samples of one forward pass while evaluating: more did not make it faster."""


class Net(MultiTaskModule):
    """An MLP with a head of two outputs for each task."""

    def __init__(self, features: int, widths: list[int]) -> None:
        super().__init__()
        sizes = [features, *widths]
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.features = nn.Sequential(*layers)
        self.classifier = MultiHeadClassifier(widths[-1], 2)

    def forward(self, x: Tensor, task_labels: Tensor) -> Tensor:
        return self.classifier(self.features(x), task_labels)


class RepairedSi(SynapticIntelligencePlugin):
    """Synaptic intelligence that copies the weights: as published its copies are views on a CPU."""

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_iteration(strategy, **kwargs)
        self._own("old_theta")

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_exp(strategy, **kwargs)
        for anchor in self.ewc_data[0].values():
            anchor.data = anchor.data.clone()

    def _own(self, name: str) -> None:
        for value in self.syn_data[name].values():
            value.data = value.data.clone()


def strategy_of(asked: dict[str, Any], net: Net) -> Any:
    """The strategy by our name of the method."""
    metrics = EvaluationPlugin(accuracy_metrics(experience=True), loggers=[], strict_checks=False)
    optimizer = torch.optim.Adam(net.parameters(), lr=asked["rate"], fused=asked["fused"] or None)
    common = {
        "model": net,
        "optimizer": optimizer,
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": asked["batch"],
        "train_epochs": asked["epochs"],
        "eval_mb_size": EVALUATED,
        "evaluator": metrics,
        "device": "cpu",
    }
    strength = asked["strength"]
    match asked["method"]:
        case "finetune":
            return Naive(**common)
        case "ewc":
            return EWC(ewc_lambda=strength, **common)
        case "mas":
            return MAS(lambda_reg=strength, **common)
        case "si":
            return SynapticIntelligence(si_lambda=strength, eps=0.1, **common)
        case "si_repaired":
            return Naive(plugins=[RepairedSi(strength, eps=0.1)], **common)
    raise ValueError(f"method {asked['method']!r} has no counterpart here")


def stream_of(data: dict[str, Tensor], order: list[int]) -> Any:
    """Tasks of two classes in the order asked for; a task's label is its place in it."""
    halves = []
    for half in ("train", "test"):
        inputs, labels = data[f"{half}_inputs"], data[f"{half}_labels"]
        made = TensorDataset(inputs, labels)
        made.targets = labels.tolist()
        halves.append(made)
    return nc_benchmark(
        *halves,
        n_experiences=len(order),
        task_labels=True,
        fixed_class_order=[2 * task + c for task in order for c in (0, 1)],
        class_ids_from_zero_in_each_exp=True,
    )


def accuracies(results: dict[str, float], order: list[int]) -> list[float]:
    """Accuracy on each task by home index, from metrics named by the place in the order."""
    by_place = [results[name] for name in sorted(results) if name.startswith("Top1_Acc_Exp/")]
    return [by_place[order.index(task)] for task in range(len(order))]


def run(asked: dict[str, Any], data: dict[str, Tensor]) -> dict[str, Any]:
    """One run over one order."""
    order = asked["order"]
    torch.manual_seed(asked["seed"])
    stream = stream_of(data, order)
    net = Net(data["train_inputs"].shape[1], asked["widths"])
    strategy = strategy_of(asked, net)
    started = time.process_time()
    rows = [strategy.eval(stream.test_stream)]
    for experience in stream.train_stream:
        strategy.make_optimizer(reset_optimizer_state=True)
        strategy.train(experience)
        rows.append(strategy.eval(stream.test_stream))
    seconds = time.process_time() - started
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in net.parameters()))
    matrix = [accuracies(row, order) for row in rows]
    return {"seconds": seconds, "accuracy": matrix, "weights": digest.hexdigest()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as file:
        data = {name: torch.from_numpy(file[name]) for name in file.files}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line), data)), file=answers, flush=True)


if __name__ == "__main__":
    main()
