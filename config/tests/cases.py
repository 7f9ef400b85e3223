"""Cases of a parametrised test: few of them in `make test`, and all together in `make test-long`.

For tests whose cases take long and differ little. The cases that `make test` leaves out carry the mark
``long``, so that each runs in exactly one of the two commands. Those that also carry ``thorough`` try
what another case has tried: the short form of a command, `make test-long SHORT=1`, leaves them out, and
`.ci/run` runs the short forms.

``--cases N`` of pytest runs N cases of each test that has more, spread over all: `make test-storage
SHORT=1` does so, because all cases have run over a folder.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

# Of a case that tries no value, and no kind of thing, that another one does not try.
REPEATING = [pytest.mark.long, pytest.mark.thorough]
# Each of these functions marks cases as long.
LONG = "mark.long|mark.months|cases.crossed|cases.first|cases.seeds|cases.repeating"
# What the files name whose tests have a mark: ``--only MARK`` reads no others, and saves ten seconds in
# each process. A test that has the mark without this word in its file is refused.
NAMED = {
    "captions": "mark.captions",
    "celery": "mark.celery",
    "fuzz": "mark.fuzz",
    "journeys": "mark.journeys",
    "long": LONG,
    "months": LONG,
    "s3": "mark.s3|engines_kit",
}
# A test with the mark ``thorough`` has one of these marks too, so that a whole command runs it.
COMMANDS = {"captions", "celery", "fuzz", "journeys", "lab", "long", "months", "s3", "stack"}


def crossed(**values: Sequence[Any]) -> pytest.MarkDecorator:
    """Give a test every combination of the values; `make test` runs so few that each value is in one.

    Values of all names but the first meet in every combination, with the first one's in turn.
    """
    chosen = set(_covering([len(each) for each in values.values()]))
    places = itertools.product(*(range(len(each)) for each in values.values()))
    cases = [
        pytest.param(
            *(each[place] for each, place in zip(values.values(), found, strict=True)),
            marks=[] if found in chosen else REPEATING,
        )
        for found in places
    ]
    return pytest.mark.parametrize(tuple(values), cases)


def first(number: int, values: Sequence[Any]) -> list[Any]:
    """Return the values as cases of a test, of which `make test` runs the first ``number``."""
    rest = (pytest.param(value, marks=pytest.mark.long) for value in values[number:])
    return [*values[:number], *rest]


def seeds(quick: int, number: int) -> list[Any]:
    """Return the seeds from 0 as cases of a random test, of which `make test` runs the first ``quick``.

    The others repeat what those do with other dice, so the short forms leave them out.
    """
    return [*range(quick), *repeating(range(quick, number))]


def repeating(values: Iterable[Any]) -> list[Any]:
    """Return the values as cases that only `make test-long` runs, and not its short form."""
    return [pytest.param(value, marks=REPEATING) for value in values]


def some(number: int, values: Sequence[Any]) -> list[Any]:
    """Return the values as cases of a long test, of which the short form runs ``number``."""
    kept = _spread(number, len(values))
    return [value if at in kept else _marked(value) for at, value in enumerate(values)]


def _covering(lengths: list[int]) -> list[tuple[int, ...]]:
    """Return combinations of indexes that contain each index of the first, and all of the others'."""
    others = list(itertools.product(*(range(length) for length in lengths[1:])))
    number = max(lengths[0], math.prod(lengths[1:]))
    return [(at % lengths[0], *others[at % len(others)]) for at in range(number)]


def chosen(values: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the values as cases of a long test, of which the short form runs those ``kept``."""
    assert {*kept} <= {*values}
    return [value if value in kept else _marked(value) for value in values]


def by_database(values: Sequence[Any]) -> list[Any]:
    """Return the values as cases of a long test that both databases run.

    In the short forms SQLite runs every second one, and PostgreSQL the others.
    """
    here = 0 if connection.vendor == "sqlite" else 1
    return [
        _marked(value) if at % 2 != here and len(values) > 1 else value
        for at, value in enumerate(values)
    ]


def _marked(value: Any) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.thorough)


def _spread(number: int, length: int) -> list[int]:
    """Return ``number`` indexes of a list, from its first to its last, or all if it has fewer."""
    if number >= length:
        return [*range(length)]
    return sorted({round(at * (length - 1) / max(number - 1, 1)) for at in range(number)})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cases", type=int, default=0, help="run so many cases of each test; 0: all")
    parser.addoption("--only", choices=[*NAMED], help="read only the files that name the mark")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files that do not name the mark of ``--only``."""
    mark = config.getoption("only")
    is_test = collection_path.match("test_*.py")
    if mark and is_test and not _names(collection_path, mark):
        return True
    return None


@cache
def _names(path: Path, mark: str) -> bool:
    text = path.read_text(encoding="utf-8")
    return any(word in text for word in NAMED[mark].split("|"))


def pytest_itemcollected(item: pytest.Item) -> None:
    marks = {mark.name for mark in item.iter_markers()}
    for mark in marks & NAMED.keys():
        if not _names(item.path, mark):
            raise pytest.UsageError(f"{item.nodeid} is not found by --only {mark}.")
    if "thorough" in marks and not marks & COMMANDS:
        raise pytest.UsageError(f"{item.nodeid} is thorough, and no command runs it whole.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases beyond ``--cases``, after the marks have chosen."""
    number = config.getoption("cases")
    if not number:
        return
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    kept = {each[at] for each in tests.values() for at in _spread(number, len(each))}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]
