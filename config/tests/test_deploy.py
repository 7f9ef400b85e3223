"""Compose, Kubernetes and systemd accept the files of deploy/, which name real settings and commands."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from compose_pydantic import ComposeSpecification
from django.conf import settings
from django.core.management import get_commands

from config.queues import QUEUES

DEPLOY = settings.BASE_DIR / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
# Older versions of systemd ignore what they do not know.
TOO_NEW = re.compile(r"Unknown key '?DelegateSubgroup'?")


def known_settings() -> set[str]:
    lines = (settings.BASE_DIR / ".env.example").read_text().splitlines()
    return {line.partition("=")[0] for line in lines if re.match("[A-Z0-9_]+=", line)}


def compose() -> dict:
    content: dict = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return content


def manifests() -> list[dict]:
    """Return all objects of the manifests; those of a list one by one."""
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    documents = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    return [item for each in documents for item in each.get("items", [each])]


def test_kubernetes_takes_the_manifests():
    """Each object against the schemas of Kubernetes, without unknown fields."""
    assert len(manifests()) > 5
    for each in manifests():
        kubernetes_validate.validate(each, "1.31", strict=True)


def test_compose_takes_its_file():
    content = {key: value for key, value in compose().items() if not key.startswith("x-")}
    services = ComposeSpecification(**content).services or {}
    assert {"web", "light", "heavy", "beat", "migrate", "proxy-files", "proxy"} <= services.keys()


def test_compose_waits_only_for_services_that_it_has_and_pins_images():
    services = compose()["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= services.keys(), name
        assert "build" in service or re.search(r":[0-9]", service["image"]), name


def workers(part: str) -> list[set[str]]:
    """Return the queues of each worker of Celery in a part of deploy/."""
    texts = {
        "compose": [str(each.get("command", "")) for each in compose()["services"].values()],
        "kubernetes": [
            " ".join(map(str, container.get("command", ())))
            for each in manifests()
            if each["kind"] == "Deployment"
            for container in each["spec"]["template"]["spec"]["containers"]
        ],
        "systemd": [unit.read_text() for unit in UNITS],
    }[part]
    found = [re.search(r"celery -A config worker\b.* -Q ([a-z,]+)", text) for text in texts]
    return [set(match[1].split(",")) for match in found if match]


@pytest.mark.parametrize("part", ["compose", "kubernetes", "systemd"])
def test_no_long_encode_holds_up_mails_and_first_renditions(part):
    """A pool that does both is full of encodes sooner or later, and they take hours."""
    found = workers(part)
    assert set().union(*found) == set(QUEUES)
    for queues in found:
        assert not (queues & {"first", "periodic"} and queues & {"transcode", "captions"})


def test_an_upload_goes_on_where_its_bytes_are():
    """Each pod has a disk of its own, and other pods answer 410."""
    web = next(each for each in manifests() if each["metadata"]["name"] == "vod-web")
    assert web["spec"]["replicas"] > 1
    assert web["spec"]["template"]["spec"]["volumes"] == [
        {"name": "data", "emptyDir": {"sizeLimit": "60Gi"}}
    ]
    ingress = next(each for each in manifests() if each["kind"] == "Ingress")
    notes = ingress["metadata"]["annotations"]
    assert notes["nginx.ingress.kubernetes.io/upstream-hash-by"] == "$remote_addr"


@pytest.mark.parametrize(
    "name", ["compose.yaml", "kubernetes/service.yaml", "kubernetes/one-job.yaml", "Dockerfile"]
)
def test_settings_and_commands_are_those_of_the_service(name):
    text = (DEPLOY / name).read_text()
    given = set(compose()["x-service"]["environment"])
    for each in manifests():
        given |= set(each.get("data", {}))
    assert given <= known_settings()
    commands = re.findall(r"manage\.py[\",\s]+([a-z_]+)", text)
    assert set(commands) <= get_commands().keys()
    assert commands


@pytest.mark.programs
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_units(tmp_path, unit):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("missing: systemd-analyze")
    text = unit.read_text()
    assert "KillMode=mixed" in text
    # The service is not installed on this machine.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/opt/vod/\.venv/bin/\S+", "/bin/true", text))
    done = subprocess.run(
        [program, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    wrong = [line for line in done.stderr.splitlines() if unit.stem.rstrip("@") in line]
    assert [line for line in wrong if not TOO_NEW.search(line)] == []
