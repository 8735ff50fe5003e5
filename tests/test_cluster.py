"""The cluster files are such as Ray and KubeRay accept, and start nothing that a stranger could use."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
FILES = ("cluster.yaml", "deploy/aws.yaml", "deploy/gcp.yaml")
CLOUDS = FILES[1:]
KEYS = ("head_start_ray_commands", "worker_start_ray_commands")
Config = dict[str, Any]


def loaded(name: str) -> Config:
    read: Config = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return read


@pytest.fixture
def config() -> Config:
    return loaded("cluster.yaml")


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


def pinned() -> Requirement:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    (ray,) = [Requirement(line) for line in lines if line.startswith("ray==")]
    return ray


def test_ray_accepts_it_and_starts_every_machine(config):
    machines = len(config["provider"]["worker_ips"])
    (kind,) = check(config)["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == machines


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds_start_workers_with_a_card_as_they_are_wanted_and_none_before(name):
    config = loaded(name)
    kinds = check(copy.deepcopy(config))["available_node_types"]
    worker = kinds["gpu"]
    assert config["head_node_type"] == "head" and kinds["head"]["resources"]["CPU"] == 0
    assert (worker["min_workers"], worker["max_workers"]) == (0, config["max_workers"])
    text = json.dumps(worker["node_config"])
    assert '"MarketType": "spot"' in text or '"preemptible": true' in text
    head = json.dumps(kinds["head"]["node_config"])  # the records lie there
    assert "spot" not in head and "preemptible" not in head


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("table", "key", "typo"),
    [
        pytest.param((), "worker_start_ray_commands", "worker_start_ray_comands", id="top"),
        pytest.param(("auth",), "ssh_user", "ssh_usr", id="auth"),
    ],
)
def test_a_planted_typo_is_refused_by_name(name, table, key, typo):
    config = loaded(name)
    part = config
    for one in table:
        part = part[one]
    part[typo] = part.pop(key)
    with pytest.raises(Exception, match=f"'{typo}' was unexpected"):
        check(config)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", FILES)
def test_every_ray_asks_for_the_token_and_reports_nothing(name, key):
    (command,) = starts(loaded(name), key)
    assert "export RAY_AUTH_MODE=token" in command
    assert "--disable-usage-stats" in command


@pytest.mark.parametrize("name", FILES)
def test_token_reaches_every_machine_readable_by_its_owner_alone(name):
    config = loaded(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["setup_commands"][0] == "chmod 600 ~/.ray/auth_token"


@pytest.mark.parametrize("name", FILES)
def test_dashboard_answers_on_the_head_alone(name):
    (command,) = starts(loaded(name), "head_start_ray_commands")
    assert command.count("--dashboard-host") == command.count("--dashboard-host=127.0.0.1") == 1


@pytest.mark.parametrize("name", FILES)
def test_every_machine_gets_one_and_the_same_ray(name):
    """Ray refuses to mix versions, so the machines install from the clone's constraints, which pin it."""
    assert any(
        "pip install" in command and "-c ~/nai-sweep/constraints.txt" in command
        for command in loaded(name)["setup_commands"]
    )
    assert len(pinned().specifier) == 1


@pytest.mark.parametrize("name", [*FILES, "deploy/kuberay.yaml"])
def test_the_command_that_it_shows_joins_the_cluster(name):
    lines = (ROOT / name).read_text().splitlines()
    (line,) = [one for one in lines if "nai-sweep run" in one]
    assert " --address auto " in line  # without it the sweep runs on the head alone
    whole = " ".join(lines)
    assert ("resources.workers=8" in whole) == (name != "cluster.yaml")  # or nothing makes machines start


# ------------------------------------------------------------------ Kubernetes
@pytest.fixture
def kuberay() -> Config:
    return loaded("deploy/kuberay.yaml")


def examined(manifest: Config) -> None:
    schema = json.loads((ROOT / "tests" / "kuberay_schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema)


def test_kuberay_accepts_it(kuberay):
    examined(kuberay)


@pytest.mark.parametrize(
    ("path", "typo"),
    [
        (("spec", "workerGroupSpecs"), "workerGroupSpec"),
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "maxReplica"),
        (("spec", "authOptions", "mode"), "moed"),
        (("spec", "headGroupSpec", "template", "spec", "containers"), "container"),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "volumeMounts"), "volumeMount"),
    ],
)
def test_a_typo_in_the_manifest_is_refused_by_name(kuberay, path, typo):
    part: Any = kuberay
    for one in path[:-1]:
        part = part[one]
    part[typo] = part.pop(path[-1])
    with pytest.raises(jsonschema.ValidationError, match=typo):
        examined(kuberay)


def test_pods_have_the_ray_that_is_pinned_its_token_and_no_card_idle(kuberay):
    spec = kuberay["spec"]
    (group,) = spec["workerGroupSpecs"]
    assert spec["rayVersion"] in pinned().specifier and spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] and (group["minReplicas"], group["replicas"]) == (0, 0)
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    pods = [spec["headGroupSpec"]["template"]["spec"], group["template"]["spec"]]
    images = {pod["containers"][0]["image"] for pod in pods}
    assert len(images) == 1
    assert pods[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    off = {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}
    assert all(off in pod["containers"][0]["env"] for pod in pods)


def test_records_outlive_the_head(kuberay):
    pod = kuberay["spec"]["headGroupSpec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert "persistentVolumeClaim" in volume and mount["name"] == volume["name"]
    text = (ROOT / "deploy" / "kuberay.yaml").read_text()
    assert f"--out {mount['mountPath']}/" in text
