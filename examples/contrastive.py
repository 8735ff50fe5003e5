"""Co2L on digits: one run, read as class- and as task-incremental, beside its control. Some seconds on a CPU.

python examples/contrastive.py

Both learn the same two views of each sample and of a buffer of 40, and get a linear layer anew after each
task; they differ in the loss alone. The whole comparison, part by part over orders, with intervals:
nai-sweep run co2l_digits.
"""

import nai
from nai.evaluate import evaluate
from nai.trial import load, world_of

SHARED = {"size": 40, "replay": 8, "views": "crops", "linear_epochs": 10, "linear_rate": 0.1}
METHODS = {"Co2L": nai.Co2l(**SHARED, projection=32), "cross-entropy": nai.ErProbe(**SHARED)}


def main() -> None:
    model = nai.Named.of("mlp", widths=[64, 64])
    digits = {
        scenario: nai.Named.of("split", dataset="digits", classes=2, scenario=scenario)
        for scenario in ("class", "task")
    }
    training = nai.Training(epochs=5, batch=64)
    told = world_of(load(digits["task"]), model)  # where each sample's task is told
    for name, method in METHODS.items():
        outcome = nai.run(nai.Trial(digits["class"], model, method, training, order=(3, 1, 4, 0, 2)))
        (asked,) = evaluate([outcome.result.lesson], told, method)  # the same weights, another question
        among_all, within = outcome.result.test[-1].mean(), asked.test.mean()
        print(f"{name}: {100 * among_all:.1f} % among ten digits, {100 * within:.1f} % within each pair")


if __name__ == "__main__":
    main()
