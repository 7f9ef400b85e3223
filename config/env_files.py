"""Readers of settings that name files to be read."""

import maxminddb

from config.env import BASE_DIR, read, wrong


def countries(name: str) -> str:
    """Return the path of a database of the countries of addresses (MaxMind DB), or an empty string.

    A relative path is taken from the project's own folder.
    """
    if not read(name):
        return ""
    path = BASE_DIR / read(name)
    try:
        with maxminddb.open_database(path) as database:
            kind = database.metadata().database_type
        fault = "" if "Country" in kind or "City" in kind else f"it is of the type {kind}"
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        fault = getattr(error, "strerror", None) or "it is damaged or no such database"
    if fault:
        allowed = f"it must be a MaxMind DB (.mmdb) of countries or cities, but {fault}"
        wrong(name, allowed, example="")
    return str(path)
