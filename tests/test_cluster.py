"""The cluster file is one that Ray accepts, and starts nothing that a stranger could use."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
Config = dict[str, Any]


@pytest.fixture
def config() -> Config:
    read: Config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    return read


def check(config: Config) -> Config:
    """What `ray up` checks before it touches a machine; the completed configuration."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared: Config = prepare_config(config)
    validate_config(prepared)
    return prepared


def starts(config: Config, key: str) -> list[str]:
    return [
        command for command in config[key] if " ray start " in command.replace("/ray start", " ray start")
    ]


def test_ray_accepts_it_and_starts_every_machine(config):
    machines = len(config["provider"]["worker_ips"])
    (kind,) = check(config)["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == machines


@pytest.mark.parametrize(
    ("table", "key", "typo"),
    [
        pytest.param((), "worker_start_ray_commands", "worker_start_ray_comands", id="top"),
        pytest.param(("auth",), "ssh_private_key", "ssh_privat_key", id="auth"),
    ],
)
def test_a_planted_typo_is_refused_by_name(config, table, key, typo):
    part = config
    for name in table:
        part = part[name]
    part[typo] = part.pop(key)
    with pytest.raises(Exception, match=f"'{typo}' was unexpected"):
        check(config)


@pytest.mark.parametrize("key", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_every_ray_asks_for_the_token_and_reports_nothing(config, key):
    (command,) = starts(config, key)
    assert "export RAY_AUTH_MODE=token" in command
    assert "--disable-usage-stats" in command


def test_token_reaches_every_machine_readable_by_its_owner_alone(config):
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["setup_commands"][0] == "chmod 600 ~/.ray/auth_token"


def test_dashboard_answers_on_the_head_alone(config):
    (command,) = starts(config, "head_start_ray_commands")
    assert command.count("--dashboard-host") == command.count("--dashboard-host=127.0.0.1") == 1


def test_every_machine_gets_one_and_the_same_ray(config):
    """Ray refuses to mix versions, so the machines install from the clone's constraints, which pin it."""
    assert any(
        "pip install" in command and "-c ~/nai-sweep/constraints.txt" in command
        for command in config["setup_commands"]
    )
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (ray,) = [line for line in lines if line.startswith("ray==")]
    assert len(Requirement(ray).specifier) == 1


def test_the_command_that_it_shows_joins_the_cluster():
    (line,) = [one for one in (ROOT / "cluster.yaml").read_text().splitlines() if "nai-sweep run" in one]
    assert " --address auto " in line  # without it the sweep runs on the head alone
