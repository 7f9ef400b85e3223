"""The page of promises about money: ``python -m config.tests.acceptance`` writes it.

``docs/acceptance/money.toml`` holds the promises in words. A test that holds one of them names its id,
``@pytest.mark.promise("refund-booked-once")``, on the function or on its class. The page lists both.
Tests are read, not run or imported, so the page can be written without a database.
"""

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMISES = Path("docs/acceptance/money.toml")
PAGE = Path("docs/acceptance/money.md")
HEAD = """\
# What is promised about money, and which tests hold it

`make acceptance` writes this page from `money.toml` and from the tests that are marked with a promise's
id. Do not edit it: change a sentence in `money.toml` or a mark on a test, and run the command again.
"""


@dataclass(frozen=True)
class Promise:
    """One promise: its id, the section of the page that it belongs to, and its sentence."""

    id: str
    section: str
    text: str


@dataclass(frozen=True, order=True)
class Mark:
    """The mark of one promise on a test function or a test class."""

    path: str  # relative to the repository's root
    test: str  # "test_name", "TestClass" or "TestClass::test_name"
    promise: str


def promises(root: Path = ROOT) -> list[Promise]:
    """Return all promises in the order of the file."""
    tables = tomllib.loads((root / PROMISES).read_text(encoding="utf-8"))
    return [
        Promise(id=name, section=section, text=" ".join(text.split()))
        for section, table in tables.items()
        for name, text in table.items()
    ]


def files_of_tests(root: Path = ROOT) -> list[Path]:
    """Return every test file of every app, in the order of their paths."""
    return sorted(root.glob("*/tests/**/*.py"))


def marks(root: Path = ROOT) -> list[Mark]:
    """Return every mark of a promise in the test files, ordered by file and by place in the file.

    Raises ValueError for a mark that pytest would never run or that cannot be read without running
    the file: a mark on a function or class that is no test, or an id that is not a literal string.
    """
    found = []
    for file in files_of_tests(root):
        path = file.relative_to(root).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=path)
        for test, decorator in _decorators(tree.body):
            for promise in _promises_of(decorator, f"{path}::{test}"):
                found.append(Mark(path, test, promise))
    return found


def _decorators(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.expr]]:
    """Yield the full name and each decorator of all functions and classes, nested ones included."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                yield prefix + node.name, decorator
            yield from _decorators(node.body, f"{prefix}{node.name}::")


def _promises_of(decorator: ast.expr, test: str) -> list[str]:
    if "mark.promise" not in ast.unparse(decorator).split("(")[0]:
        return []
    names = test.split("::")[1:]
    is_test = names[-1].startswith(("test_", "Test")) and all(
        n.startswith("Test") for n in names[:-1]
    )
    if not is_test:
        raise ValueError(f"{test} is no test, so it can hold no promise.")
    arguments = decorator.args if isinstance(decorator, ast.Call) else []
    ids = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if not ids or len(ids) != len(arguments):
        raise ValueError(f"{test}: the ids of its promises must be literal strings.")
    return ids


def page(known: list[Promise], held: list[Mark]) -> str:
    """Return the page as Markdown: each section, each promise, and the tests that hold it."""
    tests = defaultdict(list)
    for mark in held:
        tests[mark.promise].append(f"* [{mark.path}](../../{mark.path})::{mark.test}")
    parts, section = [HEAD], ""
    for promise in known:
        if promise.section != section:
            section = promise.section
            parts.append(f"## {section}\n")
        parts.append(f"### {promise.id}\n\n{promise.text}\n")
        parts.append("\n".join(tests[promise.id]) + "\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    (ROOT / PAGE).write_text(page(promises(), marks()), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")


if __name__ == "__main__":
    main()
