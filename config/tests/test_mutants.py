"""Mutation testing (`make mutants`): which changes are made, and that the tests' verdict is told."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from mutants.operators import mutants_of

SOURCE = '''
"""A module."""

from django.db import transaction

LIMIT = 3


class Shop:
    """A shop."""

    name = "a name with words"

    @transaction.atomic
    def sell(self, rows, price: "int" = 1):
        """Sell."""
        for row in rows.filter(price__gte=price):
            if not row.sold and price < min(LIMIT, 5):
                row.sold = True
                row.save()
        with transaction.atomic():
            rows.select_for_update().get(id=f"{price}")
        return rows
'''


@pytest.fixture
def mutants(tmp_path):
    path = tmp_path / "shop.py"
    path.write_text(SOURCE)
    return mutants_of(path)


def test_each_mutant_is_one_change_that_compiles(mutants):
    for mutant in mutants:
        compile(mutant.text(), "shop.py", "exec")
        assert mutant.diff().count("\n    +") == 1, mutant.diff()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("constant", "LIMIT = (4)"),
        ("class attribute removed", "    pass"),
        ("decorator removed", "    @(lambda it: it)"),
        ("argument removed", "        for row in (rows.filter()):"),
        ("lookup", "        for row in (rows.filter(price__gt=price)):"),
        ("filter removed", "        for row in (rows):"),
        ("and/or", "            if (not row.sold or price < min(LIMIT, 5)):"),
        ("comparison", "            if not row.sold and (price <= min(LIMIT, 5)):"),
        ("function", "            if not row.sold and price < (max(LIMIT, 5)):"),
        ("not or minus removed", "            if (row.sold) and price < min(LIMIT, 5):"),
        ("statement removed", "                pass"),
        ("transaction removed", "        with (__import__('contextlib').nullcontext()):"),
        ("select_for_update removed", "            (rows).get(id=f\"{price}\")"),
        ("returns None", "        return None"),
    ],
)  # fmt: skip
def test_the_changes(mutants, change, line):
    found = [each.text().splitlines() for each in mutants if each.change == change]
    assert any(line in text for text in found)


def test_documentation_stays(mutants):
    texts = [mutant.text() for mutant in mutants]
    assert all('"""Sell."""' in text and '"int"' in text for text in texts)


@pytest.mark.journeys
@pytest.mark.thorough
def test_the_mutants_of_one_line_are_tried():
    lines = (settings.BASE_DIR / "accounts" / "forgetting.py").read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if "Session.objects" in line]
    place = f"accounts/forgetting.py:{number}"
    report = subprocess.run(
        [
            sys.executable, "-m", "mutants", place, "--least=100",
            "--tests", "accounts/tests/test_forgetting.py",
        ],
        cwd=settings.BASE_DIR, capture_output=True, text=True, check=False,
        env={key: value for key, value in os.environ.items() if key != "TESTS_RUN_DIR"},
    )  # fmt: skip
    assert f"killed: {place} filter removed" in report.stdout, report.stderr
    assert report.returncode == (0 if report.stdout.count(" killed: ") == 4 else 1)
