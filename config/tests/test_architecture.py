"""The direction of imports, and the size of files."""

import ast
from pathlib import Path

import pytest
from django.conf import settings

# Bottom to top: an app may import itself and anything before it.
LAYERS = ["config", "audit", "accounts", "videos", "payments", "streaming", "analytics"]
# The modules of config that put the apps together. No app may import them.
COMPOSITION = {"config.settings", "config.urls", "config.asgi", "config.wsgi", "config.bootstrap"}
PROCESSES = {"subprocess", "multiprocessing", "pty"}
FILE_LINES_MAX = 400


def sources(app: str) -> list[Path]:
    return [
        path
        for path in (settings.BASE_DIR / app).rglob("*.py")
        if "tests" not in path.parts and "migrations" not in path.parts
    ]


def imported_modules(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, also inside functions."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def name(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


@pytest.mark.parametrize("app", LAYERS)
def test_imports_point_down(app):
    forbidden = set(LAYERS[LAYERS.index(app) + 1 :])
    offenders = {
        name(path): sorted(upwards)
        for path in sources(app)
        if (upwards := {m for m in imported_modules(path) if m.split(".")[0] in forbidden})
    }
    assert offenders == {}


@pytest.mark.parametrize("app", LAYERS)
def test_nothing_imports_the_composition(app):
    allowed = {"config/asgi.py", "config/urls.py", "config/wsgi.py"}
    offenders = {
        name(path): sorted(composition)
        for path in sources(app)
        if name(path) not in allowed and (composition := imported_modules(path) & COMPOSITION)
    }
    assert offenders == {}


@pytest.mark.parametrize("app", LAYERS)
def test_only_the_pipeline_and_the_worker_start_processes(app):
    allowed = {"videos/worker.py"}
    offenders = [
        name(path)
        for path in sources(app)
        if "processing" not in path.parts
        and name(path) not in allowed
        and imported_modules(path) & PROCESSES
    ]
    assert offenders == []


@pytest.mark.parametrize("app", LAYERS)
def test_files_are_short(app):
    long = {name(p): n for p in sources(app) if (n := p.read_text().count("\n")) > FILE_LINES_MAX}
    assert long == {}
