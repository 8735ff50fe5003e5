import subprocess
import sys

import pytest
import torch

from nai.seeds import Chance, Seeds, generator

PINNED = [0.20619577, 0.36700922, 0.21046120, 0.06284994]


def draw(*address):
    return torch.rand(4, generator=generator(*address)).tolist()


def test_an_address_decides_a_draw_in_every_process():
    assert draw(0, 1, "batches", 2) == draw(0, 1, "batches", 2)
    code = (
        "import torch; from nai.seeds import generator;"
        "print(torch.rand(4, generator=generator(0, 1, 'x')).tolist())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(draw(0, 1, "x"))


def test_draws_are_pinned():
    # an accidental change of addresses would change every result: then raise nai.trial.NUMERICS
    assert draw(0, "weights", "layers.0.weight") == pytest.approx(PINNED, abs=1e-7)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, 1), (1, 0)),
        ((0,), (0, 0)),
        ((0, "a"), (0, "b")),
        ((1, "1"), ("1", 1)),
        ((12,), (1, 2)),
        ((-1,), (1,)),
    ],
)
def test_different_addresses_are_different_chance(one, other):
    assert draw(*one) != draw(*other)


def test_many_seeds_give_uniform_first_draws_without_correlation():
    firsts = torch.tensor([draw(seed, "weights")[0] for seed in range(2000)])
    assert abs(firsts.mean().item() - 0.5) < 4 * (1 / 12 / 2000) ** 0.5
    centred = firsts - firsts.mean()
    assert abs((centred[1:] * centred[:-1]).mean().item() * 12) < 4 / 2000**0.5


def test_lessons_of_equal_data_seed_and_depth_share_their_draws_and_others_do_not():
    chance = Chance([Seeds(0, 7), Seeds(1, 7), Seeds(0, 7), Seeds(0, 8)], [1, 1, 0, 1], torch.device("cpu"))
    makers = {"mask": lambda g: torch.rand(3, generator=g), "key": lambda g: torch.rand(2, generator=g)}
    opened = chance.open(makers, 5)
    first, second = chance.draw(makers, opened), chance.draw(makers, opened)
    assert first["mask"].shape == (4, 3)
    assert torch.equal(first["mask"][0], first["mask"][1])
    assert len({tuple(row.tolist()) for row in first["mask"]}) == 3
    assert not torch.equal(first["mask"], second["mask"])
    assert first["mask"][3].tolist() == torch.rand(3, generator=generator(8, 1, "mask", 5)).tolist()


def test_a_purpose_s_draws_do_not_depend_on_other_purposes_or_lessons():
    makers = {"mask": lambda g: torch.rand(3, generator=g)}
    more = makers | {"key": lambda g: torch.rand(2, generator=g)}
    alone = Chance([Seeds(0, 7)], [1], torch.device("cpu"))
    crowd = Chance([Seeds(0, 9), Seeds(0, 7)], [0, 1], torch.device("cpu"))
    assert torch.equal(
        alone.draw(makers, alone.open(makers))["mask"][0], crowd.draw(more, crowd.open(more))["mask"][1]
    )
