"""An eighth of a second of sound as a function of time: one of four samples is kept back and asked for.

    python examples/raf/audio.py [--steps 300] [--seeds 3] [--activations NAME ...] [--out DIR]

1,024 samples at 8 kHz made here: four notes with overtones that fade, and a rising tone. An MLP of three
hidden layers of 32 reads time as -12..12 on SIREN's weights, whose waves start no faster than 30 a unit, and
as -1..1 on others. Mean squared errors, over that of silence, of learnt and of held-out samples: what is
published is of learnt ones alone.
"""

import math
from collections.abc import Sequence

import torch
from shared import Row, options, recorded, regressed, table
from torch import Tensor

from nai.activations import activation
from nai.models import Mlp

SAMPLES, RATE, REACH = 1024, 8000, 12.0
RAF = ("sine_poly_gaussian_mild", "sine_gaussian_audio")
NOTES = (262.0, 330.0, 392.0, 523.0)
"""Hertz, one after the other."""


def sound() -> tuple[Tensor, Tensor]:
    """Time and the sound, [samples, 1] each, within -1..1."""
    seconds = torch.arange(SAMPLES, dtype=torch.float64) / RATE
    length = SAMPLES / RATE / len(NOTES)
    note = (seconds / length).long()
    since = seconds - note * length
    pitch = 2 * math.pi * torch.tensor(NOTES, dtype=torch.float64)[note]
    tone = sum((torch.sin(k * pitch * since) / k for k in (1, 2, 3)), torch.zeros_like(since))
    rising = torch.sin(2 * math.pi * (100 * seconds + 600 * seconds**2))
    wave = 0.5 * tone * torch.exp(-12 * since) + 0.2 * rising
    time = torch.linspace(-1, 1, SAMPLES)
    return time[:, None], (wave / wave.abs().max()).float()[:, None]


def main() -> None:
    given = options(__doc__ or "", steps=300, seeds=3, activations=RAF)
    seconds, wave = sound()
    held_out = torch.arange(SAMPLES) % 4 == 3

    def run(name: str, seeds: Sequence[int]) -> list[Row]:
        net = Mlp((1,), 1, widths=(32,) * 3, activation=name)
        time = REACH * seconds if activation(name).siren else seconds
        data = time[~held_out], wave[~held_out]
        params = regressed(net, data, seeds=seeds, steps=given.steps, what=name)
        squares = (net.trace(params, time.expand(len(seeds), -1, -1)).logits - wave).square()
        silence = float(wave.square().mean())
        return [
            {"learnt": float(s[~held_out].mean()) / silence, "held_out": float(s[held_out].mean()) / silence}
            for s in squares
        ]

    headings = {"learnt": "error of learnt samples", "held_out": "error of held-out samples"}
    print(table(recorded(given, "audio", run), headings))


if __name__ == "__main__":
    main()
