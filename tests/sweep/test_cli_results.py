"""The table of results on a terminal: the best of each method, the baselines, what was saved and hunted."""

import io
import itertools
import re

import pytest
from made_rows import runs, settings, suggestion
from rich.console import Console

from sweep import analysis, cli_show

EVERY = tuple(itertools.permutations(range(3)))
SEARCH, CONFIRM, SEEDS = EVERY[:2], EVERY[2:], ((0, 0), (1, 1))
NAI = [settings("nai", strength=strength) for strength in (0.1, 1.0)]
EWC, FINETUNE = settings("ewc", strength=5.0), settings("finetune")


def found(**given):
    losses = [(NAI[0], 0.01), (NAI[1], 0.02), (EWC, 0.03), (FINETUNE, 0.1)]
    rows = [one for chosen, loss in losses for one in runs(chosen, SEARCH, SEEDS[:1], loss=loss)]
    rows += [one for chosen, loss in losses for one in runs(chosen, CONFIRM, SEEDS, loss=loss)]
    names = tuple(map(suggestion, NAI))
    contests = (
        analysis.Contest("nai", names, {}, names),
        analysis.Contest("ewc", (suggestion(EWC),), {}, (suggestion(EWC),)),
    )
    asked = analysis.Asked(
        "made", SEARCH, SEEDS[:1], CONFIRM, SEEDS, 40, contests, (suggestion(FINETUNE),), **given
    )
    return analysis.results(rows, asked)


def shown(results, width=110):
    to = io.StringIO()
    cli_show.results(Console(file=to, width=width), results)
    return to.getvalue()


@pytest.mark.parametrize("width", [60, 110])
def test_one_entry_for_the_best_of_each_method_and_each_baseline(width):
    text = shown(found(), width)
    assert [text.count(name) > 0 for name in ("nai strength=0.1", "ewc", "finetune")] == [True] * 3
    assert "nai strength=1" not in text  # second best: in results.json and on the page
    assert len(re.findall(r"best \w{6}, oracle tuning", text)) == 2
    assert len(re.findall(r"baseline \w{6}", text)) == 1


def test_what_was_saved_and_hunted_is_said():
    hunt = analysis.Hunt(suggestion(NAI[0]), SEEDS[0], True, CONFIRM, 20, 9, reference=CONFIRM[:2])
    results = found(saved=(40, 10), hunts=(hunt,))
    text = " ".join(shown(results, 300).split())
    assert "The rules saved 30 of 40 runs of the full grid, 75.00 %." in text
    (one,) = results["hunts"]
    order = " ".join(map(str, one["order"]))
    assert f"Worst order found for nai strength=0.1: {100 * one['value']:.2f} % ({order})" in text
    assert f", rank {one['rank']} of all;" in text
