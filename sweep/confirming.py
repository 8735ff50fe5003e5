"""What to confirm, as `nai-sweep confirm` is told it, in the words of a search space."""

from collections.abc import Iterator, Sequence

from sweep.space import Space

MORE_SEED = 1
"""Seed of the orders that are drawn when only their number is given."""


def overrides(
    *,
    top: int | None = None,
    orders: str | int | None = None,
    seeds: int | None = None,
    methods: Sequence[str] = (),
    until: str | None = None,
    nets: int | None = None,
) -> list[str]:
    """Changes of the space's `[confirm]`, such as "confirm.top=2"; what is not given stays as it was.

    orders: all, a number of random ones, or a design such as latin; a set's name after a colon: named:apd5.
    seeds: how many pairs (0, 0), (1, 1), ... until: "half_width=0.002" of the mean, or "tail=0.05". nets: how
    many nets learn each task alone.
    """
    more = [] if nets is None else [f"confirm.nets={nets}"]
    return [*_changes(top, orders, seeds, methods=methods, until=until), *more]


def settled(space: Space, changes: Sequence[str]) -> Space:
    """The space without its `until`, if these changes give orders and say nothing of when they are enough."""
    keys = {change.partition("=")[0] for change in changes}
    if not space.confirm or "confirm.orders" not in keys or "confirm.until" in keys:
        return space
    return space.model_copy(update={"confirm": space.confirm.model_copy(update={"until": None})})


def _changes(
    top: int | None, orders: str | int | None, seeds: int | None, *, methods: Sequence[str], until: str | None
) -> Iterator[str]:
    if top is not None:
        yield f"confirm.top={top}"
    if orders is not None or until:
        yield f"confirm.orders={_orders(10 if orders is None else orders)}"
    if seeds is not None:
        yield f"confirm.seeds={{init={list(range(seeds))}, data={list(range(seeds))}}}"
    if methods:
        yield f"confirm.methods={list(methods)}"
    if until:
        yield f"confirm.until={{{until}}}"


def _orders(wanted: str | int) -> str:
    """A table of orders, in TOML."""
    design, _, name = str(wanted).partition(":")
    if design.isdigit():
        return f"{{design='random', count={design}, seed={MORE_SEED}}}"
    return f"{{design={design!r}, named={name!r}}}" if name else f"{{design={design!r}}}"
