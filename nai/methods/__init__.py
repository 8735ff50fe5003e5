"""Continual-learning methods, one rule a file; `METHODS` gives each its name."""

from nai.methods.ags_cl import AgsCl
from nai.methods.ar1_star import Ar1Star
from nai.methods.base import Context, Memory, Method
from nai.methods.cwr_star import CwrStar
from nai.methods.ewc import Ewc
from nai.methods.ewcpp import EwcPlusPlus
from nai.methods.finetune import Finetune
from nai.methods.hat import Hat
from nai.methods.joint import Joint
from nai.methods.lwf import Lwf
from nai.methods.mas import Mas
from nai.methods.nai import Nai
from nai.methods.online_ewc import OnlineEwc
from nai.methods.online_mas import OnlineMas
from nai.methods.online_nai import OnlineNai
from nai.methods.online_si import OnlineSi
from nai.methods.packnet import PackNet
from nai.methods.progressive import Progressive
from nai.methods.rwalk import RWalk
from nai.methods.si import Si
from nai.methods.ucl import Ucl

METHODS: dict[str, type[Method]] = {
    "finetune": Finetune,
    "joint": Joint,
    "nai": Nai,
    "ewc": Ewc,
    "online_ewc": OnlineEwc,
    "ewcpp": EwcPlusPlus,
    "si": Si,
    "mas": Mas,
    "online_si": OnlineSi,
    "online_mas": OnlineMas,
    "online_nai": OnlineNai,
    "rwalk": RWalk,
    "lwf": Lwf,
    "ags_cl": AgsCl,
    "ucl": Ucl,
    "cwr_star": CwrStar,
    "ar1_star": Ar1Star,
    "hat": Hat,
    "packnet": PackNet,
    "progressive": Progressive,
}

__all__ = [
    "METHODS",
    "AgsCl",
    "Ar1Star",
    "Context",
    "CwrStar",
    "Ewc",
    "EwcPlusPlus",
    "Finetune",
    "Hat",
    "Joint",
    "Lwf",
    "Mas",
    "Memory",
    "Method",
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
]
