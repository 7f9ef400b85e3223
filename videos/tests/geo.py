"""A small database of countries, for tests."""

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet

GERMAN, FRENCH, UNKNOWN = "203.0.113.7", "2001:db8:1::5", "192.0.2.1"


def write_database(path: Path, countries: dict[str, str] | None = None) -> str:
    """Write a MaxMind DB that knows the country of each network, and return its path."""
    writer = MMDBWriter(ip_version=6, database_type="Test-Country", ipv4_compatible=True)
    for network, code in (countries or {"203.0.113.0/24": "DE", "2001:db8:1::/48": "FR"}).items():
        writer.insert_network(IPSet([network]), {"country": {"iso_code": code}})
    writer.to_db_file(str(path))
    return str(path)
