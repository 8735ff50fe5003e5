"""The experiments with reproducing activations: derivatives, equations, commands and the record."""

import importlib
import math
import runpy
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "raf"
RECORD = ROOT / "docs" / "studies" / "raf"
PAGE = (ROOT / "docs" / "activations.md").read_text(encoding="utf-8")
EXPERIMENTS = ("image", "audio", "poisson", "oscillation", "eigenvalue", "ntk")


@pytest.fixture(autouse=True)
def beside(monkeypatch):
    """The folder that the scripts are started in, which they import from."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in ("shared", *EXPERIMENTS):
        sys.modules.pop(name, None)


def module(name):
    return importlib.import_module(name)


def somewhere(count=6):
    return torch.rand(count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def jet_of(function, x):
    """A function of points with derivatives by autograd, twice: the slow way."""
    x = x.clone().requires_grad_()
    value = function(x)
    (first,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    second = [
        torch.autograd.grad(first[:, k].sum(), x, create_graph=True)[0][:, k] for k in range(x.shape[1])
    ]
    return value, first, sum(second)


# ---------------------------------------------------------------- derivatives
@pytest.mark.parametrize(
    "name", ["relu", "relu3", "tanh", "siren", "poly_sin", "rational", "sine_gaussian_audio"]
)
def test_derivatives_that_go_along_are_autograd_s(name):
    shared = module("shared")
    field, x = shared.Field(name, 2, 8, [0, 1]), somewhere()
    jet = shared.bubble(x).times(field(x))
    for seed in range(2):
        value, first, laplacian = jet_of(
            lambda x, seed=seed: shared.bubble(x).value[0, :, 0] * field(x).value[seed, :, 0], x
        )
        torch.testing.assert_close(jet.value[seed, :, 0], value)
        torch.testing.assert_close(jet.slopes[:, seed, :, 0].T, first)
        expected = torch.zeros_like(value) + laplacian
        torch.testing.assert_close(jet.laplacian[seed, :, 0], expected, rtol=1e-6, atol=1e-8)


def test_networks_side_by_side_are_those_alone():
    shared = module("shared")
    x = somewhere()
    both = shared.Field("rational", 2, 8, [3, 5])(x)
    for place, seed in enumerate((3, 5)):
        torch.testing.assert_close(shared.Field("rational", 2, 8, [seed])(x).value[0], both.value[place])


# ---------------------------------------------------------------- equations
@pytest.mark.parametrize("name", ["poisson", "oscillation"])
def test_the_exact_solution_has_no_residual_and_is_0_on_the_boundary(name):
    shared, equation = module("shared"), module(name)
    x = somewhere()
    value, _, laplacian = jet_of(lambda x: equation.exact(x)[:, 0], x)
    u = shared.Jet(value[None, :, None], torch.zeros(2, 1, len(x), 1), laplacian[None, :, None])
    assert equation.residual(u, x).abs().max() < 1e-10
    edge = torch.tensor([[0.0, 0.3], [1.0, 0.3], [0.4, 0.0], [0.4, 1.0]], dtype=torch.float64)
    assert equation.exact(edge).abs().max() < 1e-14
    assert shared.bubble(edge).value.abs().max() == 0


def test_the_quotient_of_the_ground_state_is_the_least_eigenvalue():
    shared, eigenvalue = module("shared"), module("eigenvalue")

    def ground(x):
        """exp(-|x|^2 / 2) over what is 0 on the boundary, so that the product is it."""
        place = eigenvalue.SIDE * (x - 0.5)
        return torch.exp(-place.square().sum(1) / 2) / shared.bubble(x).value[0, :, 0]

    def field(x):
        value, first, laplacian = jet_of(ground, x)
        return shared.Jet(value[None, :, None], first.T[:, None, :, None], laplacian[None, :, None])

    (found,) = eigenvalue.quotient(field, *eigenvalue.gauss(40)).tolist()
    assert found == pytest.approx(eigenvalue.LEAST, abs=1e-5)


def test_decibels_by_hand():
    assert module("image").decibels(torch.tensor([0.2, -0.2])) == pytest.approx(20)  # 4 / 0.04 is 100


# ---------------------------------------------------------------- commands
STEPS = ["--steps", "2"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_command_prints_its_table_and_runs_nothing_twice(name, tmp_path, monkeypatch, capsys):
    given = ["--out", str(tmp_path), "--seeds", "2", *(STEPS if name != "ntk" else [])]

    def said(*more):
        monkeypatch.setattr(sys, "argv", [name, *given, "--activations", *more])
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    first = said("poly_sin")
    kept = (tmp_path / f"{name}.csv").read_text(encoding="utf-8")
    assert len(kept.splitlines()) == 3 and len(first) == 3
    both = said("relu", "poly_sin")
    assert [line.split("|")[1].strip() for line in both[2:]] == ["`relu`", "`poly_sin`"]
    assert both[-1] == first[-1]
    again = (tmp_path / f"{name}.csv").read_text(encoding="utf-8")
    assert set(kept.splitlines()) < set(again.splitlines())


@pytest.mark.parametrize(
    ("given", "told"),
    [(["--seeds", "0"], "must be at least 1"), (["--activations", "reul"], "activation 'reul' is unknown")],
)
def test_mistakes_are_told_before_anything_runs(given, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["poisson", *given])
    with pytest.raises(SystemExit):
        runpy.run_path(str(FOLDER / "poisson.py"), run_name="__main__")
    assert told in capsys.readouterr().err


def test_a_seed_that_diverged_is_said_to_have():
    assert module("shared").spread([1.0, math.nan, 2.0]) == "diverged with 1 of 3 seeds"


# ---------------------------------------------------------------- the record
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_page_shows_the_record(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--seeds", "3"])
    before = (RECORD / f"{name}.csv").read_bytes()
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert (RECORD / f"{name}.csv").read_bytes() == before  # all of it was there
    assert capsys.readouterr().out.strip() in PAGE


def medians(name, column="error"):
    import csv
    import statistics

    rows = list(csv.DictReader((RECORD / f"{name}.csv").read_text(encoding="utf-8").splitlines()))
    kinds = dict.fromkeys(row["activation"] for row in rows)
    return {k: statistics.median(float(r[column]) for r in rows if r["activation"] == k) for k in kinds}


CUTS = {"Poisson": ("poly_relu3", "siren"), "Oscillation": ("poly_sin", "relu3")}
CUTS["Eigenvalue"] = ("poly_sin_gaussian", "relu3")
"""Of each problem the best block and the best baseline."""


@pytest.mark.parametrize("problem", CUTS)
def test_the_page_has_the_cuts_of_the_record(problem):
    shared, (block, best) = module("shared"), CUTS[problem]
    errors = medians(problem.lower())
    assert block == min(shared.BLOCKS, key=errors.__getitem__)
    assert best == min(shared.BASELINES, key=errors.__getitem__)
    cubes, least = (1 - errors[block] / errors[k] for k in ("relu3", best))
    told = next(line for line in PAGE.splitlines() if line.startswith(f"| {problem} |")).split(" | ")
    assert told[1] == f"`{block}`" and told[2] == f"{100 * cubes:.0f} %"
    assert told[3].startswith(f"{100 * least:.0f} % (")
    assert (least >= 0.6) == (told[4] == "reached |")


def test_what_is_learnt_by_heart_is_not_what_is_asked_for():
    learnt, held_out = medians("image", "learnt"), medians("image", "held_out")
    official, mild = "sine_poly_gaussian_image", "sine_poly_gaussian_mild"
    assert learnt[official] > learnt["siren"] + 10
    assert held_out[official] < held_out[mild] - 5
    assert held_out[mild] == pytest.approx(held_out["siren"], abs=0.5)
