"""Run tests with one changed file: `python -m mutants.alone <order>`; `mutants.running` starts it.

The order is a JSON file with the path and the new text of the file, the names of the tests, and the path
of the file that takes the name of the test that fails.
"""

import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest


class Chosen:
    """A plugin of pytest that keeps only some tests, in the order given, and notes which one fails."""

    def __init__(self, names: list[str], killer: str) -> None:
        self.places = {name: place for place, name in enumerate(names)}
        self.killer = killer

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.places]
        items.sort(key=lambda item: self.places[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            Path(self.killer).write_text(report.nodeid)


def main() -> int:
    """Return pytest's exit status."""
    order = json.loads(Path(sys.argv[1]).read_text())
    original = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        if self.path == order["path"]:
            return compile(order["text"], self.path, "exec", dont_inherit=True)
        return original(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]  # this process ends soon
    files = dict.fromkeys(name.partition("::")[0] for name in order["tests"])
    chosen = Chosen(order["tests"], order["killer"])
    quick = ["-p", "no:schemathesis", "-p", "no:hypothesispytest"]  # their imports take seconds
    return pytest.main(["-n0", "-x", "-q", *quick, *files], plugins=[chosen])


if __name__ == "__main__":
    sys.exit(main())
