"""Continual-learning methods, one rule a file; `METHODS` gives each its name."""

from nai.methods.agem import Agem
from nai.methods.ags_cl import AgsCl
from nai.methods.ar1_star import Ar1Star
from nai.methods.base import Context, Memory, Method
from nai.methods.co2l import Co2l
from nai.methods.cwr_star import CwrStar
from nai.methods.der import Der
from nai.methods.derpp import DerPlusPlus
from nai.methods.er import Er
from nai.methods.er_probe import ErProbe
from nai.methods.ewc import Ewc
from nai.methods.ewcpp import EwcPlusPlus
from nai.methods.finetune import Finetune
from nai.methods.gdumb import GDumb
from nai.methods.gss import Gss
from nai.methods.hat import Hat
from nai.methods.joint import Joint
from nai.methods.latent_replay import LatentReplay
from nai.methods.lwf import Lwf
from nai.methods.mas import Mas
from nai.methods.mir import Mir
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
    "er": Er,
    "agem": Agem,
    "der": Der,
    "derpp": DerPlusPlus,
    "mir": Mir,
    "gss": Gss,
    "gdumb": GDumb,
    "latent_replay": LatentReplay,
    "co2l": Co2l,
    "er_probe": ErProbe,
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
    "Agem",
    "AgsCl",
    "Ar1Star",
    "Co2l",
    "Context",
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
    "Memory",
    "Method",
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
]
