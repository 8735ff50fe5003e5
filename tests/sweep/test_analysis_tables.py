"""The tables of the analysis against cases done by hand."""

import itertools
import json
import math

import numpy as np
import pytest
from made_rows import flat, row, settings, suggestion

from sweep import analysis
from sweep.analysis import Asked, Contest
from sweep.analysis.agreement import gain_of_choosing
from sweep.analysis.arms import accuracy
from sweep.analysis.components import advice, variance_components
from sweep.analysis.distances import correlation, kendall_distances
from sweep.analysis.intervals import seeds_half_width
from sweep.analysis.ranks import average_ranks, concordance
from sweep.analysis.task_lines import expected_range, noise_floor

THREE = tuple(itertools.permutations(range(3)))
SEEDS = ((0, 0), (1, 1))
NAI, FINETUNE = settings("nai", strength=0.5), settings("finetune")


def matrix(order, final):
    """A run that ends with these accuracies by home task, each of which it had since it was learnt."""
    lines = np.full((len(order) + 1, len(final)), 0.5)
    for position, task in enumerate(order):
        lines[position + 1 :, task] = final[task]
    return lines.tolist()


def crossing(chosen, final, orders=THREE, seeds=SEEDS):
    """Rows whose final accuracies by home task are final(order, seed number); None is a failed run."""
    made = []
    for order in orders:
        for number, seed in enumerate(seeds):
            values = final(order, number)
            given = {"error": "diverged: loss is nan"} if values is None else {"test": matrix(order, values)}
            made.append(row(chosen, order, seed, **given))
    return made


def stage(rows, orders=THREE, seeds=SEEDS, **given):
    """Confirmed arms: all but finetune, then that as the baseline."""
    names = list(dict.fromkeys(one["suggestion"] for one in rows))
    base = [name for name in names if name == suggestion(FINETUNE)]
    top = [Contest(name, (), top=(name,)) for name in names if name not in base]
    asked = Asked("made", (), (), orders, seeds, 0, tuple(top), tuple(base), **given)
    return analysis.stages(rows, asked)["confirm"]


def by_place(order, seed):
    """Worse the earlier it is learnt: .6, .7, .8; .02 more with the second seed."""
    return [0.6 + 0.1 * order.index(task) + 0.02 * seed for task in range(3)]


# --- what numbers hold for ---


@pytest.mark.parametrize(
    ("orders", "seeds", "holds"),
    [(6, 2, "seeds"), (6, 1, "neither"), (3, 2, "orders and seeds"), (3, 1, "orders"), (1, 2, "seeds")],
)
def test_a_mean_says_what_it_holds_for_and_an_extreme_holds_for_its_runs(orders, seeds, holds):
    found = stage(crossing(NAI, by_place), THREE[:orders], SEEDS[:seeds])
    (line,) = analysis.summaries(found)
    assert (line.holds, line.ends_hold) == (holds, "neither")
    assert {one.holds for one in analysis.task_lines(found)} == {"neither"}


def test_every_line_of_every_table_counts_what_lacks_and_says_what_it_holds_for():
    rows = crossing(
        NAI, lambda order, seed: None if (order, seed) == (THREE[0], 1) else by_place(order, seed)
    )
    rows = rows[:-1] + crossing(FINETUNE, lambda order, seed: [0.5, 0.5, 0.5])
    asked = Asked(
        "made",
        (),
        (),
        THREE,
        SEEDS,
        24,
        (Contest("nai", (), top=(suggestion(NAI),)),),
        (suggestion(FINETUNE),),
    )
    made = {sheet.name: sheet for sheet in analysis.sheets(rows, asked)}
    assert made.keys() == analysis.TABLES.keys()
    empty = {"search_components", "search_agreement", "importance"}
    assert {name for name, sheet in made.items() if not sheet.lines} == empty
    for name in made.keys() - empty:
        first = made[name].lines[0]
        most = [max(line[key] for line in made[name].lines) for key in ("missing", "failed")]
        assert most == [1, 1], name
        assert set(made[name].shown) <= first.keys()
        assert name in ("cost", "failures") or any(
            key.endswith("hold") or key.endswith("holds") for key in first
        )
    json.dumps([sheet._asdict() for sheet in made.values()], allow_nan=False)


def test_a_table_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match="'odd' is no table: choose from summary, seeds, tasks"):
        analysis.sheets([], Asked("made", (), (), (), (), 0, ()), ["odd"])


# --- one arm ---


def test_quantiles_are_of_seed_averages():
    (line,) = analysis.summaries(
        stage(
            [
                row(NAI, order, seed, test=flat(0.1 * i + 0.02 * s, 3))
                for i, order in enumerate(THREE[:5], 1)
                for s, seed in enumerate(SEEDS)
            ],
            THREE[:5],
        )
    )
    assert [line.q05, line.q25, line.median, line.q75, line.q95] == pytest.approx(
        [0.13, 0.21, 0.31, 0.41, 0.49]
    )


def test_single_seeds_are_shown_by_themselves():
    lines = analysis.seed_lines(stage(crossing(NAI, by_place)))
    assert [(one.seed_init, one.mean) for one in lines] == [(0, pytest.approx(0.7)), (1, pytest.approx(0.72))]
    assert [one.aopd for one in lines] == [pytest.approx(0.2)] * 2


def test_the_range_of_a_task_and_the_orders_at_its_ends():
    lines = analysis.task_lines(
        stage(
            crossing(NAI, lambda order, seed: [*by_place(order, seed)[:2], 0.9 - 0.1 * seed * order.index(2)])
        )
    )
    assert [one.opd for one in lines] == [pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.1)]
    assert lines[2].opd_by_seed == pytest.approx((0.0, 0.2))  # of averages of the seeds half as much
    assert (lines[0].lowest, lines[0].lowest_order) == (pytest.approx(0.61), (0, 1, 2))
    assert lines[0].highest_order[2] == 0
    assert (lines[0].mean, lines[0].floor, lines[0].nets) == (pytest.approx(0.71), None, 0)


# --- the noise floor ---


def test_expected_ranges_of_normal_numbers_are_those_of_the_tables():
    ranges = [expected_range(count) for count in (2, 3, 5, 10, 20, 120)]
    assert ranges == pytest.approx(
        [2 / math.sqrt(math.pi), 3 / math.sqrt(math.pi), 2.326, 3.078, 3.735, 5.144], abs=2e-3
    )


def test_the_noise_floor_is_the_range_that_independent_nets_show():
    alone = np.array([0.9, 0.94])  # deviation .02 * sqrt 2
    floor = noise_floor(alone, orders=2, seeds=4)
    assert floor == pytest.approx(2 / math.sqrt(math.pi) * 0.02 * math.sqrt(2) / 2)
    assert noise_floor(alone[:1], orders=2, seeds=4) is None
    nets = np.random.default_rng(0).normal(0.9, 0.01, (4000, 6, 3)).mean(2)  # six orders, three seeds
    spread = np.array([0.9 - 0.01 / math.sqrt(2), 0.9 + 0.01 / math.sqrt(2)])
    assert np.ptp(nets, axis=1).mean() == pytest.approx(noise_floor(spread, orders=6, seeds=3), rel=0.02)


def test_nets_on_record_give_the_floor_and_those_that_lack_are_counted():
    rows = crossing(NAI, by_place)
    rows += [
        row(NAI, (0,), seed, test=matrix((0,), [value, 0.5, 0.5]))
        for seed, value in (((0, 0), 0.9), ((1, 1), 0.94))
    ]
    rows += [row(NAI, (1,), (0, 0), error="diverged: loss is nan")]
    first, second, _ = analysis.task_lines(stage(rows, nets=SEEDS))
    assert first.floor == pytest.approx(expected_range(6) * 0.02 * math.sqrt(2) / math.sqrt(2))
    assert (first.nets, first.nets_missing, first.nets_failed) == (2, 0, 0)
    assert (second.floor, second.nets, second.nets_missing, second.nets_failed) == (None, 0, 1, 1)
    assert first.orders == 6  # a task learnt alone is no order


# --- components ---


def test_components_of_a_table_done_by_hand():
    # Mean squares .04, 0 and .01 of 2 orders and 2 seeds, as in the interval done by hand.
    values = np.array([[0.9, 0.8], [0.6, 0.7]])
    assert variance_components(values) == pytest.approx([0.015, 0, 0.01])
    # Additive effects leave nothing over: variances of (-1, 1) are 2, of (-2, 0, 2) are 4.
    added = np.array([-1.0, 1.0])[:, None, None] + np.array([-2.0, 0.0, 2.0])[:, None] + np.zeros(2)
    assert variance_components(added) == pytest.approx([2, 4, 0, 0], abs=1e-12)


def test_components_find_what_the_table_was_made_of():
    rng = np.random.default_rng(1)
    found = [
        variance_components(
            rng.normal(0, 3, (4, 1, 1))
            + rng.normal(0, 2, (20, 1))
            + rng.normal(0, 1, 5)
            + rng.normal(0, 0.5, (4, 20, 5))
        )
        for _ in range(400)
    ]
    assert np.mean(found, 0) == pytest.approx([9, 4, 1, 0.25], rel=0.12)


def test_one_seed_tells_nothing_of_components():
    assert np.isnan(variance_components(np.array([[0.9], [0.6]]))).all()
    one, *_ = analysis.components(stage(crossing(NAI, by_place), seeds=SEEDS[:1]))
    assert (one.order, one.seed, one.rest, one.order_share) == (None,) * 4
    assert one.advice.startswith("One seed:")


@pytest.mark.parametrize(
    ("values", "every", "said"),
    [
        ([[0.9, 0.9], [0.5, 0.51]], False, "More orders would help."),
        ([[0.9, 0.9], [0.5, 0.51]], True, "More seeds would help: all orders were run."),
        (
            [[0.9, 0.5], [0.9, 0.51]],
            False,
            "More seeds would help, and the order effect is mostly seed noise.",
        ),
        (
            [[0.9, 0.5], [0.5, 0.9]],
            False,
            "More orders or more seeds would help alike, and the order effect is mostly seed noise.",
        ),
        ([[0.5, 0.5], [0.5, 0.5]], False, "All runs reach the same: more of them would change nothing."),
        ([[0.9, 0.5]], False, "One order: nothing tells what the order does; run more orders."),
    ],
)
def test_advice_in_a_sentence(values, every, said):
    assert advice(np.array(values), every=every) == said


# --- what is best ---


def test_concordance_by_hand():
    assert concordance(np.array([[1.0, 2, 3], [10, 20, 30]])) == pytest.approx(1)
    assert concordance(np.array([[1.0, 2, 3], [3, 2, 1]])) == pytest.approx(0)
    # Rank sums 4, 3, 5 of two judges: W = 12 * 2 / (4 * 24)
    assert concordance(np.array([[1.0, 2, 3], [3, 1, 2]])) == pytest.approx(0.25)
    # Ties: ranks 1.5 1.5 3 and 1 2 3, sums 2.5 3.5 6; W = 12 * 6.5 / (4 * 24 - 2 * 6)
    assert concordance(np.array([[1.0, 1, 2], [1, 2, 3]])) == pytest.approx(78 / 84)
    assert concordance(np.array([[1.0, 1], [2, 2]])) is None
    assert average_ranks(np.array([5.0, 1, 5, 9])) == pytest.approx([2.5, 1, 2.5, 4])


def test_does_the_best_setting_depend_on_the_order():
    mild, strong = settings("nai", strength=0.1), settings("nai", strength=1.0)
    rows = crossing(mild, lambda order, seed: [0.8 if order[0] == 0 else 0.6] * 3)
    rows += crossing(strong, lambda order, seed: [0.7] * 3)
    (line,) = analysis.agreement(stage(rows))
    assert (line.over, line.items, line.best, line.winners) == ("settings of nai", 2, "nai strength=1", 2)
    assert line.first == pytest.approx(4 / 6)  # mild wins in the two orders that begin with 0
    assert line.w == pytest.approx(
        ((4 - 2) / 6) ** 2
    )  # of two items W is the squared share of wins less losses
    assert line.gain == pytest.approx(0.1 * 2 / 6)


def test_chance_of_a_seed_wins_nothing_by_choosing():
    # Each seed has another winner in every order: what is chosen on one seed loses on the other.
    values = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert gain_of_choosing(values) == pytest.approx(-0.5)
    assert gain_of_choosing(values[:, :, :1]) is None


# --- positions, predecessors, distances ---


def test_position_effect_by_hand():
    lines = analysis.positions(stage(crossing(NAI, by_place)))
    every = [one for one in lines if one.task is None]
    assert [one.final for one in every] == pytest.approx([0.61, 0.71, 0.81])
    assert every[0].half == pytest.approx(seeds_half_width(np.array([0.6, 0.62])))
    assert [one.orders for one in lines if one.task == 1] == [2, 2, 2]
    assert analysis.positions(stage(crossing(NAI, by_place), THREE[:4]))[0].half is None


def test_predecessor_effect_by_hand():
    hurt = 0.1  # task 0 ends so much worse when 1 came before it, twice as much when just before

    def final(order, seed):
        gap = order.index(0) - order.index(1)
        return [0.9 - hurt * (gap > 0) - hurt * (gap == 1), 0.8, 0.7]

    lines = {
        (one.task, one.predecessor, one.ahead): one
        for one in analysis.predecessors(stage(crossing(NAI, final)))
    }
    # Of six orders 1 comes before 0 in three: just before in two, of which the mean loss is .2, in one by .1.
    assert lines[0, 1, "before"].effect == pytest.approx(-(0.2 + 0.2 + 0.1) / 3)
    assert lines[0, 1, "just before"].effect == pytest.approx(-(0.2 - 0.1 / 4))
    assert (lines[0, 1, "just before"].orders, lines[0, 1, "just before"].others) == (2, 4)
    assert lines[2, 1, "before"].effect == pytest.approx(0)
    assert len(lines) == 3 * 2 * 2


def test_distances_of_all_orders_of_three_tasks():
    found = kendall_distances(THREE)
    assert (found == found.T).all() and (np.diag(found) == 0).all()
    assert found[0].tolist() == [0, 1, 1, 2, 2, 3]  # from 0 1 2, in lexicographic order


def test_accuracy_against_distance_by_hand():
    # .02 less for every pair of tasks that is the other way round than in 0 1 2
    rows = crossing(
        NAI, lambda order, seed: [0.9 - 0.02 * int(kendall_distances(((0, 1, 2), order))[0, 1])] * 3
    )
    found = stage(rows)
    lines = {one.distance: one for one in analysis.distances(found)}
    assert [lines[far].accuracy for far in range(4)] == pytest.approx([0.9, 0.88, 0.86, 0.84])
    assert [lines[far].orders for far in range(4)] == [1, 2, 2, 1]
    assert sum(one.pairs for one in lines.values()) == 15
    (relation,) = analysis.relations(found)
    assert relation.best == pytest.approx(-1)
    assert relation.similarity is None
    by_order = {one.order: one for one in analysis.order_lines(found)}
    assert (by_order[0, 1, 2].from_best, by_order[0, 1, 2].from_worst) == (0, 3)


def test_accuracy_against_the_likeness_of_neighbours():
    alike = ((1.0, 0.9, 0.1), (0.9, 1.0, 0.5), (0.1, 0.5, 1.0))
    mean = {order: (alike[order[0]][order[1]] + alike[order[1]][order[2]]) / 2 for order in THREE}
    rows = crossing(NAI, lambda order, seed: [mean[order]] * 3)
    asked = Asked("made", (), (), THREE, SEEDS, 12, (Contest("nai", (), top=(suggestion(NAI),)),))
    found = analysis.stages(rows, asked, alike)["confirm"]
    assert analysis.relations(found)[0].similarity == pytest.approx(1)
    assert {one.order: one.similarity for one in analysis.order_lines(found)} == pytest.approx(mean)


def test_rank_correlation_by_hand():
    assert correlation(np.array([1.0, 2, 3]), np.array([1.0, 9, 4])) == pytest.approx(0.5)
    assert correlation(np.array([1.0, 2, 3]), np.array([4.0, 4, 4])) is None


# --- trade, importance, cost ---


def test_front_of_stability_and_plasticity():
    def forgets(value, loss):
        return [[0.5, 0.5], [value, 0.5], [value - loss, value]]

    arms = {1.0: (0.9, 0.3), 2.0: (0.8, 0.1), 3.0: (0.8, 0.2)}
    rows = [row(settings("nai", strength=s), (0, 1), (0, 0), test=forgets(*both)) for s, both in arms.items()]
    lines = analysis.tradeoff(stage(rows, ((0, 1),), ((0, 0),)))
    found = {one.label: (one.plasticity, one.stability, one.front) for one in lines}
    assert found == {
        "nai strength=1": (pytest.approx(0.9), pytest.approx(0.7), 1),
        "nai strength=2": (pytest.approx(0.8), pytest.approx(0.9), 1),
        "nai strength=3": (pytest.approx(0.8), pytest.approx(0.8), 2),
    }


def test_importance_for_the_mean_and_for_the_worst_differ():
    rng, rows, names = np.random.default_rng(0), [], []
    for _ in range(24):
        strength, rate = rng.uniform(0, 1, 2)
        chosen = settings("nai", strength=float(strength), rate=float(rate))
        names.append(suggestion(chosen))
        spread = 0.2 * rate  # one order loses what another wins
        for order, value in (
            ((0, 1), 0.5 + 0.1 * strength + spread),
            ((1, 0), 0.5 + 0.1 * strength - spread),
        ):
            rows.append(row(chosen, order, (0, 0), valid=flat(value)))
    asked = Asked("made", ((0, 1), (1, 0)), ((0, 0),), (), (), 80, (Contest("nai", tuple(names)),))
    (sheet,) = analysis.sheets(rows, asked, ["importance"])
    found = {line["setting"]: (line["mean"], line["worst"]) for line in sheet.lines}
    assert found["method.strength"][0] > 0.9 > found["method.rate"][0] + 0.7
    assert found["method.rate"][1] > 0.6 > found["method.strength"][1]
    assert sum(both[0] for both in found.values()) == pytest.approx(1)
    assert [line["suggestions"] for line in sheet.lines] == [24, 24]


def test_failures_are_counted_by_cause():
    def final(order, seed):
        return None if order[0] == 2 else by_place(order, seed)

    found = stage(crossing(NAI, final)[:-1])
    (line,) = analysis.failures(found)
    assert (line.cause, line.failed, line.asked, line.missing, line.order) == (
        "diverged",
        3,
        12,
        1,
        (2, 0, 1),
    )
    (cost,) = analysis.costs(found)
    assert (cost.runs, cost.missing, cost.failed, cost.seconds) == (11, 1, 3, pytest.approx(5.5))


# --- records that measure no task before it is learnt ---


def test_what_was_not_measured_before_it_was_learnt_may_be_no_number():
    nan = math.nan
    known = row(NAI, (1, 0), (0, 0), test=[[nan, nan], [nan, 0.9], [0.8, 0.7]])
    assert accuracy(known, "test") is not None
    assert accuracy(known | {"test": [[nan, nan], [nan, 0.9], [0.8, nan]]}, "test") is None
    (line,) = analysis.summaries(stage([known], ((1, 0),), ((0, 0),)))
    assert (line.mean, line.forgetting, line.failed) == (pytest.approx(0.75), pytest.approx(0.2), 0)
