"""Why runs fail: causes in three classes, each with the way out. Knows nothing but words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["deterministic", "transient", "environment"]
"""deterministic: it would fail again, and is a row. transient: done again. environment: the sweep waits."""
ALIKE = 3
"""Runs that, the first of all and failing in one way, end a sweep: the others would fail, too."""


class Cause(NamedTuple):
    """A cause, its class, and the way out."""

    name: str
    kind: Kind
    hint: str


DIVERGED = Cause(
    "diverged", "deterministic", "take a smaller training.rate, or less of the method's strength"
)
MEMORY = Cause(
    "out of memory",
    "deterministic",
    "take a smaller training.batch or model, or give a worker more (resources.memory, resources.gpus)",
)
CODE = Cause(
    "raised",
    "deterministic",
    "mend the method, model or benchmark that raises it, and take another --out: code is not in fingerprints",
)
LOST = Cause(
    "worker lost",
    "transient",
    "the same command tries them again; too little memory is the usual reason (resources.memory)",
)
MACHINE = Cause("machine", "environment", "mend it and run the same command again: all on record is safe")


class AlikeError(Exception):
    """The first runs of a sweep all failed in one way."""


def cause(error: str) -> Cause:
    """What the error of a row is an instance of."""
    for known in (DIVERGED, MEMORY):
        if error.startswith(known.name):
            return known
    return CODE


def failures(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Failed rows by their error, the most frequent first: runs, cause, class, hint and the error itself.

    Divergence and lack of memory say where they struck; of each, one error stands for all.
    """
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for error in sorted(str(row["error"]) for row in rows if row["error"] is not None):
        found = cause(error)
        name = error if found is CODE else found.name
        first.setdefault(name, error)
        count[name] += 1
    return [
        {"runs": runs, "error": first[name], **cause(first[name])._asdict()}
        for name, runs in sorted(count.items(), key=lambda one: (-one[1], one[0]))
    ]


@dataclass
class Beginning:
    """Whether all runs so far failed in one way; a single sound one, or a second way, settles it.

    Divergence does not count: it depends on what is searched.
    """

    settled: bool = False
    errors: list[str] = field(default_factory=list)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows that came in; AlikeError when they, and all before, failed in one way."""
        found = [row["error"] for row in rows]
        self.errors += [error for error in found if error is not None and cause(error) is not DIVERGED]
        self.settled = self.settled or None in found or len(set(self.errors)) > 1
        if not self.settled and len(self.errors) >= ALIKE:
            raise AlikeError(
                f"the first {len(self.errors)} runs all failed in one way, so no more were started:\n"
                f"  {self.errors[0]}\n{cause(self.errors[0]).hint}"
            )
