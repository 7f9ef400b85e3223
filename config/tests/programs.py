"""The marks ``programs`` and ``database``, which every run sets by itself.

``programs``: tests that start FFmpeg or another process; ``make test-fast`` leaves them out.
``database``: tests that use the database; `.ci/run` repeats only these on PostgreSQL.

The mark ``programs`` is set by reading the code of the test and of its fixtures. In every run a test
without it fails if it starts a process, so that no such test gets into the fast run unnoticed.
"""

import inspect
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import TypeVar

import pytest

# A test that names one of these modules, or a function or class of them, starts a process.
STARTERS = {
    "multiprocessing",
    "playwright.sync_api",
    "subprocess",
    "streaming.tests.nginx_kit",
    "videos.processing.cage",
    "videos.processing.encode",
    "videos.processing.packager",
    "videos.processing.pipeline",
    "videos.processing.posters",
    "videos.processing.probe",
    "videos.processing.tools",
    "videos.services.publishing",
    "videos.tests.buckets",
    "videos.tests.media",
    "videos.tests.processes",
    "videos.tests.tus_client",
}
DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}

Test = TypeVar("Test")

_started: list[str] | None = None  # the processes of the running test; None: it may start them


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test whose code, or whose fixtures' code, names a starter."""
    assert isinstance(item, pytest.Function)
    definitions = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(fixture.func for named in definitions for fixture in named)]
    if any(_names_a_starter(inspect.unwrap(function)) for function in functions):
        item.add_marker(pytest.mark.programs)
    if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(item.fixturenames):
        item.add_marker(pytest.mark.database)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the marked tests between the others, because the marked ones wait and the others compute.

    Name the group of a test in its id, by which xdist gives a group to one process. xdist 3.8 does
    that itself, but in an attribute that pytest 9.2 no longer reads (pytest-xdist issue 1386).
    """
    items[:] = _spread(items)
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group and "@" not in item.nodeid:
            item._id = type(item.id).parse(f"{item.nodeid}@{group.args[0]}")


def _spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which they keep all processors busy.

    Marked ones are between seven eighths of the others, and short tests at the end, so that all
    processes end together. Tests that share a fixture of their file stay beside each other, the marked
    ones first: pytest would make the fixture anew whenever a process comes back to the file.
    """
    marked = [item for item in items if item.get_closest_marker("programs")]
    others = [item for item in items if not item.get_closest_marker("programs")]
    first, mixed = _by_sharing(marked)
    last, between = _by_sharing(others)
    *most, rest = spread(mixed, between)
    return [*first, *itertools.chain(*most), *last, *rest]


def spread(marked: Sequence[Test], others: Sequence[Test]) -> Iterator[list[Test]]:
    """Yield each marked test with its part of seven eighths of the others; at last what is left."""
    end = len(others) * 7 // 8 if marked else 0
    for at, test in enumerate(marked):
        part = slice(end * at // len(marked), end * (at + 1) // len(marked))
        yield [test, *others[part]]
    yield [*others[end:]]


def _by_sharing(items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Return the tests that use a fixture of their file or class that others use, too, and the rest."""
    sharing: list[pytest.Item] = []
    rest: list[pytest.Item] = []
    for item in items:
        assert isinstance(item, pytest.Function)
        used = (each for named in item._fixtureinfo.name2fixturedefs.values() for each in named)
        shares = any(each.baseid and each.scope in {"module", "class"} for each in used)
        (sharing if shares else rest).append(item)
    return sharing, rest


@cache
def _names_a_starter(function: Callable) -> bool:
    """Return whether ``function``, or a function of the tests that it names, names a starter."""
    seen: set[object] = set()
    waiting: list[object] = [function]
    while waiting:
        thing = waiting.pop()
        if thing in seen:
            continue
        seen.add(thing)
        for named in _named_by(thing):
            if named is os.fork:
                return True
            if isinstance(named, ModuleType):
                home = named.__name__
            else:
                home = getattr(named, "__module__", None) or ""
            if home in STARTERS:
                return True
            if isinstance(named, FunctionType | type) and ".tests." in home:
                waiting.append(named)
    return False


def _named_by(thing: object) -> Iterator[object]:
    """Yield the global objects that the code of a function, or of a class's methods, names."""
    functions = vars(thing).values() if isinstance(thing, type) else [thing]
    for function in functions:
        if not isinstance(function, FunctionType):
            continue
        names = set(_names(function.__code__))
        for name in names & function.__globals__.keys():
            named = function.__globals__[name]
            yield named
            if isinstance(named, ModuleType):
                yield from (vars(named)[part] for part in names & vars(named).keys())


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _watch(event: str, arguments: tuple) -> None:
    if event in EVENTS and _started is not None:
        _started.append(f"{event} {arguments[:1]}")
        raise RuntimeError("A test without the mark 'programs' must not start a process.")


sys.addaudithook(_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _started
    _started = None if item.get_closest_marker("programs") else []
    try:
        return (yield)
    finally:
        _started = None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test without the mark that started a process, even if the code caught the exception."""
    report = yield
    if _started:
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} starts a process ({_started[0]}). Mark it with @pytest.mark.programs, "
            "or add the module that starts it to STARTERS in config/tests/programs.py."
        )
        _started.clear()  # one report is enough
    return report
