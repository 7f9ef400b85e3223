"""All inputs of the lab, by kind."""

from . import changes, clocks, codecs, containers, lengths, looks, sounds, table

CASES = [
    case
    for kind in (table, changes, clocks, lengths, containers, codecs, sounds, looks)
    for case in kind.case.all
]
