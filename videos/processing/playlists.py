"""Reading and mending the playlists that Shaka Packager has written."""

import re
from math import ceil
from pathlib import Path
from xml.etree import ElementTree  # reads only what Packager has written

MANIFEST = "manifest.mpd"
MPD = "urn:mpeg:dash:schema:mpd:2011"


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


def join_short_end(folder: Path, track: str, shortest: float) -> None:
    """Join the last segment of a track to the one before it if it lasts less than ``shortest`` seconds.

    A segment of CMAF may have any number of fragments (ISO/IEC 23000-19, 7.3.2.3), so that joining the
    two files is enough; both manifests are changed.
    """
    playlist = folder / f"{track}.m3u8"
    text = playlist.read_text(encoding="utf-8")
    segments = re.findall(r"#EXTINF:([0-9.]+),\n(\S+)\n", text)
    if len(segments) < 2 or float(segments[-1][0]) >= shortest:
        return
    (length, name), (rest, last) = segments[-2:]
    with (folder / name).open("ab") as file:
        file.write((folder / last).read_bytes())
    joined = float(length) + float(rest)
    text = text.replace(f"#EXTINF:{rest},\n{last}\n", "")
    text = text.replace(f"#EXTINF:{length},\n{name}\n", f"#EXTINF:{joined:.6f},\n{name}\n")
    target = max(float(each) for each in re.findall(r"#EXTINF:([0-9.]+)", text))
    text = re.sub(r"(#EXT-X-TARGETDURATION:)\d+", rf"\g<1>{ceil(target)}", text)
    playlist.write_text(text, encoding="utf-8")
    _join_in_manifest(folder / MANIFEST, track)
    (folder / last).unlink()


def _join_in_manifest(manifest: Path, track: str) -> None:
    """Join the last two segments of a track in the DASH manifest (ISO/IEC 23009-1, 5.3.9.6)."""
    ElementTree.register_namespace("", MPD)
    tree = ElementTree.parse(manifest)  # noqa: S314 - Packager has written it
    for template in tree.iter(f"{{{MPD}}}SegmentTemplate"):
        if not template.get("media", "").startswith(f"{track}/"):
            continue
        timeline = template.find(f"{{{MPD}}}SegmentTimeline")
        if timeline is None:
            raise ValueError(f"{manifest.name} has no timeline for {track}.")
        lengths = [
            int(each.get("d", 0)) for each in timeline for _ in range(int(each.get("r", 0)) + 1)
        ]
        start = timeline[0].get("t", "0")
        lengths[-2:] = [sum(lengths[-2:])]
        for each in list(timeline):
            timeline.remove(each)
        for number, length in enumerate(lengths):
            attributes = {"t": start} if not number else {}
            ElementTree.SubElement(timeline, f"{{{MPD}}}S", attributes | {"d": str(length)})
    tree.write(manifest, encoding="UTF-8", xml_declaration=True)


def files_of(playlist: Path, home: Path | None = None) -> list[Path]:
    """Return the init segment and all segments that a media playlist names, in their order.

    ``home`` is the folder from which they are named, if it is not the playlist's.
    """
    text = playlist.read_text(encoding="utf-8")
    init = re.findall(r'^#EXT-X-MAP:URI="([^"]+)"', text, re.MULTILINE)
    segments = re.findall(r"^([^#\s].*)$", text, re.MULTILINE)
    return [(home or playlist.parent) / name.strip() for name in (*init, *segments)]


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
