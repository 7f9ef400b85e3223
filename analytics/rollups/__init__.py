"""Roll-ups: the views and the playback of each finished day, added up once.

Modules: `models`, `cells` (the contents of a row), `folding` (the worker adds up a day), `months` (and a
month), `plan` (which days and months of a period a report reads from roll-ups), `reading` (reads them),
`adding` (views and playback of a period, from roll-ups and raw rows), `pruning` (old raw sessions are
deleted), `rebuilding` (`manage.py rebuild_rollups`).
"""
