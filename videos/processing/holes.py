"""The known holes of FFmpeg that a file from a stranger could use."""

import re
from dataclasses import dataclass

PAGE = "https://ffmpeg.org/security.html"


@dataclass(frozen=True, slots=True)
class Hole:
    """A hole by its CVE number; versions before ``fixed_in`` have it."""

    cve: str
    fixed_in: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        fixed = ".".join(map(str, self.fixed_in))
        return f"{self.cve} ({self.what}; fixed in {fixed})"


HOLES = (Hole("CVE-2026-107697", (8, 1, 3), "an HLS playlist can name files of the machine"),)


def of_ffmpeg(version: str) -> list[Hole] | None:
    """Return the holes of a version such as 8.1.2, or None for a version without a number.

    A distribution may have mended an older version without another number.
    """
    found = re.match(r"n?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not found:
        return None
    number = tuple(int(part or 0) for part in found.groups())
    return [hole for hole in HOLES if number < hole.fixed_in]
