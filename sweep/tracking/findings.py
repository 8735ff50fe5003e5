"""What a sweep found, as its MLflow runs say it: made from results.json alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFIRMED = (
    *("mean", "std", "worst", "best", "cvar", "aopd", "mopd"),
    *("forgetting", "learning_accuracy", "backward_transfer"),
)
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Findings:
    """The verdict, numbers of the sweep and of each suggestion, and the files that belong to it.

    stages: by fingerprint the stage that asked for a run first, of every run that the sweep consists of.
    """

    stages: Mapping[str, str]
    verdict: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    suggestions: Mapping[str, Figures] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    largest: bool = True
    """Whether a larger objective is better."""
    files: Sequence[Path] = ()

    @classmethod
    def of(cls, results: Mapping[str, Any], stages: Mapping[str, str], files: Sequence[Path]) -> "Findings":
        """What results.json says."""
        lines = [*results["search"], *results["table"]]
        found = searched(results)
        for name, figures in confirmed(results).items():
            found[name] = found.get(name, {}) | figures
        return cls(
            stages=stages,
            verdict=results["verdict"],
            summary=summary(results),
            suggestions=found,
            labels={line["suggestion"]: line["label"] for line in lines},
            largest=results["goals"][0]["direction"] > 0,
            files=files,
        )

    @property
    def order_by(self) -> str:
        """The metric that suggestions are sorted by: the objective, or the mean if nothing was searched."""
        searched = any("objective" in figures for figures in self.suggestions.values())
        return "objective" if searched else "confirm/mean"

    @property
    def ranked(self) -> list[str]:
        """Suggestions that have that metric, best first."""
        key, way = self.order_by, -1 if self.largest else 1
        known = {name: figures[key] for name, figures in self.suggestions.items() if key in figures}
        return sorted(known, key=lambda name: (way * known[name], name))


def searched(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The goals of each suggestion on validation data, over the search orders that it had."""
    found = {}
    for line in results["search"]:
        goals = dict(zip(("objective", "objective_2"), line["values"] or (), strict=False))
        figures = {f"search/{name}": line[name] for name in ("mean", "worst", "orders", "seeds")}
        found[line["suggestion"]] = real(goals | figures)
    return found


def confirmed(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Test figures of each confirmed suggestion, its mean with the ends of the 95 % interval."""
    found = {}
    for line in results["table"]:
        figures = {name: line[name] for name in (*CONFIRMED, "orders", "seeds")}
        if line["half"] is not None:
            figures |= {"mean_low": line["mean"] - line["half"], "mean_high": line["mean"] + line["half"]}
        found[line["suggestion"]] = {f"confirm/{name}": v for name, v in real(figures).items()}
    return found


def summary(results: Mapping[str, Any]) -> dict[str, Any]:
    """Progress, and the best of all in numbers and by name."""
    found: dict[str, Any] = {k: results[k] for k in ("done", "failed", "expected", "complete")}
    best = next((line for line in results["table"] if line["role"] == "best"), None)
    if best:
        names = ("mean", "worst", "std", "aopd", "mopd", "forgetting")
        found |= {f"best_{name}": best[name] for name in names if best[name] is not None}
        found |= {"best": best["label"], "best_suggestion": best["suggestion"]}
    return found


def real(figures: Mapping[str, Any]) -> dict[str, float]:
    """Those that are there."""
    return {name: float(value) for name, value in figures.items() if value is not None}
