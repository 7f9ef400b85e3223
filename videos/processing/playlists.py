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


def segment_at(playlist: Path, seconds: float) -> tuple[Path, Path, float]:
    """Return the init segment, the segment that holds a time, and the time at which it begins.

    After the end it is the last segment. Raises ValueError for a playlist without segments.
    """
    text = playlist.read_text(encoding="utf-8")
    init = re.search(r'^#EXT-X-MAP:URI="([^"]+)"', text, re.MULTILINE)
    found = re.findall(r"^#EXTINF:([0-9.]+).*\n([^#\n]+)$", text, re.MULTILINE)
    if init is None or not found:
        raise ValueError(f"{playlist.name} has no segments.")
    start = 0.0
    for length, segment in found[:-1]:
        if seconds < start + float(length):
            return playlist.parent / init[1], playlist.parent / segment, start
        start += float(length)
    return playlist.parent / init[1], playlist.parent / found[-1][1], start
