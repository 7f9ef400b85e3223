"""Countries: the codes that exist, and the country of an address by the operator's database."""

import os
from functools import cache
from importlib.resources import files

import maxminddb
from django.conf import settings

from config import addresses


@cache
def codes() -> frozenset[str]:
    """Return the codes of ISO 3166-1 alpha-2, from the list that comes with the time zones."""
    text = files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line[:2] for line in text.splitlines() if line and not line.startswith("#"))


def of_address(address: str) -> str | None:
    """Return the code of the country of an address by GEOIP_DATABASE.

    None without a database, and for an address that it does not know, such as one of a local network.
    A database that was replaced is read at the next question.
    """
    parsed = addresses.parse(address)
    if not settings.GEOIP_DATABASE or parsed is None:
        return None
    try:
        reader = _reader(settings.GEOIP_DATABASE, os.stat(settings.GEOIP_DATABASE).st_mtime_ns)
        record = reader.get(parsed)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError):
        return None  # away, damaged, or without addresses of IPv6: the country is unknown
    country = record.get("country") if isinstance(record, dict) else None
    code = country.get("iso_code") if isinstance(country, dict) else None
    return code if isinstance(code, str) else None


_open: dict[str, tuple[int, maxminddb.Reader]] = {}


def _reader(path: str, changed: int) -> maxminddb.Reader:
    """Return the open database, which is mapped into memory; another one when the file has changed."""
    known = _open.get(path)
    if known is None or known[0] != changed:
        # The former one is closed when the last thread that asks it is done.
        known = _open[path] = (changed, maxminddb.open_database(path))
    return known[1]
