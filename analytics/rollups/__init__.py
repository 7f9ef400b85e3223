"""Roll-ups: the views and the playback of each finished day, added up once.

Modules: `models`, `cells` (the contents of a row), `folding` (the worker adds up a day), `plan` (which
days of a period a report reads from roll-ups), `adding` (views and playback of a period, from both),
`pruning` (old raw sessions are deleted), `rebuilding` (`manage.py rebuild_rollups`).
"""
