"""Alert rules and dashboard: Prometheus takes them, a fault fires each rule, and all metrics exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from config.tests import exposition
from config.tests.test_metrics import new as new  # nothing has been read yet

DEPLOY = settings.BASE_DIR / "deploy"
RULES, TESTS = (DEPLOY / "prometheus" / name for name in ("vod.rules.yml", "vod.rules.test.yml"))
DASHBOARD = DEPLOY / "grafana" / "vod.json"
METRIC = re.compile(r"\b(vod_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!=|=)\s*"([^"]*)"')


def rules() -> list[dict]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict]:
    shown: list[dict] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return shown


def expressions() -> Iterator[tuple[str, str]]:
    """Yield a name and the expression of each rule and of each target of the dashboard."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.fixture(scope="module")
def promtool() -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("missing: promtool (apt-get install prometheus)")
    return program


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=RULES.parent, capture_output=True, text=True, check=False
    )


@pytest.mark.programs
def test_prometheus_takes_the_rules_and_the_configuration(promtool):
    done = run(promtool, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.programs
@pytest.mark.long
def test_a_fault_fires_each_rule_and_a_sound_service_none(promtool):
    done = run(promtool, "test", "rules", TESTS)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_has_a_fault_that_fires_it_and_a_state_that_does_not():
    cases = yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
    tested = [each for case in cases for each in case["alert_rule_test"]]
    names = [rule["alert"] for rule in rules()]

    assert len(names) == len(set(names))
    assert {each["alertname"] for each in tested if each["exp_alerts"]} == set(names)
    assert {each["alertname"] for each in tested if not each["exp_alerts"]} == set(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]


@pytest.mark.programs
def test_prometheus_takes_each_expression_of_the_dashboard(promtool, tmp_path):
    records = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, (_, expression) in enumerate(expressions())
    ]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    done = run(promtool, "check", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(records)} rules found" in done.stdout


@pytest.mark.django_db
def test_each_metric_that_a_rule_or_a_panel_names_is_served_with_its_labels():
    served = {name: family for family in exposition.everything() for name in names_of(family)}
    known: dict[str, set[str]] = documented_labels()
    wrong = []
    for where, expression in expressions():
        for name, matchers in METRIC.findall(expression):
            if name not in served:
                wrong.append(f"{where}: {name}")
                continue
            for label, operator, value in MATCHER.findall(matchers):
                if label not in known[exposition.public_name(served[name])]:
                    wrong.append(f"{where}: {name} has no label {label}")
                values = {sample.labels.get(label) for sample in served[name].samples}
                wanted = set(value.split("|")) if operator == "=~" else {value}
                if values and served[name].type == "gauge" and not wanted <= values:
                    wrong.append(f"{where}: {name} has no {label} {wanted - values}")
    assert wrong == []


def names_of(family) -> set[str]:
    """Return the names of all samples that a metric has when it has a value."""
    if family.type == "histogram":
        return {f"{family.name}_{end}" for end in ("bucket", "count", "sum")}
    return {exposition.public_name(family)}


def documented_labels() -> dict[str, set[str]]:
    text = (settings.BASE_DIR / "docs" / "operations.md").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        cells = line.split("|")
        for name in re.findall(r"`(vod_\w+)`", cells[1] if len(cells) > 3 else ""):
            found[name] = set(re.findall(r"`(\w+)`", cells[2]))
    return found


def test_the_dashboard_is_whole():
    """Each panel has a title, a place of its own and a data source that can be chosen."""
    shown = panels()
    assert len({panel["id"] for panel in shown}) == len(shown)
    taken: set[tuple[int, int]] = set()
    for panel in shown:
        place = panel["gridPos"]
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"


def test_the_documentation_names_each_alert():
    text = (settings.BASE_DIR / "docs" / "operations.md").read_text(encoding="utf-8")
    assert {rule["alert"] for rule in rules()} == set(re.findall(r"`(Vod[A-Z]\w+)`", text))
