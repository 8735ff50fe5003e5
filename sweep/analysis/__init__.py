"""From record rows to tables and a verdict: pure functions that know numpy and nothing that trains."""

from sweep.analysis.arms import Arm, Crossing, Order, Row, Seed, arms, crossing
from sweep.analysis.intervals import crossed_half_width
from sweep.analysis.ranking import Goal, Point, Ranked, ranking, strength_curve
from sweep.analysis.results import Asked, plain, results, selection, write_json
from sweep.analysis.tables import ArmSummary, Paired, paired, summarise, summary
from sweep.analysis.verdict import Verdict, verdict

__all__ = [
    "Arm",
    "ArmSummary",
    "Asked",
    "Crossing",
    "Goal",
    "Order",
    "Paired",
    "Point",
    "Ranked",
    "Row",
    "Seed",
    "Verdict",
    "arms",
    "crossed_half_width",
    "crossing",
    "paired",
    "plain",
    "ranking",
    "results",
    "selection",
    "strength_curve",
    "summarise",
    "summary",
    "verdict",
    "write_json",
]
