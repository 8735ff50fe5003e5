"""Continual-learning methods, one rule a file; `METHODS` gives each its name."""

from nai.methods.base import Context, Memory, Method
from nai.methods.ewc import Ewc
from nai.methods.finetune import Finetune
from nai.methods.joint import Joint
from nai.methods.mas import Mas
from nai.methods.nai import Nai
from nai.methods.si import Si

METHODS: dict[str, type[Method]] = {
    "finetune": Finetune,
    "joint": Joint,
    "nai": Nai,
    "ewc": Ewc,
    "si": Si,
    "mas": Mas,
}

__all__ = ["METHODS", "Context", "Ewc", "Finetune", "Joint", "Mas", "Memory", "Method", "Nai", "Si"]
