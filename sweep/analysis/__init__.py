"""From record rows to tables and a verdict: pure functions that know numpy and nothing that trains."""

from sweep.analysis.agreement import Agreement, agreement
from sweep.analysis.arms import Arm, Crossing, Order, Row, Seed, accuracy, arms, crossing, labels
from sweep.analysis.asked import Asked, Contest, Hunt, Protocol
from sweep.analysis.components import Components, components
from sweep.analysis.costs import Cost, Failure, costs, failures
from sweep.analysis.distances import Distance, OrderLine, Relation, distances, order_lines, relations
from sweep.analysis.goals import Goal, aggregate, by_order, fronts
from sweep.analysis.holds import Holds
from sweep.analysis.hunts import Found, hunted
from sweep.analysis.influence import Influence, influences
from sweep.analysis.intervals import crossed_half_width, least_half_width, needed_orders, orders_for_tail
from sweep.analysis.positions import Position, Predecessor, positions, predecessors
from sweep.analysis.ranking import Point, Ranked, ranking, strength_curve
from sweep.analysis.results import plain, results, write_json
from sweep.analysis.seed_lines import SeedLine, seed_lines
from sweep.analysis.stages import Similarity, Stage, stages
from sweep.analysis.study import OVERVIEW, TABLES, Sheet, pairs, sheets, summaries
from sweep.analysis.tables import ArmSummary, Paired, all_pairs, final_averages, paired, summarise, summary
from sweep.analysis.task_lines import TaskLine, task_lines
from sweep.analysis.tradeoff import Tradeoff, tradeoff
from sweep.analysis.verdict import Verdict, verdict

__all__ = [
    "OVERVIEW",
    "TABLES",
    "Agreement",
    "Arm",
    "ArmSummary",
    "Asked",
    "Components",
    "Contest",
    "Cost",
    "Crossing",
    "Distance",
    "Failure",
    "Found",
    "Goal",
    "Holds",
    "Hunt",
    "Influence",
    "Order",
    "OrderLine",
    "Paired",
    "Point",
    "Position",
    "Predecessor",
    "Protocol",
    "Ranked",
    "Relation",
    "Row",
    "Seed",
    "SeedLine",
    "Sheet",
    "Similarity",
    "Stage",
    "TaskLine",
    "Tradeoff",
    "Verdict",
    "accuracy",
    "aggregate",
    "agreement",
    "all_pairs",
    "arms",
    "by_order",
    "components",
    "costs",
    "crossed_half_width",
    "crossing",
    "distances",
    "failures",
    "final_averages",
    "fronts",
    "hunted",
    "influences",
    "labels",
    "least_half_width",
    "needed_orders",
    "order_lines",
    "orders_for_tail",
    "paired",
    "pairs",
    "plain",
    "positions",
    "predecessors",
    "ranking",
    "relations",
    "results",
    "seed_lines",
    "sheets",
    "stages",
    "strength_curve",
    "summaries",
    "summarise",
    "summary",
    "task_lines",
    "tradeoff",
    "verdict",
    "write_json",
]
