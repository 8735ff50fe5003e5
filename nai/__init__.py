"""Continual learning with neuron activation importance: methods as pure functions, task orders as a tree.

Everything is imported when it is first asked for, so that orders and metrics cost no torch.
"""

# ruff: noqa: F401  (`__all__` is worked out from HOMES)
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nai.activations import ACTIVATIONS, Reproducing
    from nai.arrays import from_tensors
    from nai.folders import from_folder
    from nai.guard import Guard
    from nai.importance.attribution import Attribution, attribute
    from nai.learn import Lesson, World, begin, learn
    from nai.methods import (
        METHODS,
        Agem,
        AgsCl,
        Ar1Star,
        Co2l,
        CwrStar,
        Der,
        DerPlusPlus,
        Er,
        ErProbe,
        Ewc,
        EwcPlusPlus,
        Finetune,
        GDumb,
        Gss,
        Hat,
        Joint,
        LatentReplay,
        Lwf,
        Mas,
        Method,
        Mir,
        Nai,
        OnlineEwc,
        OnlineMas,
        OnlineNai,
        OnlineSi,
        PackNet,
        Progressive,
        RWalk,
        Si,
        Ucl,
    )
    from nai.models import MODELS, ConvNet, Mlp, Network, ResNet18
    from nai.named import Named
    from nai.orders import Order
    from nai.seeds import Seeds
    from nai.selection import Continual, grow_continually
    from nai.tasks import Benchmark, Task
    from nai.training import Training
    from nai.tree import Run, grow
    from nai.trial import Outcome, Trial, run, run_many

HOMES = {
    "nai.activations": ("ACTIVATIONS", "Reproducing"),
    "nai.arrays": ("from_tensors",),
    "nai.folders": ("from_folder",),
    "nai.guard": ("Guard",),
    "nai.importance.attribution": ("Attribution", "attribute"),
    "nai.learn": ("Lesson", "World", "begin", "learn"),
    "nai.methods": (
        "METHODS",
        "Method",
        "Agem",
        "AgsCl",
        "Ar1Star",
        "Co2l",
        "CwrStar",
        "Der",
        "DerPlusPlus",
        "Er",
        "ErProbe",
        "Ewc",
        "EwcPlusPlus",
        "Finetune",
        "GDumb",
        "Gss",
        "Hat",
        "Joint",
        "LatentReplay",
        "Lwf",
        "Mas",
        "Mir",
        "Nai",
        "OnlineEwc",
        "OnlineMas",
        "OnlineNai",
        "OnlineSi",
        "PackNet",
        "Progressive",
        "RWalk",
        "Si",
        "Ucl",
    ),
    "nai.models": ("MODELS", "ConvNet", "Mlp", "Network", "ResNet18"),
    "nai.named": ("Named",),
    "nai.orders": ("Order",),
    "nai.seeds": ("Seeds",),
    "nai.selection": ("Continual", "grow_continually"),
    "nai.tasks": ("Benchmark", "Task"),
    "nai.training": ("Training",),
    "nai.tree": ("Run", "grow"),
    "nai.trial": ("Outcome", "Trial", "run", "run_many"),
}
__all__ = sorted(name for names in HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"nai has no {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
