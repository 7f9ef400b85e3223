"""The checker of accessibility axe-core, in pages of a real Chromium."""

from functools import cache
from pathlib import Path
from typing import Any

from config.tests import npm

PACKAGE = Path(__file__).parents[2] / "analytics" / "tests" / "desk"


@cache
def script() -> str:
    return (npm.installed(PACKAGE) / "axe-core" / "axe.min.js").read_text()


def assert_accessible(page: Any) -> None:
    """Fail for what axe-core calls a serious or critical violation in a page or a frame."""
    page.evaluate(script())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert [
        (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ] == []
