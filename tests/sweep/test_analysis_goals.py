"""Goals of a search, one or two, and the contests of several methods: by hand."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from made_rows import flat, row, runs, settings, suggestion

from nai import metrics
from sweep import analysis

ORDERS = ((0, 1), (1, 0))
SEED = ((0, 0),)
SEEDS = ((0, 0), (1, 1))
NAI = {strength: settings("nai", strength=strength) for strength in (0.1, 1.0, 10.0)}
EWC = {strength: settings("ewc", strength=strength) for strength in (5.0, 50.0)}
FINETUNE = settings("finetune")


def tried(chosen, values, orders=ORDERS, seeds=SEED):
    """Search and test rows whose average accuracy is the same in all seeds; values by order."""
    return [
        row(chosen, order, seed, valid=flat(value), test=flat(value))
        for order, value in zip(orders, values, strict=True)
        for seed in seeds
    ]


def ranking(rows, *goals, **given):
    return analysis.ranking(analysis.arms(rows), ORDERS, SEED, goals=goals, **given)


# --- goals ---

MATRICES = np.array(  # [orders, seeds, tasks + 1, tasks]
    [
        [[[0.5, 0.5], [0.8, 0.5], [0.6, 0.9]], [[0.5, 0.5], [1.0, 0.5], [0.8, 0.7]]],
        [[[0.5, 0.5], [0.5, 0.7], [0.9, 0.5]], [[0.5, 0.5], [0.5, 0.9], [0.9, 0.3]]],
    ]
)


def test_a_goal_over_any_of_the_orders_by_hand():
    # Accuracy by order .75 and .65; final by task .7, .8 and .9, .4.
    def value(name, **options):
        return analysis.aggregate(analysis.Goal(aggregate=name, options=options), MATRICES, ORDERS)

    assert value("mean") == pytest.approx(0.7)
    assert value("worst") == value("cvar", share=0.5) == pytest.approx(0.65)
    assert value("mean_minus_std", weight=2.0) == pytest.approx(0.7 - 0.2 / math.sqrt(2))
    assert value("mean_minus_aopd", weight=1.0) == pytest.approx(0.4)
    assert value("mopd") == pytest.approx(0.4)
    one = analysis.aggregate(analysis.Goal(), MATRICES[1:], ORDERS[1:])
    assert one == pytest.approx(0.65)
    assert analysis.by_order(analysis.Goal(), MATRICES, ORDERS) == pytest.approx([0.75, 0.65])


@pytest.mark.parametrize("metric", metrics.METRICS)
@pytest.mark.parametrize("aggregate", metrics.AGGREGATES)
def test_every_goal_has_a_direction_and_words(metric, aggregate):
    goal = analysis.Goal(metric, aggregate)
    assert goal.direction == metrics.direction(metric, aggregate)
    assert goal.words.endswith(")")


# --- Pareto fronts ---


def test_fronts_by_hand():
    #         accuracy, spread (small is good)
    points = [(0.9, 0.3), (0.8, 0.1), (0.8, 0.2), (0.7, 0.1), (0.6, 0.4)]
    # (.8, .2) and (.7, .1) lose to (.8, .1) alone; (.6, .4) to all but (.7, .1) with its better spread, too.
    assert analysis.fronts(points, (+1, -1)) == [1, 1, 2, 2, 3]


def test_equal_points_share_a_front():
    assert analysis.fronts([(0.5, 0.5), (0.5, 0.5)], (+1, +1)) == [1, 1]
    assert analysis.fronts([], (+1, +1)) == []


@pytest.mark.parametrize("number", range(5))
def test_each_front_is_what_nothing_left_beats(number):
    points = np.random.default_rng(number).integers(0, 6, (40, 2))
    found, left = analysis.fronts(points.tolist(), (+1, -1)), set(range(len(points)))
    gains = points * (+1, -1)
    for front in range(1, max(found) + 1):
        beaten = {
            i
            for i, j in itertools.permutations(left, 2)
            if (gains[j] >= gains[i]).all() and (gains[j] > gains[i]).any()
        }
        assert {i for i, one in enumerate(found) if one == front} == left - beaten
        left = beaten
    assert not left


def test_two_goals_rank_front_by_front_and_the_first_goal_within():
    both = analysis.Goal(), analysis.Goal(aggregate="std")
    rows = [
        *tried(NAI[0.1], (0.9, 0.5)),  # mean .7, spread wide
        *tried(NAI[1.0], (0.6, 0.6)),  # mean .6, no spread
        *tried(NAI[10.0], (0.64, 0.54)),  # mean .59, some spread: the one before is better
    ]
    found = ranking(rows, *both)
    assert [one.settings["method"]["strength"] for one in found] == [0.1, 1.0, 10.0]
    assert [one.front for one in found] == [1, 1, 2]
    assert [one.values for one in found][1] == pytest.approx((0.6, 0.0))


# --- stopped early ---


def test_a_suggestion_that_was_dropped_has_no_value_whatever_is_on_record():
    rows = [*tried(NAI[0.1], (0.9, 0.9)), *tried(NAI[1.0], (0.5, 0.5)), *tried(NAI[10.0], (0.8,), ORDERS[:1])]
    dropped = {suggestion(NAI[0.1]): 1, suggestion(NAI[10.0]): 1}
    found = ranking(rows, analysis.Goal(), stopped=dropped)
    assert found[0].suggestion == suggestion(NAI[1.0])
    assert [one.value for one in found[1:]] == [None, None]
    assert {one.suggestion: one.stopped for one in found[1:]} == dropped


# --- contests ---


def question(**given):
    plain = analysis.Asked(
        "made",
        search_orders=ORDERS[:1],
        search_seeds=SEED,
        confirm_orders=ORDERS[1:],
        confirm_seeds=SEEDS,
        expected=11,
        contests=(
            analysis.Contest("nai", tuple(map(suggestion, NAI.values())), {}, (suggestion(NAI[1.0]),)),
            analysis.Contest("ewc", tuple(map(suggestion, EWC.values())), {}, (suggestion(EWC[5.0]),)),
        ),
        baselines=(suggestion(FINETUNE),),
    )
    return replace(plain, **given)


def study(nai=0.8, ewc=0.7):
    """The best of two methods, with these accuracies in all runs, and finetuning at .5."""
    rows = [one for chosen in NAI.values() for one in tried(chosen, (nai - 0.1,), ORDERS[:1])]
    rows += [one for chosen in EWC.values() for one in tried(chosen, (ewc - 0.1,), ORDERS[:1])]
    rows = [one for one in rows if one["suggestion"] not in (suggestion(NAI[1.0]), suggestion(EWC[5.0]))]
    rows += [*tried(NAI[1.0], (nai,), ORDERS[:1]), *tried(EWC[5.0], (ewc,), ORDERS[:1])]
    for chosen, value in ((NAI[1.0], nai), (EWC[5.0], ewc), (FINETUNE, 0.5)):
        rows += tried(chosen, (value,), ORDERS[1:], SEEDS)
    return rows


def test_each_method_has_its_best_in_the_table_the_best_of_all_first():
    found = analysis.results(study(), question())
    assert [(one["method"], one["role"], one["place"], one["of"]) for one in found["table"]] == [
        ("nai", "best", 1, 3),
        ("ewc", "best", 1, 2),
        ("finetune", "baseline", 1, None),
    ]
    assert [(one["method"], one["ranked"], one["best"]) for one in found["contests"]] == [
        ("nai", 3, suggestion(NAI[1.0])),
        ("ewc", 2, suggestion(EWC[5.0])),
    ]
    turned = analysis.results(study(nai=0.7, ewc=0.8), question())
    assert [one["method"] for one in turned["table"]] == ["ewc", "nai", "finetune"]
    assert turned["best"]["suggestion"] == suggestion(EWC[5.0])


def test_suggestions_are_ranked_within_their_contest():
    found = analysis.results(study(nai=0.7, ewc=0.8), question())
    assert [one["method"] for one in found["search"]] == ["nai"] * 3 + ["ewc"] * 2
    assert found["search"][0]["suggestion"] == suggestion(NAI[1.0])
    assert found["search"][3]["suggestion"] == suggestion(EWC[5.0])
    assert set(found["searched"]) == {"nai", "ewc"}


def test_confirmed_arms_are_paired_with_the_first_of_all_and_with_the_baselines():
    found = analysis.results(study(), question())
    names = {suggestion(NAI[1.0]): "nai", suggestion(EWC[5.0]): "ewc", suggestion(FINETUNE): "finetune"}
    differences = {
        (names[pair["suggestion"]], names[pair["baseline"]]): pair["mean"] for pair in found["paired"]
    }
    assert differences == {
        ("nai", "finetune"): pytest.approx(0.3),
        ("ewc", "finetune"): pytest.approx(0.2),
        ("ewc", "nai"): pytest.approx(-0.1),
    }


def test_without_a_baseline_the_verdict_compares_with_the_best_of_the_next_method():
    rows = [one for one in study() if one["method"] != "finetune"]
    found = analysis.results(rows, question(baselines=()))
    assert "that is 10.00 points above ewc strength=5" in found["verdict"]


def test_what_the_rungs_saved_is_told():
    assert analysis.results(study(), question(saved=(200, 50)))["saved"] == {
        "full": 200,
        "ran": 50,
        "share": 0.75,
    }
    assert analysis.results(study(), question())["saved"] is None


def test_tuning_on_the_whole_sequence_is_called_by_its_name():
    assert question().selection == "validation accuracy (mean) over 1 search order: oracle tuning"
    first = question(protocol="first_tasks", tasks=3)
    assert first.selection == (
        "validation accuracy (mean) over the first 3 tasks of 1 search order: tuned on the first 3 tasks"
    )


def test_settings_chosen_within_each_run_need_no_search():
    tuned = (
        analysis.Contest("nai", (), top=(suggestion(NAI[1.0]),)),
        analysis.Contest("ewc", (), top=(suggestion(EWC[5.0]),)),
    )
    asked = question(protocol="continual", contests=tuned, search_orders=(), search_seeds=())
    found = analysis.results(study(), asked)
    assert [one["method"] for one in found["table"]] == ["nai", "ewc", "finetune"]
    assert found["verdict"].startswith("nai strength=1 (tuned task by task) reaches ")
    assert found["selection"] == (
        "validation accuracy on each task as it comes, its data alone: tuned task by task"
    )
    assert (found["best"], found["search"], found["curve"]) == (None, [], [])
    assert "oracle" not in analysis.write_json(found)


def test_orders_that_end_early_judge_the_search_alone():
    # Of three tasks: searched over (2, 0) and (1, 2) alone, confirmed over whole orders.
    early, whole = ((2, 0), (1, 2)), ((0, 1, 2), (1, 0, 2))
    matrices = [[[0.5] * 3, [0.5, 0.5, 0.9], [0.8, 0.1, 0.6]], [[0.5] * 3, [0.5, 0.8, 0.5], [0.1, 0.6, 1.0]]]
    rows = [row(NAI[1.0], order, (0, 0), valid=one) for order, one in zip(early, matrices, strict=True)]
    rows += runs(NAI[1.0], whole, SEEDS, loss=0.01)
    only = analysis.Contest("nai", (suggestion(NAI[1.0]),), {}, (suggestion(NAI[1.0]),))
    found = analysis.results(
        rows,
        question(
            search_orders=early, confirm_orders=whole, contests=(only,), protocol="first_tasks", tasks=2
        ),
    )
    assert found["best"]["value"] == pytest.approx((0.7 + 0.8) / 2)
    assert (found["table"][0]["orders"], found["table"][0]["seeds"]) == (2, 2)
