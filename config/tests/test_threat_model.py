"""The threat model names only tests that exist, and each of its numbers once."""

import ast
import re
from functools import cache

import pytest

from config.tests import walks

ROOT = walks.ROOT
PAGE = "docs/threat-model.md"
IDS = [f"T{number}" for number in (*range(1, 139), *range(150, 159))] + [
    f"F{number}" for number in range(1, 43)
]
WITHOUT_TEST = "**Not built:** ", "**Not held:** "


def rows() -> list[list[str]]:
    """Return the cells of each row about a threat or a fault: number, text, what holds it, tests."""
    lines = (ROOT / PAGE).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [row for row in cells if row and re.fullmatch(r"[TF]\d+", row[0])]


def named(cell: str) -> list[tuple[str, str]]:
    """Return the file and the test, or "", of each test that a cell names."""
    found, file = [], ""
    for span in re.findall(r"`([^`]+)`", cell):
        path, _, name = span.partition("::")
        if path.endswith(".py") or not path:
            file = path or file
            found.append((file, name))
    return found


@cache
def names_in(file: str) -> set[str]:
    """Return the names of the tests of a file, and of its classes, as pytest writes them."""
    if not (ROOT / file).is_file():
        return set()
    names = {""}
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [it.name for it in node.body if isinstance(it, ast.FunctionDef)]
            names |= {node.name, *(f"{node.name}::{method}" for method in methods)}
    return {name for name in names if not name or name.rpartition("::")[2].lower()[:4] == "test"}


def test_each_number_is_there_once():
    numbers = [row[0] for row in rows()]
    assert len(set(numbers)) == len(numbers)
    assert set(IDS) <= set(numbers), "a threat or a fault is no longer on the page"


def test_the_list_of_what_is_open_is_complete():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    listed = text.partition("## What is open")[2].partition("\n## ")[0]
    marks = re.compile(r"\*\*(?:partly|not built|not held)\b", re.IGNORECASE)
    is_open = [row[0] for row in rows() if marks.search(row[2])]
    assert sorted(re.findall(r"\b[TF]\d+", listed)) == sorted(is_open)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_tests_that_exist_or_says_why_there_are_none(row):
    number, threat, held_by, tests = row
    assert threat, number
    assert held_by, number
    assert [pair for pair in named(tests) if pair[1] not in names_in(pair[0])] == []
    assert named(tests) or held_by.startswith(WITHOUT_TEST)


def test_tests_are_found_in_their_classes():
    assert "TestRestore::test_only_administrators_may_restore" in names_in(
        "videos/tests/test_catalogue_change.py"
    )
    assert named("`a/b.py::test_x`, `::TestY`, `make attack`, `c.py`") == [
        ("a/b.py", "test_x"),
        ("a/b.py", "TestY"),
        ("c.py", ""),
    ]
