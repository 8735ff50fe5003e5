"""MLflow's own pages of a real sweep, as people see them: verdict, suggestions, their orders, the report."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from mlflow_server import free_port
from tiny_sweeps import ROOT, RUNS, tiny

from sweep import session, ui

pytestmark = [pytest.mark.browser, pytest.mark.full]
pytest.importorskip("mlflow")
ROWS = (
    "[...document.querySelectorAll('.ag-row a')].map(a => [a.getBoundingClientRect().top, a.textContent])"
    ".sort((one, other) => one[0] - other[0]).map(row => row[1])"
)
LINK = "[...document.querySelectorAll('a')].find(a => a.textContent.startsWith({0}))"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep with its runs in MLflow, and the weights of its best run."""
    folder = tmp_path_factory.mktemp("a sweep") / "tiny"
    session.run(tiny(), folder, engine="inline")
    session.weights(folder)
    assert session.sync(folder) is None
    return folder


@pytest.fixture(scope="module")
def address(sweep):
    """Where `nai-sweep ui` serves it."""
    port = free_port()
    words = [sys.executable, "-m", "sweep.cli", "ui", str(sweep), "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **quiet)
    for _ in range(600):
        with contextlib.suppress(OSError):
            socket.create_connection((ui.HOST, port), 0.5).close()
            break
        assert child.poll() is None
        time.sleep(0.2)
    yield ui.address(sweep, port)
    child.terminate()
    child.wait(30)


def follow(page, text):
    """Go where the first link of this text leads."""
    link = LINK.format(json.dumps(text))
    page.until(link)
    page.run(f"location.href = {link}.href")


def test_the_pages_list_the_suggestions_their_orders_and_show_the_report(sweep, address, chromium):
    results = json.loads((sweep / "results.json").read_text())
    labels = [line["label"] for line in results["search"]]
    page = chromium.open(address, width=1600, height=1000)
    page.until("document.querySelector('.ag-row a')")
    said = page.run("document.body.innerText")
    assert " ".join(results["verdict"].split()[:6]) in " ".join(said.split())
    assert f"{RUNS + 6} matching runs" in said  # five suggestions above them, and the sweep

    page.click(".ag-row button")  # of the suggestion that came last
    page.until(f"{ROWS}.some(text => text.startsWith('order '))")

    follow(page, "Suggestions, best first")
    page.until("document.body.innerText.includes('5 matching runs')")
    page.until(f"{ROWS}.length === 5")
    assert page.run(ROWS) == [*labels, "finetune"]  # the best comes first, what was not searched last

    follow(page, labels[0])
    page.until("document.body.innerText.includes('confirm/mean')")
    assert all(name in page.run("document.body.innerText") for name in ("objective", "method.strength"))

    page.run(f"location.href = {json.dumps(address)}")
    follow(page, "Report")
    page.until("document.querySelector('iframe')")
    files = ("report.html", "results.json", "results.parquet", "space.toml", "weights.safetensors")
    assert all(name in page.run("document.body.innerText") for name in files)
    page.close()
