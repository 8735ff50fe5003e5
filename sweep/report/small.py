"""A page of drawings that stays small: ends of long tables go first, then drawings, and the page says so."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from markupsafe import Markup

from sweep.report.sheet import Panel

LIMIT = 1_000_000
"""Bytes of a page."""
KEPT = 20
"""Lines of a table or a list that stay where it is cut."""
CELL = len("<td></td>\n")
NOT_DRAWN = Markup('<p class="note">Not drawn, to keep this page below 1 MB: report.html has this chart.</p>')


class Parts(NamedTuple):
    """What a page is made of: panels, lists of orders, drawings by the names of their charts.

    `left_out`: drawings and tables or lists that are missing or cut.
    """

    panels: Sequence[Panel]
    orders: Mapping[str, Sequence[str]]
    drawn: Mapping[str, Markup]
    left_out: tuple[int, int] = (0, 0)

    @property
    def said(self) -> str:
        """What is left out, in a sentence; nothing where nothing is."""
        counts = zip(
            self.left_out, ("not drawn: {} of the charts", "cut: {} of the tables and lists"), strict=True
        )
        missing = "; ".join(words.format(number) for number, words in counts if number)
        return f"To keep this page below 1 MB some is in report.html alone ({missing})." if missing else ""


class Piece(NamedTuple):
    """What may be left out: about how many bytes that spares, and the parts without it."""

    size: int
    without: Callable[[Parts], Parts]


def fitted(parts: Parts, text: Callable[[Parts], str]) -> str:
    """The page of these parts, without as much as has to go for it to have at most LIMIT bytes."""
    page = text(parts)
    while (excess := len(page.encode()) - LIMIT) > 0:
        pieces = _longest(_cuts(parts)) or _longest(_drawings(parts))
        if not pieces:
            return page
        for piece in pieces:
            if excess <= 0:
                break
            parts, excess = piece.without(parts), excess - piece.size
        page = text(parts)
    return page


def _longest(pieces: Iterator[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda piece: -piece.size)


def _cuts(parts: Parts) -> Iterator[Piece]:
    """Tables and lists of orders that are longer than has to stay."""
    for place, panel in enumerate(parts.panels):
        if panel.table and len(panel.table.lines) > KEPT:
            spared = (html.escape(text) for line in panel.table.lines[KEPT:] for text in line)
            yield Piece(sum(CELL + len(text.encode()) for text in spared), _cut_table(place))
    for which, orders in parts.orders.items():
        if len(orders) > KEPT:
            yield Piece(sum(CELL + len(order.encode()) for order in orders[KEPT:]), _cut_list(which))


def _cut_table(place: int) -> Callable[[Parts], Parts]:
    def without(parts: Parts) -> Parts:
        panels = list(parts.panels)
        table = panels[place].table
        if table is not None:
            rest = table.rest + len(table.lines) - KEPT
            cut = table._replace(lines=table.lines[:KEPT], keys=table.keys[:KEPT], rest=rest)
            panels[place] = replace(panels[place], table=cut)
        drawn, cuts = parts.left_out
        return parts._replace(panels=panels, left_out=(drawn, cuts + 1))

    return without


def _cut_list(which: str) -> Callable[[Parts], Parts]:
    def without(parts: Parts) -> Parts:
        drawn, cuts = parts.left_out
        orders = {**parts.orders, which: parts.orders[which][:KEPT]}
        return parts._replace(orders=orders, left_out=(drawn, cuts + 1))

    return without


def _drawings(parts: Parts) -> Iterator[Piece]:
    """Drawings that are still there."""
    for name, drawing in parts.drawn.items():
        if drawing is not NOT_DRAWN:
            yield Piece(len(drawing.encode()) - len(NOT_DRAWN), _undrawn(name))


def _undrawn(name: str) -> Callable[[Parts], Parts]:
    def without(parts: Parts) -> Parts:
        drawn, cuts = parts.left_out
        return parts._replace(drawn={**parts.drawn, name: NOT_DRAWN}, left_out=(drawn + 1, cuts))

    return without
