"""Clients that are generated from the OpenAPI document make a journey against a live service.

The journeys lie in `analytics/tests/clients`: one with openapi-python-client, one with
openapi-typescript and openapi-fetch, and one with @hey-api/openapi-ts. Their types are checked, and then
they are run. Two linters check the document itself. `make test-journeys` runs these tests; `make test`
does not.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from config.tests import npm
from videos.tests import processes
from videos.tests.media import make_clip

pytestmark = [pytest.mark.journeys, pytest.mark.xdist_group("clients")]

HERE = Path(__file__).parent / "clients"
# The warnings that are left, with their reasons in docs/testing.md.
REDOCLY_WARNS = {"info-license"}
SPECTRAL_WARNS = {"path-keys-no-trailing-slash"}


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a program, and return what it prints; fail with all of that if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> Path:
    """The OpenAPI document as a file."""
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    call_command("spectacular", format="openapi-json", file=str(path))
    return path


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The npm packages of the lock file."""
    return npm.installed(HERE)


@pytest.fixture(scope="module")
def python_client(document, tmp_path_factory) -> Path:
    """The folder of the generated Python client."""
    folder = tmp_path_factory.mktemp("python")
    settings = HERE / "openapi-python-client.yaml"
    run(
        sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning",
        "--path", document, "--config", settings, "--meta", "none",
        "--output-path", folder / "vod_client", cwd=folder,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def typescript_clients(document, node_modules, tmp_path_factory) -> Path:
    """The folder of both TypeScript clients and their journeys, which ``tsc`` has compiled."""
    folder = tmp_path_factory.mktemp("typescript")
    for path in HERE.iterdir():
        shutil.copy(path, folder)
    (folder / "node_modules").symlink_to(node_modules)
    run("node", "generate.mjs", document, "generated", cwd=folder)
    run(node_modules / ".bin" / "tsc", "--project", "tsconfig.json", cwd=folder)
    return folder


@pytest.fixture
def service(media, transactional_db):
    """The address of a live service: a web server and a worker, on the test's own database."""
    with processes.web() as (_, port), processes.worker():
        yield f"http://127.0.0.1:{port}"


def test_every_module_of_the_python_client_can_be_imported(python_client):
    modules = sorted((python_client / "vod_client").rglob("*.py"))
    names = [".".join(path.relative_to(python_client).with_suffix("").parts) for path in modules]
    assert len(names) > 200
    run(sys.executable, "-c", "\n".join(f"import {name}" for name in names), cwd=python_client)


def test_the_python_journey_has_strict_types(python_client):
    run(
        sys.executable, "-m", "mypy", "--config-file=", "--strict", "--disallow-any-explicit",
        "--follow-imports=silent", HERE / "journey.py", cwd=python_client,
    )  # fmt: skip


@pytest.mark.parametrize("journey", ["journey.py", "journey_fetch.ts", "journey_hey.ts"])
def test_a_journey_has_no_cast(journey):
    """The compilers allow casts, so these are looked for by their words."""
    text = (HERE / journey).read_text(encoding="utf-8")
    assert re.findall(r"\bcast\(|type: ?ignore|@ts-\w+", text) == []
    if journey.endswith(".ts"):
        code = re.sub(r"^ *//.*|/\*[\s\S]*?\*/|^import[^;]*;", "", text, flags=re.MULTILINE)
        code = re.sub(r'"[^"]*"|`[^`]*`', '""', code)
        assert re.findall(r"\b(?:any|as)\b|[\w)\]]!(?!=)", code) == []


def test_each_journey_succeeds(
    python_client, typescript_clients, service, tmp_path, settings, subtests
):
    # One of its three segments is played: a video that was played further cannot be returned.
    clip = make_clip(tmp_path / "clip.mp4", seconds=10)
    arguments = (service, clip, settings.DEFAULT_ADMIN_EMAIL, settings.DEFAULT_ADMIN_PASSWORD)
    with subtests.test("openapi-python-client"):
        run(sys.executable, HERE / "journey.py", *arguments, cwd=python_client, PYTHONPATH=".")
    for name in ("fetch", "hey"):
        with subtests.test(name):
            run("node", f"run/journey_{name}.js", *arguments, cwd=typescript_clients)
    assert "Traceback" not in processes.log()


def test_redocly_finds_no_error(document, node_modules):
    command = (node_modules / ".bin" / "redocly", "lint", document, "--format=json")
    found = json.loads(run(*command, "--config", HERE / "redocly.yaml", cwd=node_modules.parent))
    assert {problem["ruleId"] for problem in found["problems"]} == REDOCLY_WARNS, found["problems"]


def test_spectral_finds_no_error(document, node_modules):
    command = (node_modules / ".bin" / "spectral", "lint", document, "--format=json", "--quiet")
    found = json.loads(run(*command, "--ruleset", HERE / "spectral.yaml", cwd=node_modules.parent))
    assert {problem["code"] for problem in found} == SPECTRAL_WARNS, found
