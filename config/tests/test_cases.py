"""The commands of the suite run every case of a parametrised test, each once."""

import itertools
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.conf import settings

from config.tests import cases

# Of a run that is no part of this one: it may be a process of xdist.
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def run_by_make_test(mark: pytest.MarkDecorator) -> list[tuple]:
    return [case.values for case in mark.args[1] if not case.marks]


def names(marks) -> list[str]:
    return [mark.name for mark in marks]


def in_the_short_form(cases: list) -> list:
    return [case for case in cases if not (hasattr(case, "marks") and case.marks)]


@pytest.mark.parametrize("lengths", [(1,), (3, 2), (2, 3), (6, 2, 2), (2, 2, 2), (3, 4), (4, 4)])
def test_crossed_gives_every_combination_and_few_at_first(lengths):
    values = {f"name{at}": [f"{at}:{each}" for each in range(n)] for at, n in enumerate(lengths)}

    mark = cases.crossed(**values)

    everything = [case.values for case in mark.args[1]]
    assert sorted(everything) == sorted(itertools.product(*values.values()))
    here = run_by_make_test(mark)
    assert {value for case in here for value in case} == set(itertools.chain(*values.values()))
    assert {case[1:] for case in here} == set(itertools.product(*list(values.values())[1:]))
    assert len(here) <= max(lengths[0], len(everything) // lengths[0])
    for case in mark.args[1]:
        assert case.values in here or names(case.marks) == ["long", "thorough"]


def test_first_leaves_the_others_to_the_long_tests():
    one, two, three = cases.first(1, ["a", "b", "c"])
    assert one == "a"
    assert [(case.values, [each.name for each in case.marks]) for case in (two, three)] == [
        (("b",), ["long"]),
        (("c",), ["long"]),
    ]


def test_seeds_beyond_the_quick_ones_repeat():
    quick, *others = cases.seeds(1, 3)
    assert quick == 0
    assert [(each.values, names(each.marks)) for each in others] == [
        ((1,), ["long", "thorough"]),
        ((2,), ["long", "thorough"]),
    ]


@pytest.mark.parametrize(
    ("number", "length", "kept"),
    [
        (1, 5, [0]),
        (2, 5, [0, 4]),
        (3, 5, [0, 2, 4]),
        (3, 100, [0, 50, 99]),
        (3, 2, [0, 1]),
        (0, 2, []),
    ],
)
def test_some_are_spread_over_all(number, length, kept):
    made = cases.some(number, range(length))
    assert len(made) == length
    assert in_the_short_form(made) == kept


def test_chosen_are_of_the_values():
    assert in_the_short_form(cases.chosen(["a", "b", "c"], "c", "a")) == ["a", "c"]
    with pytest.raises(AssertionError):
        cases.chosen(["a"], "b")


def test_each_case_is_run_on_one_of_the_databases(monkeypatch):
    values = [("a", 1), ("b", 2), ("c", 3)]
    here = []
    for vendor in ("sqlite", "postgresql"):
        monkeypatch.setattr(cases, "connection", SimpleNamespace(vendor=vendor))
        made = cases.by_database(values)
        assert len(made) == 3
        here.append(in_the_short_form(made))
    assert here == [[("a", 1), ("c", 3)], [("b", 2)]]


MODULE = """
import pytest
@pytest.mark.parametrize("number", range(9))
def test_many(number): pass
def test_one(): pass
class TestOther:
    @pytest.mark.parametrize("number", range(9))
    def test_many(self, number): pass
"""
WITHOUT_COMMAND = """
import pytest
@pytest.mark.thorough
def test_one(): pass
"""


def collected(tmp_path, module: str, *options: str) -> str:
    (tmp_path / "test_module.py").write_text(module)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    thorough: x\n    s3: x\n")
    program = [sys.executable, "-m", "pytest", "-p", "config.tests.cases", "--collect-only", "-q"]
    return subprocess.run(
        [*program, *options],
        cwd=tmp_path,
        env={**OUTSIDE, "PYTHONPATH": str(settings.BASE_DIR)},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "many", "others"),
    [(["--cases", "3"], [0, 4, 8], [0, 4, 8]), ([], [*range(9)], [*range(9)])],
)
def test_so_many_cases_of_each_test(tmp_path, options, many, others):
    told = collected(tmp_path, MODULE, *options)
    assert [line for line in told.splitlines() if "::" in line] == [
        *(f"test_module.py::test_many[{number}]" for number in many),
        "test_module.py::test_one",
        *(f"test_module.py::TestOther::test_many[{number}]" for number in others),
    ]


@pytest.mark.long
def test_what_is_thorough_belongs_to_a_command(tmp_path):
    assert "test_one is thorough, and no command runs it whole" in collected(
        tmp_path, WITHOUT_COMMAND
    )


@pytest.mark.long
def test_only_the_files_that_name_the_mark_are_read(tmp_path):
    (tmp_path / "test_broken.py").write_text("this is no Python\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    named = "import pytest\n@pytest.mark.s3\ndef test_one(): pass\n"

    told = collected(tmp_path, named, "--only", "s3", "-m", "s3")

    assert [line for line in told.splitlines() if "::" in line] == ["test_module.py::test_one"]


@pytest.mark.long
def test_a_mark_that_the_file_does_not_name_is_refused(tmp_path):
    (tmp_path / "kit.py").write_text("import pytest\nNEEDS = getattr(pytest.mark, 's3')\n")
    hidden = "from kit import NEEDS\n@NEEDS\ndef test_one(): pass\n"
    assert "test_one is not found by --only s3" in collected(tmp_path, hidden)
