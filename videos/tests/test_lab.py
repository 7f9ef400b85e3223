"""The lab: odd but real inputs go through the pipeline, and what comes out is played whole.

``make test-long`` runs some quick ones, ``make lab`` all of them, and ``make lab SHORT=1`` every sixth
of each kind.
"""

from pathlib import Path

import pytest

from videos.processing.errors import Rejected
from videos.processing.pipeline import Output, transcode

from .lab import checks, played
from .lab.sources import KINDS
from .lab.truth import Case

pytestmark = pytest.mark.long


def process(source: Path, work: Path) -> tuple[Output | None, str]:
    """Return the finished version, or None and the code with which it was refused."""
    work.mkdir()
    try:
        return transcode(source, work, lambda step, percent: None), ""
    except Rejected as refusal:
        return None, f"{refusal.code}: {refusal.detail}"


def marks(case: Case, number: int) -> list[pytest.MarkDecorator]:
    """Return the marks of a case by its number in its kind."""
    if case.quick:
        return []
    return [pytest.mark.lab, pytest.mark.thorough] if number % 6 else [pytest.mark.lab]


@pytest.mark.sweep
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=marks(case, number))
        for kind in KINDS
        for number, case in enumerate(kind)
    ],
)
def test_what_comes_out_is_what_went_in(tmp_path, case: Case):
    truth = case.make(tmp_path / "source")

    output, refusal = process(tmp_path / "source", tmp_path / "work")

    truths = (truth, *truth.also)
    assert refusal.partition(":")[0] in {one.refused for one in truths}, refusal
    if output:
        shown = played.play(output.directory)
        faults = [checks.faults(shown, one, output) for one in truths if not one.refused]
        assert [] in faults, "\n".join(sorted(faults, key=len)[0])
