"""MLflow as a view of the records: a run for the sweep, one a suggestion, below that one an order and seeds.

The records are the truth and MLflow is derived from them, so writing it is a projection: a run is known by
its tags, the same rows written twice change nothing, and what a crash left half written is written anew.
"""

from sweep.tracking.findings import Findings
from sweep.tracking.page import TRAINING
from sweep.tracking.place import OWNER, SETTINGS, Place, destination
from sweep.tracking.writer import Tracker, sync

__all__ = ["OWNER", "SETTINGS", "TRAINING", "Findings", "Place", "Tracker", "destination", "sync"]
