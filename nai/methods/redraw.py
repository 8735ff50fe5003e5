"""Fresh initial weights in the middle of a run, drawn by address like all chance."""

from collections.abc import Iterable
from functools import partial

from nai.models import Network
from nai.seeds import Draw


def redraws(net: Network, names: Iterable[str]) -> dict[str, Draw]:
    """A draw of new initial values for each named parameter, under `redraw.<name>`."""
    return {f"redraw.{name}": partial(net.draw, name) for name in names}
