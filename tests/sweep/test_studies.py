"""The studies in docs/studies say what their records say, and the page of one answers what a reader asks."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from read_page import Read
from scipy import stats

from sweep import analysis, look, report
from sweep.standing import relevant

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"
RESULTS = sorted(STUDIES.rglob("results.json"))
TUNED = {"digits": ("nai", "ewc", "si", "mas"), "split_mnist": ("ewc", "si", "nai", "class")}


def unlike(told, found, at=""):
    """Where two values of JSON differ, numbers by more than rounding."""
    if isinstance(told, dict) and isinstance(found, dict) and told.keys() == found.keys():
        return [place for name in told for place in unlike(told[name], found[name], f"{at}.{name}")]
    if isinstance(told, list) and isinstance(found, list) and len(told) == len(found):
        pairs = enumerate(zip(told, found, strict=True))
        return [place for number, pair in pairs for place in unlike(*pair, f"{at}[{number}]")]
    if isinstance(told, float) and isinstance(found, float):
        return [] if math.isclose(told, found, rel_tol=1e-9, abs_tol=1e-12) else [at]
    return [] if told == found else [at]


def test_there_are_studies():
    assert len(RESULTS) > 20


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: str(path.parent.relative_to(STUDIES)))
def test_results_are_those_of_the_records(path):
    _, store, snapshot = look.reopened(path.parent)
    rows = relevant(store.records.rows, snapshot.asked)
    assert unlike(json.loads(path.read_text()), analysis.plain(analysis.results(rows, snapshot.asked))) == []


@pytest.mark.parametrize(("study", "seeds"), [("digits_nai", 3), ("head_to_head_digits", 5)])
def test_a_reader_of_a_real_page_gives_the_answers_of_its_records(study, seeds):
    _, store, snapshot = look.reopened(STUDIES / study)
    asked = snapshot.asked
    rows = relevant(store.records.rows, asked)
    tasks = json.loads((STUDIES / study / "tasks.json").read_text())
    page = Read(report.render(analysis.results(rows, asked), rows, report.PageFacts("", tasks=tasks))).text
    answers = page.partition("Which strength?")[2].partition("Panels")[0]

    # Which strength: of all settings tried on all search orders, those whose validation accuracy is highest.
    tried, searched = {}, set(itertools.product(asked.search_orders, asked.search_seeds))
    for row in rows:
        place = tuple(row["order"]), (row["seed_init"], row["seed_data"])
        if row["suggestion"] not in asked.baselines and place in searched:
            tried.setdefault(row["settings"], []).append(np.mean(row["valid"][-1]))
    whole = [settings for settings, found in tried.items() if len(found) == len(asked.search_orders)]
    best = max(whole, key=lambda settings: np.mean(tried[settings]))
    method = json.loads(best)["method"]
    assert f"{method['name']}: strength {method['strength']:.3g}" in answers

    # How sure, and which order is worst: over all 120 orders and all seeds, seeds averaged.
    ends = {}
    for row in rows:
        if row["settings"] == best and (row["seed_init"], row["seed_data"]) in asked.confirm_seeds:
            ends.setdefault(tuple(row["order"]), []).append(row["test"][-1])
    final = {order: np.mean(found, axis=0) for order, found in ends.items()}
    assert len(final) == 120 and {len(found) for found in ends.values()} == {seeds}
    means = {order: value.mean() for order, value in final.items()}
    assert f"{100 * np.mean(list(means.values())):.2f} ± " in answers
    assert f"over 120 orders × {seeds} seeds ± is 95 % over seeds; all orders were run;" in answers
    worst = min(means, key=lambda order: means[order])
    assert f"Which order is worst? {' → '.join(tasks[home] for home in worst)}" in answers
    assert f"{100 * means[worst]:.2f} % at the end" in answers

    # Which task suffers most when it comes first.
    lost = []
    for task in range(5):
        first, later = (
            [v[task] for o, v in final.items() if (o[0] == task) == there] for there in (True, False)
        )
        lost.append(np.mean(later) - np.mean(first))
    most = int(np.argmax(lost))
    assert f"when it comes first? {tasks[most]} " in answers
    assert f"{100 * lost[most]:.2f} points less" in answers


@pytest.mark.parametrize(
    "study", [f"{name}_{method}" for name in ("digits", "split_mnist") for method in TUNED[name]]
)
def test_the_tables_of_single_methods_show_each_line_of_their_studies(study):
    page = (STUDIES.parent / "results.md").read_text(encoding="utf-8")
    for line in json.loads((STUDIES / study / "results.json").read_text())["table"]:
        mean, half, *others = (
            f"{100 * line[key]:.2f}" for key in ("mean", "half", "worst", "std", "aopd", "mopd", "forgetting")
        )
        assert f" | {mean} ± {half} | {' | '.join(others)} |\n" in page


def test_the_table_of_permuted_mnist_shows_means_and_intervals_over_seeds():
    page = (STUDIES.parent / "results.md").read_text(encoding="utf-8")
    _, store, snapshot = look.reopened(STUDIES / "permuted_searched")
    final = {}
    for row in relevant(store.records.rows, snapshot.asked):
        if tuple(row["order"]) in snapshot.asked.confirm_orders:
            final.setdefault(row["settings"], []).append(100 * np.mean(row["test"][-1]))
    whole = [values for values in final.values() if len(values) == 5]
    assert len(whole) == 4
    for values in whole:
        half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) / 5**0.5
        assert f"| {np.mean(values):.2f} ± {half:.2f} |" in page
