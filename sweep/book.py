"""The rows of a sweep by what they are about: suggestion, order and seeds."""

from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nai.orders import Order
from sweep.analysis import accuracy
from sweep.jobs import Cell, Seed

Row = dict[str, Any]


def cell_of(row: Row) -> Cell:
    """What a row is about."""
    return Cell(row["suggestion"], tuple(row["order"]), (row["seed_init"], row["seed_data"]))


def replaces(row: Row, held: Row) -> bool:
    """Whether a row counts instead of one of the same cell that is held, in whatever turn they come.

    Where two releases gave results, the later one does; of one release the record has judged already.
    """
    finished = [(one["finished"], one["fingerprint"]) for one in (row, held)]
    return row["fingerprint"] == held["fingerprint"] or finished[0] > finished[1]


def among(rows: Iterable[Row], wanted: Container[Cell]) -> list[Row]:
    """The rows that are about these cells, one each: that which counts."""
    found: dict[Cell, Row] = {}
    for row in rows:
        cell = cell_of(row)
        if cell in wanted and (cell not in found or replaces(row, found[cell])):
            found[cell] = row
    return list(found.values())


class Book:
    """Rows on record, and the cells that are given up for now: their workers died again and again."""

    def __init__(self) -> None:
        self.rows: dict[Cell, Row] = {}
        self.failed: set[Cell] = set()
        self.lost: set[Cell] = set()
        self.matrices: dict[tuple[Cell, str], NDArray[np.float64] | None] = {}

    def put(self, rows: Iterable[Row]) -> None:
        """Take in rows; of the same cell that one stays which counts."""
        for row in rows:
            cell = cell_of(row)
            if cell in self.rows and not replaces(row, self.rows[cell]):
                continue
            self.rows[cell] = row
            self.lost.discard(cell)
            (self.failed.add if row["error"] else self.failed.discard)(cell)
            for split in ("valid", "test"):
                self.matrices.pop((cell, split), None)

    def lacks(self, cell: Cell) -> bool:
        """Whether a run is neither on record nor given up."""
        return cell not in self.rows and cell not in self.lost

    def block(
        self, suggestion: str, orders: Sequence[Order], seeds: Sequence[Seed], *, split: str
    ) -> NDArray[np.float64] | None:
        """Accuracy matrices [orders, seeds, tasks learnt + 1, tasks]; None unless every run has its own."""
        found = [[self._matrix(Cell(suggestion, order, seed), split) for seed in seeds] for order in orders]
        if any(matrix is None for line in found for matrix in line):
            return None
        return np.array(found, dtype=np.float64)

    def _matrix(self, cell: Cell, split: str) -> NDArray[np.float64] | None:
        if (cell, split) not in self.matrices:
            self.matrices[cell, split] = accuracy(self.rows.get(cell), split)
        return self.matrices[cell, split]
