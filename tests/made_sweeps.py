"""Sweeps of every kind whose rows are made from arithmetic, and what carries them out without training."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import made_rows
import numpy as np

from sweep.agenda import Agenda, Past
from sweep.analysis import results, write_json
from sweep.hunting import Request
from sweep.jobs import Identity
from sweep.space import loads
from sweep.standing import relevant

TASKS = 5
NAI = """\
[method]
name = "nai"
strength = {low = 0.01, high = 10.0, log = true}
"""
BOTH = """\
[[method]]
name = "nai"
strength = {low = 0.01, high = 10.0, log = true}
[[method]]
name = "ewc"
strength = {low = 0.01, high = 10.0, log = true}
"""
SPACE = """\
name = "made"
[benchmark]
name = "split"
dataset = "digits"
classes = 2
[model]
name = "mlp"
METHOD[orders]
design = "random"
count = 8
OBJECTIVE[search]
sampler = "random"
suggestions = 8
ahead = 3
[confirm]
baselines = ["finetune"]
top = 2
[confirm.orders]
design = "random"
count = 4
seed = 1
[confirm.seeds]
init = [0, 1]
data = [0, 1]
"""
PAIR = """\
[[objective]]
aggregate = "mean"
[[objective]]
aggregate = "std"
"""
RUNGS = ("search.rungs=[3, 5]", "search.level=0.3")
RULES = {
    "race": RUNGS,
    "asha": ("search.rungs=[1, 3]", "search.stopping='asha'", "search.eta=2"),
    "median": ("search.rungs=[2, 4]", "search.stopping='median'", "search.suggestions=14"),
    "hyperband": ("search.rungs=[1, 3]", "search.stopping='hyperband'", "search.eta=2"),
    "percentile": ("search.rungs=[2, 4]", "search.stopping='percentile'", "search.suggestions=14"),
    "wilcoxon": ("search.rungs=[4, 6]", "search.stopping='wilcoxon'", "search.level=0.3"),
}


@dataclass(frozen=True)
class Kind:
    """A sort of sweep: overrides of the space, its methods and objectives, and hunts."""

    overrides: tuple[str, ...] = ()
    methods: str = NAI
    objective: str = ""
    hunts: int = 0
    confirmed: bool = True

    @cache  # noqa: B019  # there are a score of them
    def space(self, *more: str) -> Any:
        text = SPACE.replace("METHOD", self.methods).replace("OBJECTIVE", self.objective)
        text = text if self.confirmed else text.partition("[confirm]")[0]
        return loads(text, overrides=[*self.overrides, *more])


KINDS = {
    "plain": Kind(),
    "searched": Kind(confirmed=False),
    "tpe": Kind(("search.sampler='tpe'", *RUNGS)),
    **{rule: Kind(overrides) for rule, overrides in RULES.items()},
    "again": Kind(("method.strength={choices=[0.1, 0.3, 0.9]}", *RULES["asha"])),
    "all": Kind(
        (
            "benchmark={name='permuted', dataset='digits', tasks=3}",
            "orders={design='all'}",
            "confirm.orders={design='all'}",
            "search.rungs=[3]",
            "search.level=0.3",
        )
    ),
    "methods": Kind((*RUNGS, "search.budgets={ewc=4}"), methods=BOTH),
    "pair": Kind((RUNGS[0], "search.level=0.6", "search.suggestions=16"), objective=PAIR),
    "first tasks": Kind((*RUNGS, "search.protocol='first_tasks'", "search.tasks=2", "orders.count=12")),
    "continual": Kind(("search.protocol='continual'", "search.suggestions=1", "method.strength=0.3")),
    "tail": Kind(("confirm.until={tail=0.2}",)),
    "width": Kind(("confirm.until={half_width=0.006}", "confirm.seeds={init=[0, 1, 2], data=[0, 1, 2]}")),
    "hunted": Kind((*RUNGS,), hunts=2),
}


def fingerprint(settings: Any, run: Any) -> str:
    return hashlib.sha256(json.dumps([settings, run]).encode()).hexdigest()


def family(settings: Any) -> str:
    """Strengths may share a stack."""
    return made_rows.suggestion(settings | {"method": settings["method"] | {"strength": 0}})


IDENTITY = Identity(made_rows.suggestion, family)
NOTHING = Past()


def fails(settings: Any, run: Any) -> bool:
    """A method that cannot hold neurons strongly in some orders."""
    return bool(settings["method"].get("strength", 0) > 3.0 and run.order[0] < run.order[-1])


def row(settings: Any, run: Any, *, failing: Any = fails, tasks: int = TASKS) -> dict[str, Any]:
    """A result that depends on settings, order and seeds, all of them, and on nothing else."""
    name = fingerprint(settings, run)
    given: dict[str, Any]
    if failing(settings, run):
        given = {"error": "diverged: loss is nan"}
    else:
        strength = settings["method"].get("strength", 5.0)
        noise = np.random.default_rng(int(name[:8], 16))
        hard = np.random.default_rng(list(run.order)).normal(0, 0.02)  # the same for every suggestion
        value = 0.85 - abs(np.log10(strength) + 0.5) / 10 + hard
        lines = value + noise.normal(0, 0.01, (len(run.order) + 1, tasks))
        given = {split: lines.tolist() for split in ("valid", "test")}
    return made_rows.row(settings, run.order, run.seeds, **given) | {"fingerprint": name}


def done(job: Any, **given: Any) -> list[dict[str, Any]]:
    """The rows of a job."""
    return [row(work.arm.settings, run, **given) for work in job.works for run in work.runs]


@dataclass
class Swept:
    """A sweep carried out: its agenda, every run handed out by its fingerprint, in order, and every row."""

    agenda: Agenda
    handed: list[str]
    rows: dict[str, dict[str, Any]] = field(repr=False)
    recorded: dict[str, dict[int, Any]] = field(default_factory=dict)
    fresh: int = 0

    @property
    def past(self) -> Past:
        """What a later call starts from."""
        hunts = tuple(one.request for one in self.agenda.hunts)
        return Past(tuple(self.rows.values()), self.recorded, hunts)

    @property
    def results(self) -> str:
        return write_json(results(relevant(self.rows.values(), asked := self.agenda.asked()), asked))


def carried_out(
    where: Any,
    past: Past = NOTHING,
    *,
    chance: Any = None,
    slots: int = 1,
    grain: int = 1,
    failing: Any = fails,
    most: int | None = None,
) -> Swept:
    """All jobs done one by one, or with `chance` many at once, their rows coming in singly in any order."""
    recorded = {method: dict(some) for method, some in past.suggestions.items()}
    swept = Swept(None, [], {old["fingerprint"]: old for old in past.rows}, recorded)  # type: ignore[arg-type]

    def noted(method: str, suggestion: Any) -> None:
        swept.fresh += suggestion.number not in recorded.get(method, {})
        recorded.setdefault(method, {})[suggestion.number] = suggestion

    agenda = swept.agenda = Agenda(where, IDENTITY, past, slots=slots, grain=grain, noted=noted)
    flying: list[dict[str, Any]] = []
    tasks = where.tasks()
    while len(swept.rows) < (most or 10**9):
        while (chance is None or chance.random() < 0.8) and (job := agenda.next()):
            new = done(job, failing=failing, tasks=tasks)
            swept.handed += [one["fingerprint"] for one in new]
            flying += new
        if not flying and not agenda.waiting:
            break
        if flying:
            count = len(flying) if chance is None else chance.randint(1, len(flying))
            some = [flying.pop(0 if chance is None else chance.randrange(len(flying))) for _ in range(count)]
            swept.rows |= {new["fingerprint"]: new for new in some}
            agenda.put(some)
    return swept


@cache
def whole(kind: str) -> Swept:
    """A sweep of this kind from beginning to end; leave it as it is."""
    one = KINDS[kind]
    return carried_out(one.space(), Past(hunts=hunts(kind)))


@cache
def hunts(kind: str) -> tuple[Request, ...]:
    """One for the leader's worst order, and one for the best order of a suggestion that nobody confirms."""
    if not KINDS[kind].hunts:
        return ()
    asked = carried_out(KINDS[kind].space()).agenda.asked()
    contest = asked.contests[0]
    last = next(one for one in contest.suggestions if one not in contest.top and one not in contest.stopped)
    return (
        Request(contest.top[0], budget=40, random=6),
        Request(last, (7, 8), worst=False, budget=30, random=5, strategy="tree"),
    )
