"""The search space: what is fixed, what is searched, over which orders and seeds; TOML, read and checked.

A space is a value. `read` either gives one in which every name exists, every setting has a legal value and
every order is a permutation of the tasks, or raises `Mistakes`, which lists all that is wrong at once.
"""

from sweep.space.conditions import Parameters, acts
from sweep.space.confirm import Confirm, Design, Until
from sweep.space.mistakes import Mistake, Mistakes
from sweep.space.objective import Objective
from sweep.space.plan import Change, Space
from sweep.space.reading import loads, read, schema, shipped
from sweep.space.search import Prior, Search
from sweep.space.settings import Choice, Range
from sweep.space.tables import Orders, Resources, Section, Seeds, Training

__all__ = [
    "Change",
    "Choice",
    "Confirm",
    "Design",
    "Mistake",
    "Mistakes",
    "Objective",
    "Orders",
    "Parameters",
    "Prior",
    "Range",
    "Resources",
    "Search",
    "Section",
    "Seeds",
    "Space",
    "Training",
    "Until",
    "acts",
    "loads",
    "read",
    "schema",
    "shipped",
]
