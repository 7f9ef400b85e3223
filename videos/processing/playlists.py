"""Reading the playlists that Shaka Packager has written."""

import re
from pathlib import Path


def codecs_by_playlist(master: Path) -> dict[str, str]:
    """Return the CODECS of each rendition by the address of its media playlist.

    I-frame playlists are left out.
    """
    lines = master.read_text(encoding="utf-8").splitlines()
    codecs = {}
    for position, line in enumerate(lines):
        if line.startswith("#EXT-X-STREAM-INF:") and (
            match := re.search(r'CODECS="([^"]*)"', line)
        ):
            codecs[lines[position + 1].strip()] = match[1]
    return codecs


def duration_of(playlist: Path) -> float:
    """Return the duration of a media playlist in seconds, to the millisecond."""
    text = playlist.read_text(encoding="utf-8")
    return round(sum(map(float, re.findall(r"^#EXTINF:([0-9.]+)", text, re.MULTILINE))), 3)
