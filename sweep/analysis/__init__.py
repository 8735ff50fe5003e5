"""From record rows to tables and a verdict: pure functions that know numpy and nothing that trains."""

from sweep.analysis.arms import Arm, Crossing, Order, Row, Seed, accuracy, arms, crossing, labels
from sweep.analysis.asked import Asked, Contest, Hunt, Protocol
from sweep.analysis.goals import Goal, aggregate, by_order, fronts
from sweep.analysis.hunts import Found, hunted
from sweep.analysis.intervals import crossed_half_width, least_half_width, needed_orders, orders_for_tail
from sweep.analysis.ranking import Point, Ranked, ranking, strength_curve
from sweep.analysis.results import plain, results, write_json
from sweep.analysis.tables import ArmSummary, Paired, final_averages, paired, summarise, summary
from sweep.analysis.verdict import Verdict, verdict

__all__ = [
    "Arm",
    "ArmSummary",
    "Asked",
    "Contest",
    "Crossing",
    "Found",
    "Goal",
    "Hunt",
    "Order",
    "Paired",
    "Point",
    "Protocol",
    "Ranked",
    "Row",
    "Seed",
    "Verdict",
    "accuracy",
    "aggregate",
    "arms",
    "by_order",
    "crossed_half_width",
    "crossing",
    "final_averages",
    "fronts",
    "hunted",
    "labels",
    "least_half_width",
    "needed_orders",
    "orders_for_tail",
    "paired",
    "plain",
    "ranking",
    "results",
    "strength_curve",
    "summarise",
    "summary",
    "verdict",
    "write_json",
]
