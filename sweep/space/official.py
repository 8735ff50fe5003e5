"""The official runs of CORe50 as a named set of orders, written out when the space is read."""

from typing import Any

from sweep.space.mistakes import Finding, Path

Data = dict[str, Any]
NAMED = "core50"
PLACES: tuple[Path, ...] = (("orders",), ("confirm", "orders"))
UNREAD: Data = {"design": "random", "count": 10}
"""As many orders, in place of those that cannot be read: the space is refused, but checked to its end."""


def written_out(data: Data) -> tuple[Data, list[Finding]]:
    """The values with the runs' orders in place of their name, and why there are none.

    A sweep's folder thus holds its orders, and needs the lists of files no more.
    """
    asked = [path for path in PLACES if _table(data, path).get("named") == NAMED]
    if not asked:
        return data, []
    try:
        table, wrong = {"design": "list", "orders": _runs(data.get("benchmark"))}, list[Finding]()
    except (ValueError, TypeError, OSError) as error:
        table, wrong = UNREAD, [Finding((*path, "named"), str(error)) for path in asked]
    for path in asked:
        data = _put(data, path, table)
    return data, wrong


def _runs(benchmark: Any) -> tuple[tuple[int, ...], ...]:
    """The ten runs as orders of the benchmark's tasks; ValueError where these are no batches of run 0."""
    from nai.core50 import runs
    from nai.datasets import place

    own = benchmark if isinstance(benchmark, dict) else {}
    if (own.get("name"), own.get("dataset"), own.get("run", 0)) != ("stream", "core50", 0):
        raise ValueError(
            f"the orders {NAMED!r} are of the batches of its run 0: take benchmark stream with dataset "
            "core50 and run 0, or other orders"
        )
    return runs(place(own.get("root")), own.get("batches", 391))


def _table(data: Data, path: Path) -> Data:
    found: Any = data
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) and found.get("design") == "named" else {}


def _put(data: Data, path: Path, orders: Data) -> Data:
    """The data with orders in place of a name, at a path that there is."""
    first, *rest = path
    if rest:
        return {**data, first: _put(data[first], tuple(rest), orders)}
    kept = {k: v for k, v in data[first].items() if k not in ("design", "named")}
    return {**data, first: {**kept, **orders}}
