"""Standalone use: a guard for a plain `nn.Module` in a plain PyTorch loop."""

from nai.guard.guard import Guard

__all__ = ["Guard"]
