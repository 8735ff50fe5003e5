"""The search: which settings are tried next, and which are stopped early. Optuna is kept in `study`."""

from sweep.asked import Suggestion
from sweep.search.judge import Judge
from sweep.search.suggester import Suggester

__all__ = ["Judge", "Suggester", "Suggestion"]
