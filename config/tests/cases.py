"""Cases of a parametrised test: few of them in `make test`, and all together in `make test-long`.

For tests whose cases take long and differ little. The cases that `make test` leaves out carry the mark
``long``, so that each runs in exactly one of the two commands.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest


def crossed(**values: Sequence[Any]) -> pytest.MarkDecorator:
    """Give a test every combination of the values; `make test` runs so few that each value is in one.

    Values of all names but the first meet in every combination, with the first one's in turn.
    """
    chosen = set(_covering([len(each) for each in values.values()]))
    places = itertools.product(*(range(len(each)) for each in values.values()))
    cases = [
        pytest.param(
            *(each[place] for each, place in zip(values.values(), found, strict=True)),
            marks=[] if found in chosen else [pytest.mark.long],
        )
        for found in places
    ]
    return pytest.mark.parametrize(tuple(values), cases)


def first(number: int, values: Sequence[Any]) -> list[Any]:
    """Return the values as cases of a test, of which `make test` runs the first ``number``."""
    rest = (pytest.param(value, marks=pytest.mark.long) for value in values[number:])
    return [*values[:number], *rest]


def _covering(lengths: list[int]) -> list[tuple[int, ...]]:
    """Return combinations of indexes that contain each index of the first, and all of the others'."""
    others = list(itertools.product(*(range(length) for length in lengths[1:])))
    number = max(lengths[0], math.prod(lengths[1:]))
    return [(at % lengths[0], *others[at % len(others)]) for at in range(number)]
