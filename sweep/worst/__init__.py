"""The worst (or best) order of one suggestion, found by training a fraction of the order tree."""

from sweep.worst.evidence import Evidence, evidence
from sweep.worst.hunt import STRATEGIES, Found, Hunt, enumeration, usual_budget
from sweep.worst.similarity import extremes, survival

__all__ = [
    "STRATEGIES",
    "Evidence",
    "Found",
    "Hunt",
    "enumeration",
    "evidence",
    "extremes",
    "survival",
    "usual_budget",
]
