"""The shipped space of activations: every activation with every strength."""

from collections import Counter

from nai.activations import ACTIVATIONS
from sweep import session
from sweep.space import read

SMALL = (
    "training.epochs=1",
    "orders.count=2",
    "benchmark.classes=4",
    "benchmark.per_class=20",
    "model.widths=[16]",
    "confirm.top=1",
    "confirm.orders.count=1",
    "confirm.seeds.init=[0]",
    "confirm.seeds.data=[0]",
)


def test_every_activation_runs_with_every_strength_and_is_on_record(tmp_path):
    ended = session.run(read("activations", SMALL), tmp_path / "out", engine="inline", track=False)
    assert ended.results["failed"] == 0
    models = [one["settings"]["model"]["activation"] for one in ended.results["search"]]
    counts = Counter(models)
    assert len(counts) == 7 and set(counts.values()) == {5} and counts.keys() <= ACTIVATIONS.keys()
    assert {one["settings"]["method"]["activation_stat"] for one in ended.results["search"]} == {"mean_abs"}
    accuracies = [one["mean"] for one in ended.results["search"]]
    assert all(0 < mean <= 1 for mean in accuracies) and len(set(accuracies)) > 3
