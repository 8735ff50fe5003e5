import itertools
import json
import math
import random
import time
from dataclasses import replace

import numpy as np
import pytest
from made_rows import flat, row, runs, settings, suggestion

from sweep import analysis
from sweep.analysis.intervals import crossed_half_width, order_share, unseen_worse

ORDERS = ((0, 1), (1, 0))
SEEDS = ((0, 0), (1, 1))
NAI, FINETUNE = settings("nai", strength=0.5), settings("finetune")
EIGHT = tuple(itertools.islice(itertools.permutations(range(4)), 0, 24, 3))
OTHERS = tuple(itertools.islice(itertools.permutations(range(4)), 1, 24, 3))


def crossing(chosen, values, orders=ORDERS, seeds=SEEDS):
    """Rows whose average test accuracies are `values` [orders, seeds]; None is a failed run."""
    return [
        row(chosen, order, seed, test=flat(value, len(order)))
        if value is not None
        else row(chosen, order, seed, error="diverged: loss is nan")
        for order, line in zip(orders, values, strict=True)
        for seed, value in zip(seeds, line, strict=True)
    ]


def only(rows, orders=ORDERS, seeds=SEEDS):
    (found,) = analysis.summary(rows, orders, seeds)
    return found


STRENGTHS = {0.01: 0.05, 0.1: 0.01, 1.0: 0.03}  # with what they lose of a task for each task after it
NAIS = {strength: settings("nai", strength=strength) for strength in STRENGTHS}


def nais(*top, stopped=()):
    """The contest of the strengths; top: those that are confirmed, stopped: dropped after three orders."""
    names = {strength: suggestion(one) for strength, one in NAIS.items()}
    gone = {names[strength]: 3 for strength in stopped}
    return analysis.Contest("nai", tuple(names.values()), gone, tuple(names[strength] for strength in top))


def asked(**given):
    plain = analysis.Asked("made", EIGHT, ((0, 0),), OTHERS, SEEDS, expected=56, contests=(nais(0.1),))
    return replace(plain, **{"baselines": (suggestion(FINETUNE),), **given})


def paired(rows, ours, theirs, orders=ORDERS, seeds=SEEDS):
    arms = {arm.suggestion: arm for arm in analysis.arms(rows)}
    return analysis.paired(arms[suggestion(ours)], arms[suggestion(theirs)], orders, seeds)


def sweep():
    """Three strengths on the search orders, the best and finetuning on the report orders: 24 + 32 runs."""
    searched = [runs(NAIS[strength], EIGHT, ((0, 0),), loss=loss) for strength, loss in STRENGTHS.items()]
    confirmed = [runs(NAIS[0.1], OTHERS, SEEDS, loss=0.01), runs(FINETUNE, OTHERS, SEEDS, loss=0.08, salt=1)]
    return [one for part in searched + confirmed for one in part]


# --- arms ---


def test_arms_share_settings_and_are_told_apart_by_what_differs_between_them():
    chosen = [
        settings("nai", strength=0.2134, normalization="neuron_std", anchor="last"),
        settings("nai", strength=1.0, normalization="layer_mean", anchor="last"),
        FINETUNE,
    ]
    rows = [made for one in chosen for made in crossing(one, [[0.5, 0.5], [0.5, 0.5]])]
    labels = {arm.suggestion: arm.label for arm in analysis.arms(rows)}
    assert [labels[suggestion(one)] for one in chosen] == [
        "nai strength=0.213 neuron_std",
        "nai strength=1 layer_mean",
        "finetune",
    ]


def test_arms_that_round_to_one_label_carry_their_suggestion():
    rows = [row(settings("nai", strength=value), (0, 1), (0, 0), test=flat(0.5)) for value in (0.1, 0.10001)]
    labels = [arm.label for arm in analysis.arms(rows)]
    assert len(set(labels)) == 2
    assert all(f"({arm.suggestion[:4]})" in arm.label for arm in analysis.arms(rows))


# --- summary ---


def test_summary_of_a_crossing_done_by_hand():
    found = only(crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]))
    assert (found.orders, found.seeds, found.missing, found.failed) == (2, 2, 0, 0)
    assert found.mean == pytest.approx(0.75)
    assert found.std == pytest.approx(0.2 / math.sqrt(2))  # seed averages 0.85 and 0.65
    assert (found.worst, found.worst_order) == (pytest.approx(0.65), (1, 0))
    assert (found.best, found.best_order) == (pytest.approx(0.85), (0, 1))
    assert found.cvar == pytest.approx(0.65)
    assert (found.aopd, found.mopd, found.disparity) == (pytest.approx(0.2),) * 3
    assert (found.forgetting, found.backward_transfer) == (pytest.approx(0), pytest.approx(0))
    assert found.learning_accuracy == pytest.approx(0.75)
    assert found.unseen_worse == 0  # both of the 2! orders were run


def test_order_statistics_are_of_seed_averages():
    found = only(crossing(NAI, [[0.9, 0.5], [0.5, 0.9]]))
    assert (found.std, found.aopd, found.mopd) == (pytest.approx(0),) * 3
    assert found.worst == pytest.approx(0.7)


def test_summary_takes_exactly_the_orders_and_seeds_asked_for():
    rows = crossing(NAI, [[0.9, 0.1], [0.7, 0.1]])
    found = only(rows, orders=((1, 0),), seeds=((0, 0),))
    assert (found.mean, found.orders, found.seeds) == (pytest.approx(0.7), 1, 1)


@pytest.mark.parametrize(
    ("orders", "seeds", "why"),
    [(ORDERS, SEEDS[:1], "orders only, this seed"), (ORDERS[:1], SEEDS, "one order, no interval")],
)
def test_no_interval_without_two_orders_and_two_seeds(orders, seeds, why):
    found = only(crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]), orders, seeds)
    assert (found.half, found.interval) == (None, why)


def test_failed_and_missing_runs_are_counted_and_leave_the_largest_full_crossing():
    orders = ((0, 1, 2), (1, 0, 2), (2, 1, 0))
    rows = crossing(NAI, [[0.9, 0.8], [0.6, None], [0.5, 0.4]], orders)[:-1]
    found = only(rows, orders)
    assert (found.failed, found.missing) == (1, 1)
    assert (found.orders, found.seeds) == (3, 1)  # 3 x 1 runs are more than 1 x 2
    assert found.mean == pytest.approx(2 / 3)


def test_a_run_whose_accuracy_is_no_number_has_failed():
    rows = crossing(NAI, [[0.9, math.nan], [0.6, 0.7]])
    found = only(rows)
    assert (found.failed, found.missing, found.orders * found.seeds) == (1, 0, 2)


def test_an_arm_without_a_complete_run_is_in_the_table_with_its_counts():
    found = only(crossing(NAI, [[None, None], [None, None]]))
    assert (found.mean, found.failed, found.orders, found.seeds) == (None, 4, 0, 0)


# --- intervals ---


def test_crossed_half_width_by_hand():
    # Deviations: orders .1, seeds 0, rest .05: MS_order = 2(.02) = .04, MS_seed = 0, MS_rest = 4(.0025) = .01
    values = np.array([[0.9, 0.8], [0.6, 0.7]])
    parts = np.array([0.5 * 0.04, 0, -0.5 * 0.01]) / 4  # 2 of 4 orders seen: factor 1/2
    freedom = max(1.0, parts.sum() ** 2 / (parts**2).sum())
    assert freedom == 1  # t quantile 12.706
    assert crossed_half_width(values, population=4) == pytest.approx(
        12.7062 * math.sqrt(parts.sum()), rel=1e-5
    )


def test_all_orders_run_leave_the_seeds_alone_uncertain():
    values = np.array([[0.9, 0.8, 0.7], [0.7, 0.6, 0.5]])
    # Seed means .8, .7, .6 have standard error .1 / sqrt(3); two degrees of freedom give t = 4.30265.
    assert crossed_half_width(values, population=2) == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)


def test_no_interval_is_narrower_than_the_seeds_alone_make_it():
    # MS_order = MS_seed = .0025 and MS_rest = .2025, so the parts sum to less than 0 and the seeds decide.
    values = np.array([[0.9, 0.5], [0.4, 0.9]])
    assert crossed_half_width(values, population=100) == pytest.approx(
        12.7062 * math.sqrt(0.0025 / 4), rel=1e-5
    )


def test_equal_runs_have_no_width():
    assert crossed_half_width(np.full((3, 2), 0.5), population=6) == 0


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    population = -rng.gamma(2, 1, 120)
    hits = 0
    for _ in range(600):
        picked = rng.choice(120, 20, replace=False)
        values = population[picked, None] + rng.normal(0, 0.7, 4) + rng.normal(0, 1, (20, 4))
        hits += abs(values.mean() - population.mean()) <= crossed_half_width(values, 120)
    assert 0.91 <= hits / 600 <= 0.99


def test_order_share_is_one_without_chance_and_none_with_chance_alone():
    by_order = np.array([0.9, 0.5, 0.7])
    assert order_share(np.stack([by_order, by_order], 1)) == pytest.approx(1)
    assert order_share(np.array([[0.9, 0.5], [0.5, 0.9]])) == 0
    assert order_share(np.array([[0.9], [0.5]])) is None


@pytest.mark.parametrize(("sample", "worse"), [(13, 24), (26, 12), (47, 6), (114, 1)])
def test_unseen_worse_orders_of_120(sample, worse):
    # With 13 of 120 orders one of any 24 worse ones is met 95 times in 100; with one order fewer it is not.
    assert unseen_worse(sample, 120) <= worse / 120 < unseen_worse(sample - 1, 120)


def test_unseen_worse_of_very_many_orders_is_that_of_endless_ones():
    assert unseen_worse(59, math.factorial(20)) == pytest.approx(1 - 0.05 ** (1 / 59))


# --- pairs ---


def test_paired_difference_by_hand():
    rows = crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]) + crossing(FINETUNE, [[0.7, 0.7], [0.7, 0.8]])
    found = paired(rows, NAI, FINETUNE)
    gain = np.array([[0.2, 0.1], [-0.1, -0.1]])
    assert (found.mean, found.won) == (pytest.approx(0.025), 0.5)
    assert found.half == pytest.approx(crossed_half_width(gain, 2))
    assert (found.orders, found.seeds) == (2, 2)


def test_a_tied_order_is_half_won():
    rows = crossing(NAI, [[0.9, 0.5], [0.6, 0.7]]) + crossing(FINETUNE, [[0.5, 0.9], [0.5, 0.6]])
    found = paired(rows, NAI, FINETUNE)
    assert found.won == 0.75


def test_pairs_use_the_runs_that_both_have():
    rows = crossing(NAI, [[0.9, 0.8], [None, None]]) + crossing(FINETUNE, [[0.5, 0.6], [0.1, 0.1]])
    found = paired(rows, NAI, FINETUNE)
    assert (found.mean, found.won, found.orders, found.seeds) == (pytest.approx(0.3), 1.0, 1, 2)


def test_a_pair_turned_round_says_the_same():
    rows = crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]) + crossing(FINETUNE, [[0.7, 0.7], [0.7, 0.8]])
    one, other = paired(rows, NAI, FINETUNE), paired(rows, FINETUNE, NAI)
    assert one.turned().mean == pytest.approx(other.mean)
    assert one.turned().half == pytest.approx(other.half)
    assert replace(one.turned(), mean=other.mean, half=other.half) == other


def test_a_pair_without_common_runs_has_no_figures():
    rows = crossing(NAI, [[0.9, 0.8], [None, None]]) + crossing(FINETUNE, [[None, None], [0.1, 0.1]])
    found = paired(rows, NAI, FINETUNE)
    assert (found.mean, found.orders, found.seeds) == (None, 0, 0)


# --- the search ---


def ranking(rows, *goals, orders=ORDERS, **given):
    return analysis.ranking(
        analysis.arms(rows), orders, ((0, 0),), goals=goals or (analysis.Goal(),), **given
    )


def curve(rows, orders=ORDERS, seeds=((0, 0),)):
    group = analysis.arms(rows)
    return analysis.strength_curve(analysis.ranking(group, orders, seeds), group)


def tried(values, error=None):
    """One search run a strength and order on validation data; values [strengths, orders]."""
    return [
        row(settings("nai", strength=10.0**power), order, (0, 0), valid=flat(value))
        for power, line in enumerate(values)
        for order, value in zip(ORDERS, line, strict=True)
        if value is not None
    ]


def test_ranking_follows_the_goal():
    rows = tried([[0.9, 0.5], [0.65, 0.65]])
    mean = ranking(rows)
    worst = ranking(rows, analysis.Goal(aggregate="worst"))
    assert [one.value for one in mean] == [pytest.approx(0.7), pytest.approx(0.65)]
    assert [one.value for one in worst] == [pytest.approx(0.65), pytest.approx(0.5)]
    assert mean[0].suggestion == worst[1].suggestion


def test_ranking_puts_least_forgetting_first():
    forgets = [[0.5, 0.5], [0.9, 0.5], [0.5, 0.9]]
    rows = [
        row(settings("nai", strength=1.0), (0, 1), (0, 0), valid=forgets),
        row(settings("nai", strength=2.0), (0, 1), (0, 0), valid=flat(0.5)),
    ]
    found = ranking(rows, analysis.Goal(metric="forgetting"), orders=ORDERS[:1])
    assert [one.value for one in found] == [pytest.approx(0), pytest.approx(0.4)]


def test_a_suggestion_without_all_its_orders_has_no_value_and_comes_last():
    first, last = ranking(tried([[0.99, None], [0.6, 0.6]]))
    assert (first.value, last.value) == (pytest.approx(0.6), None)
    assert (last.mean, last.orders, last.missing) == (pytest.approx(0.99), 1, 1)


def test_strength_curve_gives_mean_and_worst_on_validation_data():
    points = curve(tried([[0.9, 0.5], [0.65, 0.65]]))
    assert [(point.setting, point.at) for point in points] == [
        ("method.strength", 1),
        ("method.strength", 10),
    ]
    assert [point.mean for point in points] == [pytest.approx(0.7), pytest.approx(0.65)]
    assert [point.worst for point in points] == [pytest.approx(0.5), pytest.approx(0.65)]


def test_strength_curve_takes_any_searched_number_and_keeps_choices_apart():
    rows = [
        row(settings("ewc", rate=rate, anchor=anchor), (0, 1), (0, 0), valid=flat(0.5))
        for rate in (0.1, 0.2)
        for anchor in ("last", "mean")
    ]
    points = curve(rows, ORDERS[:1])
    assert [(point.setting, point.at, point.choices) for point in points] == [
        ("method.rate", 0.1, "anchor last"),
        ("method.rate", 0.2, "anchor last"),
        ("method.rate", 0.1, "anchor mean"),
        ("method.rate", 0.2, "anchor mean"),
    ]


def test_no_curve_where_no_number_was_searched():
    assert curve(crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]), ORDERS, SEEDS) == ()


# --- verdict ---


def judged(ours, theirs, **given):
    rows = crossing(NAI, ours) + crossing(FINETUNE, theirs)
    best, baseline = (only([one for one in rows if one["method"] == name]) for name in ("nai", "finetune"))
    pair = paired(rows, NAI, FINETUNE)
    return analysis.verdict(best, [baseline], [pair], **given)


def test_verdict_says_what_was_gained():
    found = judged([[0.9, 0.9], [0.8, 0.8]], [[0.6, 0.6], [0.5, 0.5]])
    assert found.sentence == (
        "nai reaches 85.00 % ± 0.00 on average over 2 orders and 2 seeds, and 80.00 % in the worst order; "
        "that is 30.00 ± 0.00 points above finetune, better in 100 % of the orders; "
        "the order moves a task's final accuracy by 10.00 points on average (AOPD) and by up to 10.00 (MOPD) "
        "over 2 orders, finetune: 10.00 and 10.00."
    )
    assert found.cautions == ()


def test_verdict_says_when_the_method_loses():
    assert "it loses to finetune by 30.00 ± 0.00 points, better in 0 % of the orders" in (
        judged([[0.6, 0.6], [0.5, 0.5]], [[0.9, 0.9], [0.8, 0.8]]).sentence
    )


def test_verdict_does_not_call_chance_a_gain():
    assert "a difference that these runs cannot tell from none" in (
        judged([[0.9, 0.5], [0.9, 0.5]], [[0.6, 0.7], [0.6, 0.7]]).sentence
    )


def test_verdict_warns_of_shared_orders_one_seed_seed_noise_and_failures():
    shared = judged(
        [[0.9, 0.9], [0.8, 0.8]], [[0.6, 0.6], [0.5, 0.5]], search_orders=ORDERS[:1], confirm_orders=ORDERS
    )
    assert shared.cautions == (
        "Search and confirmation share 1 order: settings are judged on orders that chose them.",
    )
    one_seed = analysis.verdict(only(crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]), seeds=SEEDS[:1]))
    assert one_seed.cautions == (
        "One seed only: the figures hold for this seed, there is no interval over seeds.",
    )
    noise = analysis.verdict(only(crossing(NAI, [[0.9, 0.5], [0.5, 0.9]])))
    assert noise.cautions == (
        "The order explains only 0 % of the variance of nai: its AOPD is mostly seed noise.",
    )
    broken = analysis.verdict(only(crossing(NAI, [[0.9, 0.8], [0.6, None]])))
    assert "nai: 1 run failed and 0 not on record; its figures use 1 order × 2 seeds." in broken.cautions


def test_verdict_names_a_second_baseline_that_is_ahead():
    rows = crossing(NAI, [[0.9, 0.8], [0.6, 0.7]])
    best = only(rows)
    ahead = replace(only(rows), suggestion="ewc", label="ewc")
    pair = analysis.Paired(best.suggestion, "ewc", 2, 2, -0.02, 0.01, "", 0.0)
    level = replace(pair, baseline="finetune", mean=0.0)
    baselines = [replace(ahead, suggestion="finetune", label="finetune"), ahead]
    said = analysis.verdict(best, baselines, [level, pair]).cautions[-1]
    assert said == "ewc is 2.00 ± 1.00 points above it on the same orders and seeds."
    noise = analysis.verdict(best, baselines, [level, replace(pair, half=0.03)]).cautions[-1]
    assert (
        noise == "ewc is 2.00 ± 3.00 points above it on the same orders and seeds, which is within the noise."
    )


def test_verdict_on_one_order_is_silent_on_the_order():
    found = analysis.verdict(only(crossing(NAI, [[0.9, 0.8], [0.6, 0.7]]), ORDERS[:1]))
    sentence = "nai reaches 85.00 % on average over 1 order and 2 seeds, and 85.00 % in the worst order."
    assert found.sentence == sentence
    assert found.cautions == ("One order only: nothing here says how much the order matters.",)


def test_verdict_before_there_is_one():
    assert analysis.verdict(None).sentence.startswith("No suggestion has all its search runs on record yet")
    unjudged = replace(only(crossing(NAI, [[None] * 2] * 2)), label="nai")
    assert analysis.verdict(unjudged).sentence.startswith(
        "nai leads the search, but there is no run on test data"
    )


# --- results ---


def test_results_choose_on_validation_and_judge_on_confirm_orders():
    found = analysis.results(sweep(), asked())
    assert (found["complete"], found["done"], found["failed"]) == (True, 56, 0)
    assert found["best"]["settings"]["method"] == {"name": "nai", "strength": 0.1}
    assert [(one["label"], one["role"], one["orders"], one["seeds"]) for one in found["table"]] == [
        ("nai strength=0.1", "best", 8, 2),
        ("finetune", "baseline", 8, 2),
    ]
    assert found["selection"] == "validation accuracy (mean) over 8 search orders: oracle tuning"
    assert found["verdict"].startswith("nai strength=0.1 (oracle tuning) reaches ")
    assert [one["tuning"] for one in found["table"]] == ["oracle tuning", None]
    assert len(found["search"]) == len(found["curve"]) == 3
    assert found["cautions"] == []


def test_without_confirmation_the_leader_of_the_search_is_named_and_not_judged():
    rows = [one for one in sweep() if one["suggestion"] != suggestion(FINETUNE)]
    question = asked(confirm_orders=(), confirm_seeds=(), expected=24, baselines=(), contests=(nais(),))
    found = analysis.results(rows, question)
    assert found["verdict"] == (
        "nai strength=0.1 leads the search by validation accuracy (mean) over 8 search orders: "
        "oracle tuning; nothing is confirmed on test data."
    )
    assert (found["table"], found["cautions"], found["best"]["label"]) == ([], [], "nai strength=0.1")


def test_equal_records_give_equal_bytes_in_whatever_order_and_time():
    rows = sweep()
    moved = [one | {"finished": 9.0, "seconds": 3.0, "width": 7} for one in rows]
    random.Random(0).shuffle(moved)
    first, second = (analysis.write_json(analysis.results(some, asked())) for some in (rows, moved))
    assert first == second


def test_results_are_json_without_nan():
    one_task = [row(NAI, (0,), (0, 0), valid=[[0.5], [0.9]], test=[[0.5], [0.9]])]
    only = analysis.Contest("nai", (suggestion(NAI),), {}, (suggestion(NAI),))
    found = analysis.results(
        one_task, analysis.Asked("made", ((0,),), ((0, 0),), ((0,),), ((0, 0),), expected=1, contests=(only,))
    )
    (line,) = json.loads(analysis.write_json(found))["table"]
    assert (line["mean"], line["forgetting"], line["aopd"]) == (0.9, None, None)


def test_results_count_what_is_not_done_and_what_failed():
    rows = [one for one in sweep() if one["suggestion"] == suggestion(FINETUNE)]
    rows[0] |= {"test": None, "error": "diverged: loss is inf"}
    found = analysis.results(rows, asked())
    assert (found["complete"], found["done"], found["failed"], found["expected"]) == (False, 15, 1, 56)
    assert (found["table"][0]["failed"], found["best"]) == (1, None)


def test_results_of_nothing():
    found = analysis.results([], asked())
    assert (found["done"], found["complete"], found["table"], found["best"]) == (0, False, [], None)


def test_thousands_of_rows_are_analysed_in_a_moment():
    chosen = [settings("nai", strength=float(strength)) for strength in range(1, 201)]
    made = [
        row(one, order, (0, 0), valid=flat(0.5, 4), test=flat(0.5, 4)) for one in chosen for order in EIGHT
    ]
    names = tuple(map(suggestion, chosen))
    contest = analysis.Contest("nai", names, {}, names[:1])
    started = time.process_time()
    found = analysis.results(made, asked(contests=(contest,), baselines=()))
    assert time.process_time() - started < 2.0  # it takes a tenth of that
    assert len(found["search"]) == 200
