"""Two random clips, joined, cut and shifted, are never READY with less than was there."""

import os
import shutil

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings

from .lab import pairs, played
from .test_lab import process

EACH = 10  # pairs of one test; `make lab` runs as many tests as LAB_PAIRS needs
TESTS = max(1, int(os.environ.get("LAB_PAIRS", EACH)) // EACH)


@pytest.mark.lab
@pytest.mark.sweep
@pytest.mark.parametrize("number", range(TESTS))
def test_nothing_of_two_random_clips_is_lost(tmp_path, number):
    @seed(number)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a smaller pair would take minutes to find
        suppress_health_check=list(HealthCheck),
    )
    @given(pairs.pairs)
    def check(pair: pairs.Pair) -> None:
        folder = tmp_path / "pair"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        source = folder / "source"
        pairs.make(pair, source)
        output, refusal = process(source, folder / "work")
        note(f"{pair}")
        assert output, refusal
        assert not pairs.faults(pair, source, played.play(output.directory), output)

    check()
