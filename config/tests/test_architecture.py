"""The direction of imports, the names of files and the size of files."""

import logging.config
from pathlib import Path

import pytest
from django.conf import settings
from django.core import management as core_management
from django.core.management import find_commands
from importlinter.cli import lint_imports

APPS = ["config", "audit", "accounts", "videos", "payments", "webhooks", "streaming", "analytics"]
FILE_LINES_MAX = 400

# The flows of payments. A file of a layer is named after a flow, or after a table that serves them all.
FLOWS = {
    "offers", "buying", "subscribing", "settling", "access", "sharing", "payouts", "gateway_news",
    "books",
}  # fmt: skip
TABLES_OF_ALL = {"modes", "notices", "idempotency", "sandbox"}
LAYERS = ["models", "services", "serializers", "views", "admin"]


def sources(app: str) -> list[Path]:
    """Return the files of an app that are neither tests nor migrations."""
    return [
        path
        for path in (settings.BASE_DIR / app).rglob("*.py")
        if "tests" not in path.parts and "migrations" not in path.parts
    ]


def test_imports_point_down(capsys, monkeypatch):
    """The contracts stand in ``pyproject.toml``; ``lint-imports`` prints each import that breaks one."""
    # lint-imports configures logging, which would switch off the loggers of all later tests.
    monkeypatch.setattr(logging.config, "dictConfig", lambda config: None)
    broken = lint_imports(config_filename=str(settings.BASE_DIR / "pyproject.toml"), no_cache=True)
    assert broken == 0, capsys.readouterr().out


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_of_payments_names_its_files_by_flow(layer):
    names = {path.stem for path in (settings.BASE_DIR / "payments" / layer).iterdir()}
    assert names - {"__init__", "__pycache__"} <= FLOWS | TABLES_OF_ALL


@pytest.mark.parametrize("app", APPS)
def test_files_are_short(app):
    long = {
        str(path.relative_to(settings.BASE_DIR)): lines
        for path in sources(app)
        if (lines := path.read_text(encoding="utf-8").count("\n")) > FILE_LINES_MAX
    }
    assert long == {}


def test_the_readme_lists_every_command():
    commands = settings.BASE_DIR.glob("*/management/commands/[a-z]*.py")
    readme = (settings.BASE_DIR / "README.md").read_text(encoding="utf-8")
    of_django = find_commands(core_management.__path__[0])  # one of ours extends its `migrate`
    missing = {path.stem for path in commands if path.stem not in readme}
    assert missing - set(of_django) == set()
