"""The walks through the code name true lines, and each signal's receivers in the true order."""

import importlib

import pytest

from config.tests import walks
from config.tests.test_signals import connected


@pytest.fixture(scope="module")
def page() -> str:
    return (walks.ROOT / walks.PAGE).read_text(encoding="utf-8")


def test_the_page_is_current(page):
    """``make walks`` would write the page exactly as it is committed."""
    assert page == walks.refreshed(page), "Run `make walks` and commit the page."


def test_the_three_walks_are_there(page):
    assert [title.split(",")[0] for title in walks.walks(page)] == [
        "1. A video",
        "2. A purchase",
        "3. A refund",
    ]


def test_the_receivers_of_each_signal_are_in_the_true_order(page):
    presented = [
        pair for section in walks.walks(page).values() for pair in walks.listeners(section)
    ]
    assert len(presented) > 6
    for signal, listed in presented:
        module = importlib.import_module(signal.path.removesuffix(".py").replace("/", "."))
        named = [f"{it.path.removesuffix('.py').replace('/', '.')}.{it.name}" for it in listed]
        assert named == connected(getattr(module, signal.name)), signal


@pytest.fixture
def tree(tmp_path):
    """A repository with one module."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/till.py").write_text(
        "paid = Signal()\n\n\nclass Till:\n    def open(self):\n        def ring(): ...\n"
    )
    return tmp_path


def test_lines_and_links_are_refreshed(tree):
    text = (
        "See [`shop/till.py:9 Till.open`], [`shop/till.py:1 Till.open.ring`] and"
        " [`shop/till.py:7 paid`].\n"
    )

    page = walks.refreshed(text, tree)

    assert page == (
        "See [`shop/till.py:5 Till.open`], [`shop/till.py:6 Till.open.ring`] and"
        f" [`shop/till.py:1 paid`].\n\n{walks.LINKS}\n"
        "[`shop/till.py:1 paid`]: ../shop/till.py#L1\n"
        "[`shop/till.py:5 Till.open`]: ../shop/till.py#L5\n"
        "[`shop/till.py:6 Till.open.ring`]: ../shop/till.py#L6\n"
    )
    assert walks.refreshed(page, tree) == page


def test_a_name_that_does_not_exist_is_refused_with_the_nearest_one(tree):
    text = "[`shop/till.py:1 Till.opens`] [`shop/bill.py:1 pay`]"

    with pytest.raises(walks.UnknownName) as refused:
        walks.refreshed(text, tree)

    assert str(refused.value) == (
        "shop/till.py has no Till.opens. Did you mean Till.open?\n"
        "shop/bill.py does not exist, but the page names pay in it."
    )


def test_steps_and_receivers_are_read_from_the_lists():
    section = (
        "1. [`a.py:1 first`] calls\n   [`a.py:2 second`].\n   * See [`a.py:3 remark`].\n"
        "2. **Signal** [`b.py:1 sent`]. Heard by, in this order:\n   1. [`c.py:1 one`]\n"
        "      and more words.\n   2. [`c.py:2 two`]\n3. [`a.py:4 last`]\n"
    )

    assert [place.name for place in walks.steps(section)] == ["first", "second", "sent", "last"]
    assert [
        (signal.name, [receiver.name for receiver in receivers])
        for signal, receivers in walks.listeners(section)
    ] == [("sent", ["one", "two"])]
