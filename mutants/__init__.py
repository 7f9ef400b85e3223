"""Mutation testing: small faults are put into the code, and the tests must notice them.

`make mutants` runs it. docs/mutants.md lists the mutants that survived, with the reason of each.
"""
