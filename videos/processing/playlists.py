"""Reading back the playlists that Packager wrote."""

import re
from pathlib import Path


def codecs_by_playlist(master: Path) -> dict[str, str]:
    """Media playlist's address → the CODECS of its variant, I-frame playlists left out."""
    lines = master.read_text(encoding="utf-8").splitlines()
    found = {}
    for position, line in enumerate(lines):
        if line.startswith("#EXT-X-STREAM-INF:") and (
            match := re.search(r'CODECS="([^"]*)"', line)
        ):
            found[lines[position + 1].strip()] = match[1]
    return found


def duration_of(playlist: Path) -> float:
    """A media playlist's length in seconds."""
    text = playlist.read_text(encoding="utf-8")
    return round(sum(map(float, re.findall(r"^#EXTINF:([0-9.]+)", text, re.MULTILINE))), 3)
