"""What fails says why and what to do: causes, runs that all fail alike, hanging runs, the time that is up."""

import math
import time

import pytest
from tiny_sweeps import OWN, driver, inline, lasting, results, rows, tiny

from sweep import causes, session
from sweep.causes import AlikeError, Beginning, cause, failures
from sweep.cli_failures import FAILED, failure
from sweep.ledger import Ledger

BROKEN = {"error": "AssertionError: this cannot work"}
SOUND = {"error": None}


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_causes.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "name", "hint"),
    [
        ("diverged: weights are not finite after tasks (0,)", "diverged", "smaller training.rate"),
        ("out of memory: alone in its stack", "out of memory", "training.batch"),
        ("KeyError: 'task 2 comes first'", "raised", "another --out"),
    ],
)
def test_every_error_has_a_cause_a_class_and_a_way_out(error, name, hint):
    found = cause(error)
    assert found.name == name and found.kind == "deterministic" and hint in found.hint
    assert (causes.LOST.kind, causes.MACHINE.kind) == ("transient", "environment")


def test_failures_are_counted_by_cause_and_code_by_what_it_says():
    some = ["diverged: a", "diverged: b", "KeyError: 1", "KeyError: 2", "KeyError: 2", None, "diverged: a"]
    found = failures({"error": one} for one in some)
    assert [(one["runs"], one["name"], one["error"]) for one in found] == [
        (3, "diverged", "diverged: a"),
        (2, "raised", "KeyError: 2"),
        (1, "raised", "KeyError: 1"),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_runs_that_all_fail_in_one_way_end_it_whatever_bursts_they_come_in(size):
    beginning, burst = Beginning(), [BROKEN] * size
    with pytest.raises(AlikeError, match=r"first \d runs all failed in one way.*\n  AssertionError"):
        for _ in range(3):
            beginning.add(burst)
    assert len(beginning.errors) >= 3


@pytest.mark.parametrize(
    "some",
    [
        [SOUND, *[BROKEN] * 9],
        [BROKEN, BROKEN, SOUND, *[BROKEN] * 9],
        [BROKEN, {"error": "another"}, *[BROKEN] * 9],
        [{"error": f"diverged: {n}"} for n in range(9)],
        [BROKEN, BROKEN],
    ],
)
def test_what_may_still_go_well_goes_on(some):
    beginning = Beginning()
    for row in some:
        beginning.add([row])
    Beginning(settled=True).add([BROKEN] * 9)


def test_a_method_that_always_fails_ends_the_sweep_with_its_reason_and_a_report(own):
    space = tiny("method.name='own_causes:Broken'")
    with pytest.raises(AlikeError) as stopped:
        inline(space, own / "out")
    found = failure(stopped.value)
    assert found.code == FAILED
    assert "AssertionError: this cannot work" in found.text and "another --out" in found.text
    assert {row["error"] for row in rows(own / "out")} == {"AssertionError: this cannot work"}
    assert (own / "out" / "report.html").is_file() and b'"failures"' in results(own / "out")


def test_when_the_time_is_up_nothing_is_lost_and_the_same_call_goes_on(tmp_path, monkeypatch):
    """The time is up as soon as six runs are on record."""
    with monkeypatch.context() as patch:
        patch.setattr("sweep.bundle.bursts", lambda trained: ([row] for row in trained))
        patch.setattr(Ledger, "over", property(lambda ledger: len(ledger.store.records.rows) >= 6))
        ended = inline(tiny(), tmp_path / "out", max_time=1e-3)
    assert ended.interrupted and ended.late and not ended.results["complete"]
    before = lasting(rows(tmp_path / "out"))
    assert len(before) == 6
    again = inline(tiny(), tmp_path / "out", max_time=1e6)
    assert not again.late and again.results["complete"]
    inline(tiny(), tmp_path / "whole")
    assert before.items() < lasting(rows(tmp_path / "out")).items()
    assert results(tmp_path / "out") == results(tmp_path / "whole")


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_no_time_at_all_is_a_mistake(limit):
    with pytest.raises(ValueError, match="max_time"):
        session.Way(max_time=limit)


HANGING = f"""{OWN}

@dataclass(frozen=True)
class Hanging(Nai):
    # strong neurons wait for ever until somebody frees them
    late = frozenset()

    def pool(self, done, task):
        while self.strength > 0.5 and not (HERE / "freed").exists():
            time.sleep(0.02)
        return super().pool(done, task)
"""
HUNG = (  # one run hangs; patience is for a machine that has other work
    "orders.count=1",
    "confirm.orders.count=1",
    "method={name='own_causes:Hanging', strength={choices=[0.1, 0.9, 0.2]}}",
    "search={sampler='grid', suggestions=3, ahead=3}",
)


@pytest.mark.faults
@pytest.mark.timeout(1700)
def test_a_run_that_hangs_is_ended_and_left_and_others_go_on(tmp_path):
    (tmp_path / "own_causes.py").write_text(HANGING)
    code = "import tiny_sweeps as t; e = t.session.run(t.tiny(*{!r}), 'out', track=False)"
    code += "; print(e.results['done'])"
    said = ended(code.format((*HUNG, "resources.patience=60")), tmp_path)
    assert len(rows(tmp_path / "out")) == int(said.split()[-1]) == 2 + 2
    (tmp_path / "freed").touch()
    ended(code.format(HUNG), tmp_path)
    assert len(rows(tmp_path / "out")) >= 3 + 2


def ended(code, folder):
    """What a program said that has ended well."""
    with driver(code, folder) as child:
        try:
            said, _ = child.communicate(timeout=800)
        finally:
            child.kill()
    assert child.returncode == 0, said
    return said


@pytest.mark.faults
def test_a_time_limit_ends_a_sweep_on_ray_in_order(tmp_path):
    code = (
        "import tiny_sweeps as t; e = t.session.run(t.tiny('training.epochs=100000'), 'out', track=False, "
        "max_time=20); print(e.late, e.interrupted)"
    )
    started = time.monotonic()
    child = driver(code, tmp_path)
    said, _ = child.communicate(timeout=240)
    assert child.returncode == 0 and said.endswith("True True\n"), said
    assert time.monotonic() - started < 240
    assert not (tmp_path / "out" / "ray").exists()
