"""Nets that learn each task alone: asked for by a space, planned, run, recorded and read."""

import pytest
from made_sweeps import KINDS, carried_out
from tiny_sweeps import SPACE

from sweep import look, session
from sweep.confirming import overrides
from sweep.counts import confirmed, phase
from sweep.space import Mistakes, loads

NETS = "confirm.nets=3"


def test_a_space_asks_for_them_and_so_does_confirm():
    plain, asked = KINDS["plain"].space(), KINDS["plain"].space(NETS)
    assert plain.net_pairs == () and asked.net_pairs == ((0, 0), (1, 1), (2, 2))
    assert loads(asked.to_toml()) == asked
    assert overrides(nets=3) == [NETS]
    with pytest.raises(Mistakes, match="nets"):
        KINDS["plain"].space("confirm.nets=1")  # one net has no spread


def test_they_are_planned_counted_and_run_once():
    where = KINDS["plain"].space(NETS)
    before, after = (phase(confirmed(KINDS["plain"].space(*more))) for more in ((), (NETS,)))
    arms = after.settings
    assert after.runs - before.runs == arms * 5 * 3
    assert (after.orders, after.seeds) == (before.orders, before.seeds)  # a task alone is no order
    swept = carried_out(where)
    assert len(swept.handed) == len(set(swept.handed)) == len(swept.rows) == swept.agenda.expected
    alone = [row for row in swept.rows.values() if len(row["order"]) == 1]
    assert len(alone) == arms * 5 * 3
    asked = swept.agenda.asked()
    assert asked.nets == where.net_pairs
    again = carried_out(where, swept.past)
    assert again.handed == [] and again.results == swept.results


def test_only_asking_for_them_changes_nothing_of_the_orders():
    first, more = (carried_out(KINDS["plain"].space(*one)) for one in ((), (NETS,)))
    assert first.rows.keys() < more.rows.keys()


def test_a_sweep_records_them_and_the_table_has_its_floor(tmp_path):
    space = loads(SPACE, overrides=[NETS, "search.suggestions=1", "confirm.orders.count=2"])
    ended = session.run(space, tmp_path, engine="inline", track=False)
    assert ended.results["complete"] and ended.results["done"] == 3 + 2 * (2 + 5 * 3)
    lines = look.analyse(tmp_path, ["tasks"])[0].lines
    assert len(lines) == 2 * 5
    assert all(line["nets"] == 3 and line["floor"] is not None and line["orders"] == 2 for line in lines)
    (relations,) = look.analyse(tmp_path, ["orders"])
    assert all(-1 <= line["similarity"] <= 1 for line in relations.lines)


def test_mlflow_counts_them_but_its_means_are_over_orders():
    from sweep.tracking.page import so_far
    from sweep.tracking.store import Run

    def run(order, value):
        tags = {"order": order, "nai.suggestion": "a1", "method": "nai"}
        return Run(order, tags, 0, "FINISHED", 1, metrics={"valid/average_accuracy": value})

    said = so_far([run("0-1", 0.5), run("1-0", 0.75), run("0", 1.0)])
    assert said.startswith("**3 runs so far.**") and "| nai a1 | 62.50 % | 2 |" in said
