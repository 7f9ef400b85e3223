"""The tour of the README works as it stands there, in a fresh clone and a fresh shell."""

import shutil

import pytest

from config.tests import tour

pytestmark = pytest.mark.journeys

README = tour.README.read_text(encoding="utf-8")


def test_every_line_of_the_readme_answers_as_the_readme_says():
    if missing := [name for name in ("git", "make", "curl") if shutil.which(name) is None]:
        pytest.skip(f"missing: {', '.join(missing)}")
    steps = tour.steps(README)
    assert len(steps) > 20

    wrong = [
        f"$ {step.command}\n{output}\ninstead of\n{step.shown}"
        for step, output in tour.run(steps)
        if not step.explains(output)
    ]

    assert wrong == [], "\n\n".join([*wrong, "Run `make tour` when the README should say so."])


def test_a_command_goes_on_over_a_backslash_and_an_open_quote():
    text = "```console\n$ a \\\n  b\none\n\n$ c 'd\ne'\n```\n```\n$ no\n```\n"
    assert tour.steps(text) == [tour.Step("a \\\n  b", "one"), tour.Step("c 'd\ne'", "")]


@pytest.mark.parametrize(
    ("shown", "output", "is_right"),
    [
        ("paid 19.99", "paid 19.99", True),
        ("paid 19.99", "paid 20.00", False),
        ("paid", "paid\nTraceback", False),
        ("until 2026-12-26T15:40:15.512387Z", "until 2027-01-01T00:00:00Z", True),
        ("until 2026-12-26T15:40:15.512387Z", "until null", False),
        ('"id":"01a21882-…"', '"id":"01a2190b-7704-755b-bc7c-6f862f813ff0"', True),
        ('"id":"01a21882-…"', '"id":null', False),
        ("FRAME-RATE=25.000,…", 'FRAME-RATE=25.000,AUDIO="audio"', True),
        ("4 payments in 0.1 s", "4 payments in 12.3 s", True),
        ("4 payments in 0.1 s", "5 payments in 0.1 s", False),
    ],
)
def test_what_differs_from_run_to_run_is_not_compared(shown, output, is_right):
    assert tour.Step("", shown).explains(output) is is_right


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 260
