"""Random histories of buying, subscribing, refunding, disputing, sharing and paying out, over HTTP.

`world` has the people and their clients, `steps` what they do, `invariants` what must hold after each
step. `payments/tests/test_histories.py` runs them.
"""
