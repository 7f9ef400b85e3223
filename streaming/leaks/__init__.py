"""The proof that nothing leaks: `manage.py leakcheck` asks a running service for all, as everybody.

`stage` makes throw-away people and videos; `rules` says who may have what, in words of the API document
and not by the code that it checks; `assets` names every class of asset with its addresses; `checking`
asks and compares; `asking` sends requests exactly as they are written.
"""
