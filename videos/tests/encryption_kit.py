"""What the tests of encrypted versions share, whichever way they are encrypted."""

from io import StringIO
from pathlib import Path

from django.core.management import call_command

from videos.encryption import versions

SECRETS = [b"1" * 32, b"2" * 32]
SECONDS = 10  # of a clip with several segments, and with several periods of keys


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a version but the lock, by their names."""
    return {name: (folder / name).read_bytes() for name in versions.names_in(folder)}


def segments(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name.endswith(".m4s")}


def run(*arguments: str) -> str:
    """Run `manage.py encrypt_videos`, and return what it says."""
    out = StringIO()
    call_command("encrypt_videos", *arguments, stdout=out, stderr=out)
    return out.getvalue()
