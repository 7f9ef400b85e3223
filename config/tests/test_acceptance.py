"""The page of promises about money is current, and every promise on it is held by a test."""

import ast
import re
from collections import Counter

import pytest

from config.tests import acceptance

NUMBERED = re.compile(r"\bMoney \d")


def test_the_page_is_current():
    """``make acceptance`` would write the page exactly as it is committed."""
    expected = acceptance.page(acceptance.promises(), acceptance.marks())
    committed = (acceptance.ROOT / acceptance.PAGE).read_text(encoding="utf-8")
    assert committed == expected, "Run `make acceptance` and commit the page."


def test_every_promise_has_an_id_of_its_own():
    ids = Counter(promise.id for promise in acceptance.promises())
    assert [name for name, count in ids.items() if count > 1] == []
    assert [name for name in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)] == []


def test_every_promise_is_held_by_a_test():
    held = {mark.promise for mark in acceptance.marks()}
    assert [promise.id for promise in acceptance.promises() if promise.id not in held] == []


def test_every_mark_names_a_promise():
    known = {promise.id for promise in acceptance.promises()}
    assert [mark for mark in acceptance.marks() if mark.promise not in known] == []


def test_no_docstring_names_a_promise_by_a_number():
    """A number such as "Money" and 76 says nothing to a reader who has only the repository."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    numbered = [
        f"{path.relative_to(acceptance.ROOT)}: {ast.get_docstring(node)}"
        for path in acceptance.files_of_tests()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, documented) and NUMBERED.search(ast.get_docstring(node) or "")
    ]
    assert numbered == []


@pytest.fixture
def tree(tmp_path):
    """A repository with two promises and one test file, whose text the test gives."""

    def make(text: str):
        (tmp_path / "docs/acceptance").mkdir(parents=True)
        (tmp_path / acceptance.PROMISES).write_text(
            '["Books"]\nbooks-balance = """\nThe books\nbalance."""\nno-debt = "No debt."\n'
        )
        (tmp_path / "shop/tests").mkdir(parents=True)
        (tmp_path / "shop/tests/test_shop.py").write_text(text)
        return tmp_path

    return make


def test_marks_are_read_from_functions_methods_and_classes(tree):
    root = tree(
        '@pytest.mark.promise("no-debt", "books-balance")\n@pytest.mark.django_db\ndef test_a(): ...\n'
        '@pytest.mark.promise("books-balance")\nclass TestB:\n'
        '    @pytest.mark.promise("no-debt")\n    async def test_c(self): ...\n'
        "@pytest.mark.postgres\ndef test_d(): ...\n"
    )

    assert [(mark.test, mark.promise) for mark in acceptance.marks(root)] == [
        ("test_a", "no-debt"),
        ("test_a", "books-balance"),
        ("TestB", "books-balance"),
        ("TestB::test_c", "no-debt"),
    ]


def test_the_page_lists_each_promise_with_its_tests(tree):
    root = tree('@pytest.mark.promise("books-balance")\ndef test_a(): ...\n')

    text = acceptance.page(acceptance.promises(root), acceptance.marks(root))

    assert text.startswith(acceptance.HEAD)
    assert (
        "## Books\n\n### books-balance\n\nThe books balance.\n\n* [shop/tests/test_shop.py]" in text
    )
    assert "(../../shop/tests/test_shop.py)::test_a\n\n### no-debt\n\nNo debt.\n" in text


@pytest.mark.parametrize(
    "text",
    [
        '@pytest.mark.promise("no-debt")\ndef helper(): ...\n',
        '@pytest.mark.promise("no-debt")\n@pytest.fixture\ndef sale(): ...\n',
        'class Base:\n    @pytest.mark.promise("no-debt")\n    def test_a(self): ...\n',
        "@pytest.mark.promise(NAME)\ndef test_a(): ...\n",
        "@pytest.mark.promise()\ndef test_a(): ...\n",
        "@pytest.mark.promise\ndef test_a(): ...\n",
    ],
)
def test_a_mark_that_holds_nothing_is_refused(tree, text):
    """A mark on a function that pytest does not run, or without a literal id, would promise falsely."""
    with pytest.raises(ValueError, match="test_shop"):
        acceptance.marks(tree(text))
