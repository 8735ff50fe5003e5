"""A study made from arithmetic: three strengths searched, the best and finetuning confirmed, and its page."""

import itertools
from dataclasses import replace

from made_rows import runs, settings, suggestion

from sweep import analysis, report

EVIL = "</script><script>alert(1)</script>"
SEEDS = ((0, 0), (1, 1))
EVERY = tuple(itertools.permutations(range(4)))
SEARCH, CONFIRM = EVERY[:6], EVERY[6:18]
FINETUNE = settings("finetune")
TASKS = ("zero & one", "two", "three", "four")
STRENGTHS = {0.01: 0.05, 0.1: 0.01, 1.0: 0.03}


def made(word="neuron_std"):
    """Three strengths over the search orders, then the best of them and finetuning over the report orders."""
    nais = {strength: settings("nai", strength=strength, normalization=word) for strength in STRENGTHS}
    rows = [
        one
        for strength, loss in STRENGTHS.items()
        for one in runs(nais[strength], SEARCH, SEEDS[:1], loss=loss)
    ]
    return (
        rows + runs(nais[0.1], CONFIRM, SEEDS, loss=0.01) + runs(FINETUNE, CONFIRM, SEEDS, loss=0.08, salt=1)
    )


def found(rows, sweep="made", expected=66, baselines=(FINETUNE,), seeds=SEEDS):
    return analysis.results(rows, asked(rows, sweep, expected, baselines, seeds))


def asked(rows, sweep="made", expected=66, baselines=(FINETUNE,), seeds=SEEDS, **given):
    """The question of one contest, that of all suggestions with a run on a search order."""
    names = tuple(suggestion(one) for one in baselines)
    made = [one["suggestion"] for one in sorted(rows, key=lambda row: row["fingerprint"])]
    searched = {one["suggestion"] for one in rows if tuple(one["order"]) in SEARCH} - set(names)
    tried = tuple(name for name in dict.fromkeys(made) if name in searched)
    whole = [name for name in tried if made.count(name) > len(SEARCH)]
    plain = analysis.Asked(
        sweep,
        SEARCH,
        SEEDS[:1],
        CONFIRM,
        seeds,
        expected=expected,
        baselines=names,
        contests=(analysis.Contest("nai", tried, {}, tuple(whole)),) if tried else (),
    )
    return replace(plain, **given)


def page(rows, facts=None, **given):
    return report.render(
        found(rows, **given), rows, facts or report.PageFacts("nai-sweep run made.toml", tasks=TASKS)
    )
