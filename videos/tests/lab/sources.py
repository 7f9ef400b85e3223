"""All inputs of the lab, by kind."""

from . import table

CASES = [*table.case.all]
