"""All inputs of the lab, by kind."""

from . import changes, clocks, codecs, containers, lengths, looks, restarts, sounds, table

KINDS = [
    kind.case.all
    for kind in (table, changes, clocks, restarts, lengths, containers, codecs, sounds, looks)
]
CASES = [case for kind in KINDS for case in kind]
