"""Penalties, structure or replay: which keeps most of a stream that is seen once? Some seconds on a CPU.

python examples/online_families.py

One method of each family on the digits that come with scikit-learn, over the same orders. The whole
comparison, tuned, with intervals: nai-sweep run online_families.
"""

import statistics

import nai
from nai.orders import sampled

FAMILIES = {
    "synaptic regularisation": nai.OnlineSi(strength=1.0, every=20),
    "structural plasticity": nai.CwrStar(),
    "experience replay": nai.Er(size=200, fill="step"),
}


def main() -> None:
    stream = nai.Named.of("split", dataset="digits", classes=2, scenario="class", standardise=True)
    model = nai.Named.of("mlp", widths=[100, 100])
    once = nai.Training(epochs=1, batch=10, algorithm="sgd", rate=0.1, optimizer="kept")
    orders = sampled(5, 8, seed=0)
    reached = {}
    for family, method in FAMILIES.items():
        trials = [nai.Trial(stream, model, method, once, order) for order in orders]
        reached[family] = [float(run.result.test[-1].mean()) for run in nai.run_many(trials)]
        print(f"{family}: {100 * statistics.mean(reached[family]):.1f} % of all digits at the end")
    replay = reached["experience replay"]
    for family in list(FAMILIES)[:2]:
        gains = [100 * (ours - theirs) for ours, theirs in zip(replay, reached[family], strict=True)]
        mean, worst = statistics.mean(gains), min(gains)
        print(f"replay is better than {family} by {mean:.1f} points, in the worst order {worst:.1f}")


if __name__ == "__main__":
    main()
