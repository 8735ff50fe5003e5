"""`ray up cluster.yaml`: three machines reached by ssh become a cluster, which runs a sweep, and are left."""

import pytest
import yaml
from machines import cmdline, until
from machines_by_ssh import Network, possible
from tiny_sweeps import ROOT, SPACE, inline, lasting, results, rows, tiny

from sweep import record

HEAD, *WORKERS = "10.77.0.10", "10.77.0.11", "10.77.0.12"
pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not possible(), reason="wants a superuser who may make networks"),
]


@pytest.fixture
def network():
    with Network(HEAD, *WORKERS) as made:
        yield made


def workers(pids):
    """What could still compute; Ray leaves a program there that reads logs."""
    return [pid for pid in pids if any(name in cmdline(pid) for name in (b"raylet", b"ray::"))]


def written(network, text):
    """The shipped file with this network's addresses and its user, and nothing else changed."""
    for shipped, here in {
        "192.168.1.10": HEAD,
        "192.168.1.11, 192.168.1.12": ", ".join(WORKERS),
        "ssh_user: ubuntu": "ssh_user: root",
    }.items():
        assert text.count(shipped) == 1
        text = text.replace(shipped, here)
    key = network.folder / "user" / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    key.write_text("a key\n")
    (network.folder / "user" / "cluster.yaml").write_text(text)
    return str(network.folder / "user" / "cluster.yaml")


def test_three_machines_become_a_cluster_run_a_sweep_and_are_left(network, tmp_path):
    file = written(network, (ROOT / "cluster.yaml").read_text())
    home = network.folder / "user"
    network.run("ray", "get-auth-token", "--generate", cwd=home)
    network.run("ray", "up", "-y", file, cwd=ROOT)
    pip = yaml.safe_load((ROOT / "cluster.yaml").read_text())["setup_commands"][2].partition("pip ")[2]
    assert (network.folder / HEAD / "pip").read_text().split()[:2] == pip.split()[:2]

    def joined():
        said = network.run("ray", "exec", file, "ray list nodes --format json --limit 10", cwd=ROOT)
        return said.count('"ALIVE"') == 1 + len(WORKERS)

    until(joined, "the workers")
    (network.folder / HEAD / "small.toml").write_text(SPACE)
    network.run(
        "ray",
        "exec",
        file,
        "cd ~ && nai-sweep run small.toml --address auto --out ~/runs/small --no-track",
        cwd=ROOT,
    )
    network.run("ray", "rsync-down", file, "~/runs/", str(tmp_path / "runs"), cwd=ROOT)
    network.run("ray", "down", "-y", file, cwd=ROOT)
    used = [list((network.folder / one).glob("nai-sweep/nai/__pycache__/learn*")) for one in WORKERS]
    assert any(used)  # compiled there, by a worker that trained
    inline(tiny(), tmp_path / "whole")
    brought = tmp_path / "runs" / "small"
    assert lasting(rows(brought)) == lasting(rows(tmp_path / "whole"))
    assert results(brought) == results(tmp_path / "whole")
    assert record.read(brought / "records").problems == ()
    # the head at once; the others when they have looked for it for a minute or two
    for address in (HEAD, *WORKERS):
        until(lambda address=address: not workers(network.pids(address)), f"the end of Ray on {address}")
