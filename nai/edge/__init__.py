"""Learning on a device: a frozen backbone, a head that learns, and replay of what the backbone said.

Source: Demosthenous & Vassiliades 2021; the rule of replay is that of Pellegrini et al. 2020 (latent replay).
"""

from nai.edge.buffer import RULES, STORES, LatentBuffer
from nai.edge.exported import ExportedHead, check_executorch, export_backbone, export_head, run_backbone
from nai.edge.head import Head, Rates, TorchHead, Trainee
from nai.edge.stream import Course, Experience, Stream, accuracy, learn

__all__ = [
    "RULES",
    "STORES",
    "Course",
    "Experience",
    "ExportedHead",
    "Head",
    "LatentBuffer",
    "Rates",
    "Stream",
    "TorchHead",
    "Trainee",
    "accuracy",
    "check_executorch",
    "export_backbone",
    "export_head",
    "learn",
    "run_backbone",
]
