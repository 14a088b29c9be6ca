"""The unit, the container and the manifests in deploy/ are well-formed, and fit how the service behaves."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tests.services.debian import need

from everyitem.settings import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = DEPLOY / "systemd/everyitem.service"
CONTAINERFILE = DEPLOY / "container/Containerfile"
MANIFESTS = DEPLOY / "kubernetes/everyitem.yaml"


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    return parser


def manifests():
    return {one["kind"]: one for one in yaml.safe_load_all(MANIFESTS.read_text(encoding="utf-8"))}


def pod():
    return manifests()["Deployment"]["spec"]["template"]["spec"]


@pytest.mark.service
@pytest.mark.timeout(300)
def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path):
    """Its own checker knows every directive; the exposure it reckons is in its good half."""
    analyze = need("systemd-analyze", packages=("systemd",))
    there = tmp_path / "everyitem.service"
    there.write_text(UNIT.read_text().replace("/opt/everyitem/bin/everyitem", sys.executable))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", there], capture_output=True, text=True, check=False, timeout=60
    )
    said = [line for line in checked.stderr.splitlines() if "everyitem" in line]
    assert (checked.returncode, said) == (0, [])
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", there],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    level = re.search(r"Overall exposure level for everyitem.service: ([0-9.]+)", judged.stdout)
    assert level is not None, judged.stdout + judged.stderr
    assert float(level[1]) < 3.0


def test_a_stop_leaves_time_for_a_drain():
    """Whoever is killed while draining loses nothing, but repeats."""
    service = unit()["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) >= Settings().drain_seconds + 30
    container = pod()["containers"][0]
    settings = manifests()["ConfigMap"]["data"]["everyitem.toml"]
    drain = int(re.search(r"drainSeconds = (\d+)", settings)[1])
    pause = int(re.search(r"sleep\((\d+)\)", container["lifecycle"]["preStop"]["exec"]["command"][-1])[1])
    assert pod()["terminationGracePeriodSeconds"] >= pause + drain + 10


@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_kubernetes_takes_the_manifests(version):
    """Every object and every field, by the schemas of an old and a new version."""
    for kind, manifest in manifests().items():
        kubernetes_validate.validate(manifest, version, strict=True)
        assert manifest["metadata"]["name"] == "everyitem", kind


def test_probes_ask_what_there_is_and_the_container_may_do_little():
    """Alive is not ready: a service that drains is alive."""
    container = pod()["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod()["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"/data", "/tmp"}


def test_the_container_runs_as_nobody_special_and_hears_signals():
    """Not built here: there is nothing to build containers with. No shell stands before the service."""
    lines = CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    said = {
        line.split()[0]: line.partition(" ")[2] for line in lines if line and not line.startswith(("#", " "))
    }
    assert said["USER"] == "10001"
    assert said["ENTRYPOINT"] == '["everyitem"]'
    assert said["CMD"] == '["serve", "--host", "0.0.0.0"]'
    assert "readyz" in CONTAINERFILE.read_text(encoding="utf-8")
