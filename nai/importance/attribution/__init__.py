"""Attribution: how much each hidden neuron contributes to an output, summed over a task or alone."""

from nai.importance.attribution.answer import Attribution, attribute
from nai.importance.attribution.measures import COMPLETE, MEASURES, PATHS
from nai.importance.attribution.question import Measure, Question, View
from nai.importance.attribution.task import BASELINES, TARGETS, Asked, attribution_statistics

__all__ = [
    "BASELINES",
    "COMPLETE",
    "MEASURES",
    "PATHS",
    "TARGETS",
    "Asked",
    "Attribution",
    "Measure",
    "Question",
    "View",
    "attribute",
    "attribution_statistics",
]
