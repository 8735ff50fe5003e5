"""How results show themselves in a notebook: small tables of HTML, all text escaped."""

import html
from collections.abc import Sequence

from torch import Tensor


def matrix(accuracy: Tensor, order: Sequence[int], caption: str) -> str:
    """An accuracy matrix [tasks learnt + 1, tasks] in per cent, columns in the order trained, as a table."""
    heads = "".join(f'<th scope="col">task {home}</th>' for home in order)
    names = ["before", *(f"after task {home}" for home in order)]
    lines = [
        _line(name, [100 * float(row[home]) for home in order])
        for name, row in zip(names, accuracy, strict=True)
    ]
    head = f"<thead><tr><td></td>{heads}</tr></thead>"
    return f"<table><caption>{html.escape(caption)}</caption>{head}<tbody>{''.join(lines)}</tbody></table>"


def _line(name: str, values: Sequence[float]) -> str:
    cells = "".join(f"<td>{value:.1f}</td>" for value in values)
    return f'<tr><th scope="row">{name}</th>{cells}</tr>'
