"""A sweep as a job of a cluster that has what the project needs, but the project itself comes as a wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from machines import PATIENCE, Machines, answers, free_port, until
from tiny_sweeps import ROOT, SPACE, inline, lasting, rows, tiny

RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")


@pytest.fixture
def wheel(tmp_path):
    command = f"-m build --wheel --no-isolation --outdir {tmp_path} {ROOT}".split()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = tmp_path.glob("*.whl")
    return found


@pytest.mark.full
def test_a_job_brings_the_wheel_and_its_rows_are_those_of_one_process(tmp_path, wheel):
    job, out = tmp_path / "job", tmp_path / "out"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(job)  # as `python -m zipfile -e WHEEL job` does
    (job / "my.toml").write_text(SPACE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with Machines(PYTHONPATH="", PATH=path) as cluster:
        port = free_port()
        cluster.head("--include-dashboard=true", f"--dashboard-port={port}", cpus=2)
        until(lambda: answers(port), "the job server")
        submit = ["job", "submit", f"--address=http://127.0.0.1:{port}", "--working-dir", str(job), "--"]
        sweep = ["python", "-m", "sweep.cli", "run", "my.toml", "--address", "auto", "--out", str(out)]
        done = subprocess.run(
            [*RAY, *submit, *sweep, "--no-track"],
            cwd=tmp_path,
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout
    inline(tiny(), tmp_path / "alone")
    assert lasting(rows(out)) == lasting(rows(tmp_path / "alone"))
