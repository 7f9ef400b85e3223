import os
import subprocess
import sys

import pytest
from django.conf import settings

from config.tests import programs

# Of a run that is no part of this one: it may be a process of xdist.
OUTSIDE = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

MODULE = """
import os
import pytest

@pytest.mark.xdist_group("shared")
@pytest.mark.parametrize("number", range(6))
def test_of_a_group(number):
    with open("processes", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""


@pytest.mark.long
def test_the_tests_of_a_group_run_in_one_process(tmp_path):
    """They share a database server, for example, which is then made once."""
    (tmp_path / "test_group.py").write_text(MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ["-n", "2", "--dist", "loadgroup", "-p", "config.tests.programs"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={**OUTSIDE, "PYTHONPATH": str(settings.BASE_DIR)},
        check=True,
    )

    processes = (tmp_path / "processes").read_text().splitlines()
    assert len(processes) == 6
    assert len(set(processes)) == 1


@pytest.mark.parametrize("number", [0, 1, 3, 40, 100])
def test_tests_that_start_programs_run_between_the_others(number):
    marked, others = [f"marked {at}" for at in range(number)], [*range(80)]

    *most, rest = programs.spread(marked, others)

    assert [each[0] for each in most] == marked
    assert [other for each in most for other in each[1:]] + rest == others
    assert len(rest) == (10 if number else 80)
    lengths = {len(each) for each in most}
    assert not most or max(lengths) - min(lengths) <= 1
