"""The shipped space of importance sources: every source with every strength."""

from collections import Counter

from nai.importance.attribution import MEASURES
from sweep import session
from sweep.space import read

SMALL = (
    "training.epochs=1",
    "orders.count=2",
    "benchmark.classes=4",
    "benchmark.per_class=20",
    "model.widths=[16]",
    "method.attribution_steps=2",
    "confirm.top=1",
    "confirm.orders.count=1",
    "confirm.seeds.init=[0]",
    "confirm.seeds.data=[0]",
)


def test_every_source_runs_with_every_strength(tmp_path):
    ended = session.run(read("importance_sources", SMALL), tmp_path / "out", engine="inline", track=False)
    assert ended.results["failed"] == 0
    tried = [one["settings"]["method"] for one in ended.results["search"]]
    counts = Counter(one["importance_source"] for one in tried)
    assert counts == dict.fromkeys(["random", "activation", *MEASURES], 6)
    means = {one["settings"]["method"]["importance_source"]: one["mean"] for one in ended.results["search"]}
    assert len(means) == 7 and all(0 < mean <= 1 for mean in means.values())
