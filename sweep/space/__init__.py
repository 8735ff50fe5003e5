"""The search space: what is fixed, what is searched, over which orders and seeds; TOML, read and checked.

A space is a value. `read` either gives one in which every name exists, every setting has a legal value and
every order is a permutation of the tasks, or raises `Mistakes`, which lists all that is wrong at once.
"""

from sweep.space.mistakes import Mistake, Mistakes
from sweep.space.plan import Change, Space
from sweep.space.reading import loads, read, schema, shipped
from sweep.space.tables import Choice, Objective, Orders, Range, Report, Resources, Search, Section, Seeds

__all__ = [
    "Change",
    "Choice",
    "Mistake",
    "Mistakes",
    "Objective",
    "Orders",
    "Range",
    "Report",
    "Resources",
    "Search",
    "Section",
    "Seeds",
    "Space",
    "loads",
    "read",
    "schema",
    "shipped",
]
