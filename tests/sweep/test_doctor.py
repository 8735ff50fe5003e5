"""The doctor names what is wrong with a machine and the way out, and ends with the exit code for it."""

import json
import resource
import socket
import stat
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import AuthenticationError
from tiny_sweeps import tiny
from typer.testing import CliRunner

from sweep import doctor, doctor_cluster, releases
from sweep.cli import app
from sweep.doctor import Finding
from sweep.environment import ClusterError
from sweep.machines import Machine, join
from sweep.space import Resources

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def this_machine_alone(monkeypatch, tmp_path):
    """Its own address is the loopback, and its folder an empty one."""
    monkeypatch.setattr(doctor, "own_address", lambda: "127.0.0.1")
    monkeypatch.setattr(doctor, "NEEDED", ("numpy", "optuna"))  # all of them take seconds to import
    monkeypatch.chdir(tmp_path)


def found(space=None, **given):
    return {one.what: one for one in doctor.here(space, **given)}


def asked(*words):
    return CliRunner().invoke(app, ["doctor", *words])


def test_a_machine_that_is_fit(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: Disk(1e12, 5e11, 5e11))
    every = found(tiny())
    assert {one.state for one in every.values()} == {"ok"}
    assert every["benchmark"].text == "split_digits: 5 tasks"
    said = asked()
    assert said.exit_code == 0 and said.output.endswith("fit for a sweep\n")


def test_a_package_that_is_lacking_or_broken_is_of_the_cluster(monkeypatch):
    def broken(name):
        if name == "optuna":
            raise ImportError("libsomething.so is missing")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert found()["optuna"] == Finding(
        "optuna", "libsomething.so is missing", "cluster", "pip install 'nai-sweep[sweep]'"
    )
    assert asked().exit_code == 4


def test_data_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("NAI_DATA", str(tmp_path / "nowhere"))
    assert found()["data"].area == "data"
    said = asked("--json")
    assert said.exit_code == 6
    (bad,) = [one for one in json.loads(said.output) if one["state"] == "bad"]
    assert bad["way"] == "make it, or unset NAI_DATA"


def test_a_benchmark_that_cannot_be_loaded(monkeypatch):
    import nai.trial

    def lacking(named):
        raise FileNotFoundError("mnist is not in /data and cannot be fetched")

    monkeypatch.setattr(nai.trial, "load", lacking)
    bad = found(tiny())["benchmark"]
    assert (bad.area, bad.text) == ("data", "mnist is not in /data and cannot be fetched")


def test_a_card_that_is_wanted_and_not_there(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wants = tiny("resources.gpus=1")
    assert found(wants)["GPU"].area == "cluster"
    assert found(wants, cluster=True)["GPU"].area is None  # workers elsewhere have it
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert found()["GPU"].way == "install a CUDA build of torch"


def test_cards_are_named(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (2e9, 8e9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Big Card")
    assert found()["GPU"].text == "Big Card, 2.0 of 8.0 GB free"


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    bad = found(out=tmp_path / "file" / "out")["disk"]
    assert bad.area == "storage" and bad.text.startswith(f"{tmp_path / 'file'} cannot be written to: ")
    assert asked("--out", str(tmp_path / "file")).exit_code == 7
    assert not list(tmp_path.glob(".doctor-*"))


@pytest.mark.parametrize(("free", "state"), [(1e8, "bad"), (1e9, "odd"), (1e10, "ok")])
def test_a_disk_that_fills_up(monkeypatch, free, state):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: Disk(1e12, 0, free))
    assert found()["disk"].state == state


def test_the_first_that_is_bad_decides_the_exit_code(monkeypatch):
    monkeypatch.setenv("NAI_DATA", "/nowhere")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: Disk(1e12, 0, 0))
    said = asked()
    assert said.exit_code == 6 and "not fit for a sweep: data, disk" in said.output


def test_a_clock_that_is_not_the_disks(monkeypatch):
    now = time.time()
    monkeypatch.setattr(doctor, "time", SimpleNamespace(time=lambda: now - 3600))
    assert "+3600 s away" in found()["clock"].text and found()["clock"].state == "odd"


def test_a_firewall_between_the_processes(monkeypatch):
    monkeypatch.setattr(
        doctor.socket, "create_connection", lambda *a, **k: (_ for _ in ()).throw(TimeoutError())
    )
    assert found()["ports"].area == "cluster"


def test_few_open_files(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 256))
    assert found()["open files"] == Finding("open files", "at most 256", way="ulimit -n 65536")


def test_tokens(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    file = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    assert found()["token"].text.endswith("no token: a local Ray makes its own")
    file.write_text("secret")
    file.chmod(0o644)
    assert found()["token"].way == f"chmod 600 {file}"
    file.chmod(stat.S_IRUSR)
    assert found()["token"] == Finding("token", f"RAY_AUTH_MODE not set, token in {file}")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert found()["token"].state == "odd"
    assert "secret" not in asked().output


# ------------------------------------------------------------------ clusters
class Cluster:
    """Machines that say what they are told to."""

    def __init__(self, monkeypatch, answers, cpus=2.0, gpus=0.0):
        self.some = [
            Machine(f"{n}abcdef", f"10.0.0.{n}", {"CPU": cpus, "GPU": gpus}) for n in range(len(answers))
        ]
        self.left = 0
        for name in ("join", "leave", "machines", "asked"):
            monkeypatch.setattr(doctor_cluster.machines, name, getattr(self, name))
        self.answers = answers

    def join(self, address, **given):
        assert address == "10.0.0.0:6379"

    def leave(self):
        self.left += 1

    def machines(self):
        return self.some

    def asked(self, some, what, *given):
        mine = what(*given)
        return [answer if isinstance(answer, str) else mine | answer for answer in self.answers]


def visited(space=None, out="runs"):
    return list(doctor_cluster.there("10.0.0.0:6379", space, out))


def test_a_cluster_that_is_fit(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    cluster = Cluster(monkeypatch, [{"cards": 0, "free": 1e10}] * 2)
    first, *some, shared = visited()
    assert first.text == "10.0.0.0:6379: 2 machines, room for 4 workers" and cluster.left == 1
    assert [one.text for one in some] == ["2 CPU, 0 GPU; releases as here"] * 2
    assert {one.state for one in (first, *some, shared)} == {
        "ok"
    } and "record there themselves" in shared.text


def test_what_is_wrong_with_machines_is_said_of_each(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    other = dict(releases.here()) | {"torch": "1.2.3"}
    odd = {"cards": 2, "free": 1e6, "time": time.time() + 600}
    Cluster(monkeypatch, ["no answer in 60 s", {"releases": other}, odd])
    _, silent, unlike, strange, _ = visited()
    assert (silent.area, silent.text) == ("cluster", "no answer in 60 s")
    assert unlike.area == "cluster" and unlike.text == f"torch 1.2.3, not {releases.release('torch')}"
    assert strange.state == "odd" and "+60" in strange.text and "its clock is" in strange.text
    assert "2 cards, of which Ray counts 0" in strange.text and "1 MB free" in strange.text


def test_a_disk_of_each_machine_s_own_is_no_fault(monkeypatch):
    Cluster(monkeypatch, [{"shared": False, "cards": 0}, {"cards": 0}])
    assert visited()[-1].text.startswith("1 of 2 machines do not see") and visited()[-1].state == "ok"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Failed to connect to Ray cluster at here:1"),
        AuthenticationError("token file cannot be opened"),
    ],
)
def test_a_cluster_that_wants_another_token_is_told_with_the_way_in(monkeypatch, error):
    def refused(**given):
        raise error

    monkeypatch.setattr("sweep.machines.check_address", lambda address: None)
    monkeypatch.setattr("ray.init", refused)
    with pytest.raises(ClusterError, match=r"here:1 cannot be joined: .*RAY_AUTH_MODE=token"):
        join("here:1")


def test_a_cluster_without_room_or_token(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    Cluster(monkeypatch, [])
    first, token, _ = visited()
    assert first.area == "cluster" and "lets in whoever" in token.text
    space = tiny("resources.workers=3")
    assert space.resources == Resources(workers=3) and visited(space)[0].state == "odd"


def test_a_cluster_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = asked("--address", f"127.0.0.1:{port}")
    assert said.exit_code == 4 and "nothing answers at" in " ".join(said.output.split())


def test_facts_of_this_machine(tmp_path):
    mark = tmp_path / "mark"
    assert not doctor_cluster.facts(str(mark))["shared"]
    mark.touch()
    facts = doctor_cluster.facts(str(mark))
    assert facts["shared"] and facts["releases"] == dict(releases.here()) and facts["free"] > 0
    assert facts["cards"] == sum(path.name[6:].isdigit() for path in Path("/dev").glob("nvidia*"))


# ------------------------------------------------------------------ releases
def test_odds_are_named_one_by_one():
    ours = {"torch": "2.13.0", "ray": "2.60.0", "python": "3.11.7"}
    assert releases.odds(ours, ours) == []
    assert releases.odds(ours, {"torch": "2.12.0", "python": "3.11.7"}) == [
        "torch 2.12.0, not 2.13.0",
        "ray none, not 2.60.0",
    ]


def test_a_build_s_name_is_no_release(monkeypatch):
    monkeypatch.setattr(releases.importlib.metadata, "version", lambda name: "2.13.0+cu128")
    assert releases.release("torch") == "2.13.0"


def test_the_digest_changes_with_the_source(monkeypatch, tmp_path):
    before = releases.source_digest()
    assert before == releases.here()[releases.CODE] and len(before) == 8
    (tmp_path / "__init__.py").write_text("a = 1\n")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(releases.importlib.util, "find_spec", lambda name: spec)
    one = releases.source_digest()
    (tmp_path / "__init__.py").write_text("a = 2\n")
    assert len({before, one, releases.source_digest()}) == 3
