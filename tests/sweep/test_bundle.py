"""A worker's rows are those of its runs alone, whatever else is in the bundle and whatever else fails."""

import json
import math

import pytest
import torch
from tiny_sweeps import OWN, lasting, tiny

from nai import trial
from nai.orders import sampled
from sweep import bundle, record
from sweep.jobs import Job, Run, Work, arm

RUNS = tuple(Run(order, (seed, seed)) for seed in (0, 1) for order in sampled(5, 4, 0))


def settings(**given):
    chosen = tiny().first()
    return {name: section | given.get(name, {}) for name, section in chosen.items()}


@pytest.fixture(scope="module")
def digits():
    return trial.load(trial.Named.of(**settings()["benchmark"]))


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_bundle.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def trained(digits, chosen, runs=RUNS, **given):
    """The rows of a job of these settings, or of several of one family."""
    named = bundle.identity(digits.digest)
    some = chosen if isinstance(chosen, list) else [chosen]
    job = Job(tuple(Work(arm(one, named), tuple(runs)) for one in some))
    return list(bundle.train(job, digits, device="cpu", **given))


def test_rows_are_named_as_the_agenda_names_them(digits):
    named = bundle.identity(digits.digest)
    made = trained(digits, settings())
    assert len({row["fingerprint"] for row in made}) == len(made) == len(RUNS)
    assert {row["suggestion"] for row in made} == {named.suggestion(settings())}
    assert {(tuple(row["order"]), (row["seed_init"], row["seed_data"])) for row in made} == set(RUNS)


def test_settings_written_otherwise_have_the_same_names(digits):
    named = bundle.identity(digits.digest)
    whole = settings(method={"strength": 1.0, "normalization": "neuron_std"}, model={"activation": "relu"})
    short = settings(method={"strength": 1})
    assert named.suggestion(whole) == named.suggestion(short)
    assert (
        trained(digits, whole, RUNS[:1])[0]["fingerprint"]
        == trained(digits, short, RUNS[:1])[0]["fingerprint"]
    )


def test_another_content_of_the_data_has_other_names(digits):
    one, other = bundle.identity(digits.digest), bundle.identity("0" * 64)
    assert one.suggestion(settings()) != other.suggestion(settings())
    assert one.family(settings()) != other.family(settings())


def test_settings_that_differ_in_strength_alone_are_one_family_and_train_as_they_would_alone(digits):
    named = bundle.identity(digits.digest)
    some = [settings(method={"strength": strength}) for strength in (0.0, 0.1, 10.0)]
    other = settings(method={"normalization": "layer_mean"})
    assert len({named.family(one) for one in some}) == 1 != len({named.suggestion(one) for one in some})
    assert named.family(other) != named.family(some[0])
    alone = [row for one in some for row in trained(digits, one)]
    assert lasting(trained(digits, some)) == lasting(alone)


def test_lessons_that_were_kept_lead_to_the_same_rows(digits, tmp_path):
    named, kept = bundle.identity(digits.digest), bundle.shelf(str(tmp_path), 10**8)
    one = arm(settings(), named)
    first = list(bundle.train(Job((Work(one, RUNS[:2], RUNS[2:]),)), digits, device="cpu", states=kept))
    second = list(bundle.train(Job((Work(one, RUNS[2:]),)), digits, device="cpu", states=kept))
    assert lasting([*first, *second]) == lasting(trained(digits, settings()))


def test_rows_are_the_accuracies_of_each_run_alone(digits):
    for row in trained(digits, settings()):
        run = Run(tuple(row["order"]), (row["seed_init"], row["seed_data"]))
        alone = trial.run(bundle.trial_of(settings(), run), benchmark=digits).result
        assert row["valid"] == alone.valid.tolist() and row["test"] == alone.test.tolist()
        assert row["effective_strength"] == list(alone.strengths)
        assert row["error"] is None and row["seconds"] > 0 and row["width"] >= 1


def test_rows_fit_the_records_and_say_what_they_are_of(digits, tmp_path):
    made = trained(digits, settings())
    record.write(tmp_path, made)
    back = {row["fingerprint"]: row for row in record.read(tmp_path).rows}
    for row in made:
        strengths = {"effective_strength": pytest.approx(row["effective_strength"], rel=1e-7)}  # 4 bytes each
        assert back[row["fingerprint"]] == row | strengths
    row = made[0]
    said = {name: row[name] for name in ("benchmark", "scenario", "model", "method")}
    assert said == {"benchmark": digits.name, "scenario": "task", "model": "mlp", "method": "nai"}
    assert json.loads(row["settings"])["benchmark"]["digest"] == digits.digest
    assert json.loads(row["versions"])["torch"] == torch.__version__


def test_neither_the_bundle_nor_the_width_of_stacks_changes_a_row(digits):
    whole = lasting(trained(digits, settings()))
    assert lasting(trained(digits, settings(), stack=1)) == whole
    assert lasting([*trained(digits, settings(), RUNS[:3]), *trained(digits, settings(), RUNS[3:])]) == whole
    assert lasting(trained(digits, settings(), RUNS[::-1])) == whole


# --- what goes wrong ---


def test_training_that_diverges_is_a_row_with_its_error(digits):
    made = trained(digits, settings(training={"rate": 1e30}))
    assert len(made) == len(RUNS)
    assert all(row["error"].startswith("diverged: ") for row in made)
    assert all(row["valid"] is None and row["test"] is None for row in made)


def test_what_a_method_raises_is_the_error_of_its_rows(digits, own, tmp_path):
    made = trained(digits, settings(method={"name": "own_bundle:Broken"}))
    assert sorted(row["fingerprint"] for row in made) == sorted({row["fingerprint"] for row in made})
    assert [row["error"] for row in made] == ["AssertionError: this cannot work"] * len(RUNS)
    record.write(tmp_path / "records", made)


def test_a_run_that_fails_takes_no_other_with_it(digits, own):
    picky = settings(method={"name": "own_bundle:Picky"})
    runs = (*RUNS, Run((2, 0, 1, 3, 4), (0, 0)), Run((2, 1, 0, 3, 4), (1, 1)))
    made = trained(digits, picky, runs)
    errors = {tuple(row["order"]): row["error"] for row in made}
    assert len(made) == len(runs)
    assert {order for order, error in errors.items() if error} == {o for o in errors if o[0] == 2}
    assert errors[2, 0, 1, 3, 4] == "KeyError: 'task 2 comes first'"
    plain = trained(digits, settings(method={"name": "own_bundle:Plain"}), runs)
    sound = {tuple(row["order"]): row["test"] for row in plain if row["order"][0] != 2}
    assert {tuple(row["order"]): row["test"] for row in made if row["order"][0] != 2} == sound
    # the same rows in bundles of one
    assert lasting(made) == lasting(row for run in runs for row in trained(digits, picky, [run]))


def test_what_the_machine_does_to_a_run_is_no_result(digits, own):
    with pytest.raises(OSError, match="the disk is on fire"):
        trained(digits, settings(method={"name": "own_bundle:Unlucky"}))


def test_a_name_that_cannot_be_imported_here_is_no_result(digits):
    with pytest.raises(ValueError, match="'nowhere:Method' cannot be imported"):
        trained(digits, settings(method={"name": "nowhere:Method"}))


def test_a_worker_has_as_many_threads_as_cpus():
    before = torch.get_num_threads()
    try:
        for cpus, threads in ((2, 2), (3.0, 3), (0.5, 1), (0, 1)):
            bundle.prepare(cpus)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_the_seconds_of_a_bundle_are_shared_by_its_rows(digits):
    import time

    began = time.perf_counter()
    made = trained(digits, settings())
    whole = time.perf_counter() - began
    assert 0 < math.fsum(row["seconds"] for row in made) <= whole
