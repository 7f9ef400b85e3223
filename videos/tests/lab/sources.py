"""All inputs of the lab, by kind."""

from . import changes, clocks, codecs, containers, lengths, looks, restarts, sounds, table

CASES = [
    case
    for kind in (table, changes, clocks, restarts, lengths, containers, codecs, sounds, looks)
    for case in kind.case.all
]
