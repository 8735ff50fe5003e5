"""Laws of the hunt for the worst order: it replays, pays what the tree costs, and finds what it should."""

import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from nai.orders import all_orders, kendall_distance, latin, sampled
from sweep import record
from sweep.analysis.intervals import unseen_worse
from sweep.search_orders import decoded, encoded, suggested
from sweep.worst import STRATEGIES, Hunt, enumeration, evidence, extremes, ridge, survival, usual_budget
from sweep.worst.evidence import beyond_share
from sweep.worst.neighbours import neighbours

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"
OWN = ("surrogate", "tree", "random")  # Optuna's are slow: they get the small budgets


def made_up(tasks, seed, *, noise=0.02, predecessors=0.03):
    """Answers [its tasks + 1, tasks] with effects of position and predecessor, and chance by prefix."""
    chance = np.random.default_rng([tasks, seed])
    position = chance.normal(0, 0.03, (tasks, tasks))
    predecessor = chance.normal(0, predecessors, (tasks + 1, tasks)) if predecessors else None

    def answer(order):
        rows = np.full((len(order) + 1, tasks), 0.5)
        for done in range(1, len(order) + 1):
            luck = random.Random(f"{seed}/{order[:done]}")
            for place, task in enumerate(order[:done]):
                effect = position[task, place] + luck.gauss(0, noise)
                if predecessor is not None:
                    effect += predecessor[order[place - 1] if place else tasks, task]
                rows[done, task] = np.clip(0.75 + effect, 0, 1)
        return rows

    return answer


def hunted(hunt, answer):
    """The batches of a hunt that is answered to its end, checked for what holds at every step."""
    batches = []
    while orders := hunt.ask():
        batches.append(orders)
        for order in orders:
            hunt.tell(order, answer(order))
        assert hunt.cost <= hunt.budget
    assert hunt.finished and hunt.ask() == ()
    return batches


def prefixes(orders):
    return {order[:done] for order in orders for done in range(1, len(order) + 1)}


@pytest.mark.parametrize(("tasks", "trainings"), [(1, 1), (2, 4), (3, 15), (4, 64), (5, 325)])
def test_enumeration_counts_every_prefix(tasks, trainings):
    assert enumeration(tasks) == trainings == len(prefixes(all_orders(tasks)))


@pytest.mark.parametrize(
    ("tasks", "budget"), [(2, 4), (3, 9), (4, 25), (5, 130), (6, 180), (7, 245), (10, 500)]
)
def test_usual_budget_is_two_fifths_of_the_enumeration_or_five_latin_squares(tasks, budget):
    assert usual_budget(tasks) == budget == Hunt(tasks).budget


@pytest.mark.parametrize("strategy", OWN)
@pytest.mark.parametrize("batch", [1, 3])
def test_cost_is_the_tree_s_and_no_order_comes_twice(strategy, batch):
    hunt = Hunt(5, strategy=strategy, batch=batch, seed=1)
    asked = [order for orders in hunted(hunt, made_up(5, 0)) for order in orders]
    assert hunt.cost == len(prefixes(asked)) <= 130
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_whole_enumeration_in_the_budget_is_enumerated(strategy):
    hunt = Hunt(3, budget=15, strategy=strategy)
    hunted(hunt, answer := made_up(3, 0))
    values = {order: answer(order)[-1].mean() for order in all_orders(3)}
    assert [found.order for found in hunt.found] == sorted(values, key=values.__getitem__)
    assert {found.order: found.value for found in hunt.found} == pytest.approx(values)
    assert hunt.cost == 15


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_answers_give_the_same_questions_in_any_succession_of_a_batch(strategy):
    answer, first = made_up(4, 0), Hunt(4, strategy=strategy, batch=3, seed=5)
    batches, again = hunted(first, answer), Hunt(4, strategy=strategy, batch=3, seed=5)
    for orders in batches:
        assert again.ask() == orders
        for order in reversed(orders):
            again.tell(order, answer(order))
    assert again.found == first.found


def test_what_is_not_told_is_asked_again():
    hunt = Hunt(4, batch=4)
    first, *others = hunt.ask()
    hunt.tell(first, made_up(4, 0)(first))
    assert hunt.ask() == tuple(others)


@pytest.mark.parametrize("strategy", OWN)
def test_the_best_is_the_worst_of_the_mirrored_accuracies(strategy):
    answer = made_up(5, 3)
    worst, best = (Hunt(5, strategy=strategy, direction=way) for way in ("worst", "best"))
    assert hunted(worst, answer) == hunted(best, lambda order: 1 - answer(order))
    assert [f.order for f in worst.found] == [f.order for f in best.found]
    assert [f.value for f in worst.found] == pytest.approx([1 - f.value for f in best.found])


def test_the_worst_of_a_metric_that_is_better_small_is_its_largest():
    hunt = Hunt(4, metric="forgetting", budget=64)
    hunted(hunt, made_up(4, 0))
    values = [found.value for found in hunt.found]
    assert len(values) == 24 and values == sorted(values, reverse=True)


@pytest.mark.parametrize("predecessors", [0, 0.03])
@pytest.mark.parametrize("seed", range(6))
def test_without_noise_an_additive_model_gives_its_very_worst(seed, predecessors):
    answer = made_up(5, seed, noise=0, predecessors=predecessors)
    hunt = Hunt(5, seed=seed)
    hunted(hunt, answer)
    assert hunt.found[0].order == min(all_orders(5), key=lambda order: answer(order)[-1].mean())


@pytest.mark.parametrize("strategy", ["surrogate", "tree"])
@pytest.mark.parametrize("tasks", [6, 8])
def test_beyond_five_tasks_a_hunt_beats_random_orders_of_equal_cost(strategy, tasks):
    gains = []
    for seed in range(2):
        answer = made_up(tasks, seed)
        found = []
        for way in (strategy, "random"):
            hunted(hunt := Hunt(tasks, strategy=way, seed=seed), answer)
            found.append(hunt.found[0].value)
        spread = np.std([answer(order)[-1].mean() for order in sampled(tasks, 200, 99)])
        gains.append((found[1] - found[0]) / spread)
    assert np.mean(gains) > 0.3


def enumerated(method):
    """All 120 orders by seed: test matrices of the tuned method of a study."""
    found = {}
    for row in record.read(STUDIES / f"digits_{method}" / "records").rows:
        if row["method"] == method and json.loads(row["settings"])["method"].get("strength") != 0:
            key = row["suggestion"], row["seed_init"]
            found.setdefault(key, {})[tuple(row["order"])] = np.array(row["test"])
    return [matrices for matrices in found.values() if len(matrices) == 120]


def test_the_hunt_ends_within_the_three_worst_of_the_enumerated_digits_in_nine_of_ten_cases():
    cases = [(m, sign) for name in ("nai", "si", "mas") for m in enumerated(name) for sign in (1, -1)]
    hits = []
    for number, (matrices, sign) in enumerate(cases):
        hunt = Hunt(5, direction="worst" if sign == 1 else "best", seed=number)
        hunted(hunt, matrices.__getitem__)
        third = sorted(sign * matrix[-1].mean() for matrix in matrices.values())[2]
        hits.append(sign * hunt.found[0].value <= third)
    assert len(hits) == 18 and np.mean(hits) >= 0.9


def test_a_failed_order_is_paid_but_neither_ranked_nor_asked_again():
    answer, hunt = made_up(4, 0), Hunt(4, budget=64)
    asked = hunted(hunt, lambda order: None if order[0] == 2 else answer(order))
    assert set(hunt.failed) == {o for o in all_orders(4) if o[0] == 2}
    assert len(hunt.found) == 18 and len(list(itertools.chain(*asked))) == 24 and hunt.cost == 64


def test_a_hunt_in_which_everything_fails_comes_to_its_end():
    hunt = Hunt(4)
    hunted(hunt, lambda order: None)
    assert hunt.found == () and hunt.failed


def test_known_orders_inform_for_nothing_and_are_not_asked():
    answer = made_up(5, 1)
    known = {order: answer(order) for order in latin(5, 10, 7)}
    hunt = Hunt(5, known=known)
    assert len(hunt.found) == 10 and hunt.cost == 0 and len(hunt.ask()) == 3
    asked = {order for orders in hunted(hunt, answer) for order in orders}
    assert not asked & known.keys()


def test_a_hunt_that_knows_all_orders_asks_for_none():
    hunt = Hunt(3, known={order: made_up(3, 0)(order) for order in all_orders(3)})
    assert hunt.ask() == () and hunt.finished and len(hunt.found) == 6


def test_a_batch_is_as_wide_as_asked_once_something_is_known():
    hunt = Hunt(5, batch=2)
    assert [len(orders) for orders in hunted(hunt, made_up(5, 0))][:3] == [5, 2, 2]


def test_prefixes_of_one_node_are_paid_once_and_bring_nothing_new():
    hunt = Hunt(4, budget=64, node=lambda done: tuple(sorted(done)))
    hunted(hunt, made_up(4, 0))
    assert hunt.cost == 15  # sets of four tasks, but the empty one


def test_the_tree_asks_for_partial_orders_and_goes_on_where_they_are_worst():
    value = {(0,): 0.9, (1,): 0.2, (2,): 0.9}
    hunt = Hunt(3, strategy="tree", batch=1)
    assert hunt.ask() == ((0,), (1,), (2,))
    for order in hunt.ask():
        hunt.tell(order, [[0.5] * 3, [value[order]] * 3])
    assert hunt.ask() == ((1, 0),)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tasks": 1}, "tasks 1"),
        ({"tasks": 5, "budget": 4}, "budget 4"),
        ({"tasks": 5, "batch": 0}, "batch 0"),
        ({"tasks": 5, "direction": "down"}, "worst, best"),
        ({"tasks": 5, "strategy": "luck"}, "surrogate, tree"),
        ({"tasks": 5, "metric": "speed"}, "average_accuracy"),
        ({"tasks": 3, "similarity": [[1.0]]}, "does not fit 3 tasks"),
        ({"tasks": 2, "similarity": [[1, math.nan], [0, 1]]}, "not finite"),
        ({"tasks": 3, "known": {(0, 0, 1): np.zeros((4, 3))}}, "not a permutation"),
    ],
)
def test_a_value_outside_its_rule_is_named(values, words):
    with pytest.raises(ValueError, match=words):
        Hunt(**values)


def test_a_telling_that_does_not_fit_is_named():
    hunt = Hunt(3)
    order = hunt.ask()[0]
    with pytest.raises(ValueError, match="expected \\(4, 3\\)"):
        hunt.tell(order, np.zeros((3, 3)))
    hunt.tell(order, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="not asked for"):
        hunt.tell(order, np.zeros((4, 3)))


def features(order):
    """A slow, explicit list of what an order is made of, in the weights of `ridge.kinship`."""
    tasks, pairs = len(order), list(itertools.permutations(sorted(order), 2))
    found = {("pair", a, b): len(pairs) / 2 for a, b in pairs if order.index(a) < order.index(b)}
    found |= {("at", place, task): tasks for place, task in enumerate(order)}
    found |= {("begins", *order[:k]): tasks - 1 for k in range(1, tasks)}
    found |= {("ends", *order[-k:]): tasks - 1 for k in range(1, tasks)}
    return {feature: (1 / (4 * count)) ** 0.5 for feature, count in found.items()}


def test_kinship_is_the_product_of_what_orders_are_made_of():
    orders = all_orders(4)
    made = [features(order) for order in orders]
    products = [[sum(a[f] * b[f] for f in a.keys() & b.keys()) for b in made] for a in made]
    assert ridge.kinship(np.array(orders), np.array(orders)) == pytest.approx(np.array(products))


def test_the_guess_is_that_of_a_ridge_over_the_features():
    seen, new = sampled(4, 9, 0), sampled(4, 14, 0)[9:]
    names = sorted({str(f) for order in all_orders(4) for f in features(order)})
    table = {o: [{str(k): v for k, v in features(o).items()}.get(n, 0) for n in names] for o in seen + new}
    values = np.random.default_rng(0).normal(0.9, 0.05, len(seen))
    x, y = np.array([table[o] for o in seen]), (values - values.mean()) / values.std()
    weights = np.linalg.solve(x.T @ x + ridge.NOISE * np.eye(len(names)), x.T @ y)
    guess = ridge.fit(dict(zip(seen, values, strict=True)), ())(new, 0.0)
    assert guess == pytest.approx([float(np.array(table[o]) @ weights) for o in new], abs=1e-7)


def test_an_order_that_is_pending_leaves_the_guess_and_takes_the_doubt():
    scores = dict(zip(sampled(4, 5, 0), (0.1, 0.5, 0.3, 0.9, 0.2), strict=True))
    new = sampled(4, 6, 0)[5]
    before, after = ridge.fit(scores, ()), ridge.fit(scores, [new])
    assert before([new], 0.0) == after([new], 0.0)
    assert before([new], 0.0)[0] - before([new], 1.0)[0] > 0.3
    assert after([new], 0.0)[0] - after([new], 1.0)[0] < 0.2


def test_similarity_orders_the_opening_and_enters_the_guess():
    similarity = [[0, 9, 1, 5], [9, 0, 8, 2], [1, 8, 0, 7], [5, 2, 7, 0]]
    unlike, like = extremes(tuple(map(tuple, similarity)))
    assert unlike == (3, 1, 2, 0)  # least sum 14; then 2, 8 over 9, and what is left
    assert like == (1, 0, 3, 2)  # largest sum 19; then 9, 5 over 1, and what is left
    assert Hunt(4, similarity=similarity).ask()[:2] == (unlike, like)
    scores = {o: -float(ridge.neighbourly(np.array([o]), similarity)[0]) for o in sampled(4, 8, 0)}
    guess = ridge.fit(scores, (), similarity)([like, unlike], 0.0)
    assert guess[0] < guess[1]


def test_survival_is_the_mean_change_of_what_was_learnt():
    forwards = [[0.5, 0.5], [0.9, 0.5], [0.7, 0.8]]  # task 0 falls by .2 while task 1 is trained
    again = [[0.5, 0.5], [0.8, 0.5], [0.7, 0.9]]  # and by .1
    backwards = [[0.5, 0.5], [0.5, 0.9], [0.9, 0.5]]  # task 1 falls by .4 while task 0 is trained
    found = survival({(0, 1): forwards, (1, 0): backwards})
    assert (found[0, 1], found[1, 0]) == pytest.approx((-0.2, -0.4))
    assert survival({(0, 1): again})[1, 0] == pytest.approx(-0.1)  # no order shows it: the mean of the others


def test_neighbours_are_the_moves_and_exchanges():
    moved = set(neighbours((0, 1, 2, 3)))
    exchanged = {o for o in all_orders(4) if sum(a != b for a, b in zip(o, (0, 1, 2, 3), strict=True)) == 2}
    assert exchanged < moved and (1, 2, 3, 0) in moved and (1, 0, 3, 2) not in moved
    assert all(sorted(order) == [0, 1, 2, 3] for order in moved)


@pytest.mark.parametrize("code", ["keys", "lehmer"])
def test_numbers_of_an_order_decode_to_it(code):
    assert [decoded(encoded(order, code), code) for order in all_orders(4)] == list(all_orders(4))


@pytest.mark.parametrize("code", ["keys", "lehmer"])
def test_optuna_leans_to_orders_like_those_that_scored_least(code):
    goal = (4, 2, 0, 3, 1)
    scores = {order: float(kendall_distance(order, goal)) for order in sampled(5, 60, 0)}
    draws = [next(suggested(scores, code=code, tasks=5, address=f"0/{n}")) for n in range(20)]
    assert np.mean([kendall_distance(order, goal) for order in draws]) < 4  # of random orders: 5


@pytest.mark.parametrize("drawn", [1, 5, 24, 59])
def test_an_order_beyond_all_random_ones_is_bounded_as_their_worst_is(drawn):
    assert beyond_share(0, drawn, 120) == unseen_worse(drawn, 120)


def test_the_bound_covers_at_its_level():
    """Whatever number of orders is beyond the value, at most one sample in twenty puts the bound too low."""
    population, drawn = 24, 8
    for marked in range(population + 1):
        chance = [
            math.comb(marked, hits) * math.comb(population - marked, drawn - hits)
            for hits in range(drawn + 1)
        ]
        low = sum(
            ways
            for hits, ways in enumerate(chance)
            if ways and beyond_share(hits, drawn, population) * population <= marked
        )
        assert low / math.comb(population, drawn) <= 0.05 + 1e-12


def test_evidence_counts_what_lies_beyond():
    worst = evidence(0.5, [0.6, 0.4, 0.9], tasks=5)
    assert (worst.random, worst.more_extreme, worst.random_value) == (3, 1, 0.4)
    best = evidence(0.95, [0.6, 0.4, 0.9], tasks=5, direction="best")
    assert (best.more_extreme, best.random_value) == (0, 0.9)
    most = evidence(0.3, [0.1, 0.2], tasks=5, metric="forgetting")
    assert (most.more_extreme, most.random_value) == (0, 0.2)
    whole = evidence(0.0, [n / 6 for n in range(6)], tasks=3)
    assert whole.share == 1 / 6  # fewer than one of six, which is none


def test_evidence_without_random_orders_is_refused():
    with pytest.raises(ValueError, match="0 random orders of 120"):
        evidence(0.5, [], tasks=5)
