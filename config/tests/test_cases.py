"""The commands of the suite run every case of a parametrised test, each once."""

import itertools

import pytest

from config.tests import cases


def run_by_make_test(mark: pytest.MarkDecorator) -> list[tuple]:
    return [case.values for case in mark.args[1] if not case.marks]


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
        assert case.values in here or [each.name for each in case.marks] == ["long"]


def test_first_leaves_the_others_to_the_long_tests():
    one, two, three = cases.first(1, ["a", "b", "c"])
    assert one == "a"
    assert [(case.values, [each.name for each in case.marks]) for case in (two, three)] == [
        (("b",), ["long"]),
        (("c",), ["long"]),
    ]
