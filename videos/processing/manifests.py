"""The manifests of a version as players get them: those of Shaka Packager, with texts and labels.

The packaged manifests stay beside them as they were written, so that a version can be presented anew
with other captions while its segments stay as they are. The same input makes the same bytes.
"""

import copy
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videos import durable

from .packager import MASTER
from .playlists import MANIFEST

PACKAGED = {MASTER: "packaged.m3u8", MANIFEST: "packaged.mpd"}
# The master playlist without AV1, beside one with it: Chromium's own HLS player changes from one codec
# to the other, and fails (version 156).
ONE_CODEC = "h264.m3u8"
AV1 = "av01."
TEXTS = "text"  # the folder of text tracks, inside the version's folder
GROUP = "text"
# Says that a manifest is no packaged one.
MARK = "Presented with texts and labels; the packaged manifest lies beside this one."
_MPD = "urn:mpeg:dash:schema:mpd:2011"
_ROLES = "urn:mpeg:dash:role:2011"
# Purposes of texts for blind people, as DASH-IF's guidelines name them (TVA AudioPurposeCS).
_PURPOSES = "urn:tva:metadata:cs:AudioPurposeCS:2007"
_SDH = (
    "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
)
_DESCRIBES = "public.accessibility.describes-video"


@dataclass(frozen=True)
class TextTrack:
    """A text track: ``name`` is that of its files, and ``text`` is WebVTT, cut at the video's end."""

    name: str
    language: str
    label: str
    text: str
    is_default: bool = False
    is_forced: bool = False
    is_sdh: bool = False
    is_caption: bool = False


@dataclass(frozen=True)
class SoundTrack:
    """The labels of a sound track. ``folder`` is the folder of its segments.

    ``roles`` are some of "commentary", "description", "dub", "enhanced-audio-intelligibility".
    """

    folder: str
    language: str
    label: str
    is_default: bool = False
    roles: tuple[str, ...] = field(default=())


def compose(
    folder: Path, *, texts: Sequence[TextTrack], sounds: Sequence[SoundTrack], seconds: float
) -> None:
    """Write text tracks and manifests into the folder of a version that lasts ``seconds``.

    New files come first and files that are not named any more go last, so that a player finds each
    file that its manifest names. Two calls for one folder must not run at the same time. Raises
    FileNotFoundError if there is no packaged manifest.
    """
    packaged = {name: _packaged(folder, name) for name in (MASTER, MANIFEST)}
    home = folder / TEXTS
    if texts:
        home.mkdir(exist_ok=True)
    named = unique_labels(track.label for track in texts)
    tracks = [(track, label) for track, label in zip(texts, named, strict=True)]
    wanted = set()
    for track in texts:
        durable.replace(home / f"{track.name}.vtt", track.text.encode())
        playlist = _playlist(f"{track.name}.vtt", seconds)
        durable.replace(home / f"{track.name}.m3u8", playlist.encode())
        wanted |= {f"{track.name}.vtt", f"{track.name}.m3u8"}
    composed = master(packaged[MASTER], tracks, sounds)
    if AV1 in composed:
        durable.replace(folder / ONE_CODEC, without_av1(composed).encode())
    durable.replace(folder / MASTER, composed.encode())
    if packaged[MANIFEST]:
        durable.replace(folder / MANIFEST, manifest(packaged[MANIFEST], tracks, sounds))
    for file in home.glob("*"):
        if file.name not in wanted:
            file.unlink(missing_ok=True)


def sounds_of(folder: Path) -> list[SoundTrack]:
    """Return the sound tracks of a version as Shaka Packager has labelled them."""
    return sounds_in(_packaged(folder, MASTER))


def sounds_in(packaged: str) -> list[SoundTrack]:
    """Return the sound tracks of a master playlist."""
    found = []
    for line in packaged.splitlines():
        if line.startswith("#EXT-X-MEDIA:TYPE=AUDIO"):
            given = dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', line.partition(":")[2]))
            given = {key: value.strip('"') for key, value in given.items()}
            found.append(
                SoundTrack(
                    folder=given.get("URI", "").removesuffix(".m3u8"),
                    language=given.get("LANGUAGE", ""),
                    label=given.get("NAME", ""),
                    is_default=given.get("DEFAULT") == "YES",
                )
            )
    return found


def unique_labels(labels: Iterable[str]) -> list[str]:
    """Return the labels, with a number where one is taken, because players show nothing else."""
    taken: list[str] = []
    for wanted in labels:
        label, number = wanted, 1
        while label in taken:
            number += 1
            label = f"{wanted} {number}"
        taken.append(label)
    return taken


def _packaged(folder: Path, name: str) -> str:
    """Return a packaged manifest, and keep it beside the one for players.

    A manifest without MARK is one that Packager has written since.
    """
    kept = folder / PACKAGED[name]
    current = (folder / name).read_text(encoding="utf-8") if (folder / name).is_file() else ""
    if current and MARK not in current:
        durable.replace(kept, current.encode())
        return current
    if name == MANIFEST and not kept.is_file():
        return ""
    return kept.read_text(encoding="utf-8")


def _playlist(file: str, seconds: float) -> str:
    """Return the media playlist of a text: one segment that lasts as long as the video."""
    return "\n".join(
        [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{max(1, math.ceil(seconds))}",
            "#EXT-X-PLAYLIST-TYPE:VOD",
            f"#EXTINF:{seconds:.3f},",
            file,
            "#EXT-X-ENDLIST",
            "",
        ]
    )


# --- HLS (RFC 8216bis) ----------------------------------------------------------------------------


def master(
    packaged: str, texts: Sequence[tuple[TextTrack, str]], sounds: Sequence[SoundTrack]
) -> str:
    """Return the master playlist with these texts, each with its unique label, and sound labels."""
    labelled = {f"{sound.folder}.m3u8": sound for sound in sounds}
    lines = []
    for line in packaged.splitlines():
        if line.startswith("#EXT-X-STREAM-INF:") and texts:
            line = f'{line},SUBTITLES="{GROUP}"'
        uri = re.search(r'URI="([^"]*)"', line)
        if line.startswith("#EXT-X-MEDIA:TYPE=AUDIO") and uri and uri[1] in labelled:
            line = _sound_line(line, labelled[uri[1]])
        lines.append(line)
    lines.insert(1, f"## {MARK}")
    return "\n".join([*lines, *([""] if texts else []), *_text_lines(texts), ""])


def without_av1(playlist: str) -> str:
    """Return a master playlist without its variants in AV1."""
    lines = playlist.splitlines()
    kept, skips = [], False
    for line in lines:
        is_av1 = line.startswith("#EXT-X-") and f'CODECS="{AV1}' in line
        if not is_av1 and not skips:
            kept.append(line)
        skips = is_av1 and line.startswith("#EXT-X-STREAM-INF:")  # its address is the next line
    return "\n".join([*kept, ""])


def _text_lines(texts: Sequence[tuple[TextTrack, str]]) -> list[str]:
    lines, automatic = [], set()
    for track, label in texts:
        # Players choose among these by language and kind, so that one of each kind is enough.
        kind = (track.language, track.is_forced, track.is_sdh)
        selected = track.is_default or kind not in automatic
        automatic.add(kind)
        attributes = {
            "GROUP-ID": _quoted(GROUP),
            "NAME": _quoted(label),
            "LANGUAGE": _quoted(track.language),
            "DEFAULT": "YES" if track.is_default else "NO",
            "AUTOSELECT": "YES" if selected else "NO",
            "FORCED": "YES" if track.is_forced else "NO",
            "URI": _quoted(f"{TEXTS}/{track.name}.m3u8"),
        }
        if track.is_sdh:
            attributes["CHARACTERISTICS"] = _quoted(_SDH)
        lines.append(f"#EXT-X-MEDIA:TYPE=SUBTITLES,{_joined(attributes)}")
    return lines


def _sound_line(packaged: str, sound: SoundTrack) -> str:
    given = dict(re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', packaged.partition(":")[2]))
    given["NAME"] = _quoted(sound.label)
    given.pop("LANGUAGE", None)
    if sound.language:
        given["LANGUAGE"] = _quoted(sound.language)
    # Commentary and description of the picture are for viewers who choose them.
    is_special = {"commentary", "description"} & set(sound.roles)
    given["DEFAULT"] = "YES" if sound.is_default else "NO"
    given["AUTOSELECT"] = "YES" if sound.is_default or not is_special else "NO"
    if "description" in sound.roles:
        given["AUTOSELECT"] = "YES"  # chosen for viewers who have asked for descriptions
        given["CHARACTERISTICS"] = _quoted(_DESCRIBES)
    return f"#EXT-X-MEDIA:{_joined(given)}"


def _joined(attributes: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in attributes.items())


def _quoted(text: str) -> str:
    """Return a quoted string, which can have neither quotes nor line breaks in it (RFC 8216, 4.2)."""
    return '"' + " ".join(text.replace('"', "'").split()) + '"'


# --- DASH (ISO/IEC 23009-1) -----------------------------------------------------------------------


def manifest(
    packaged: str, texts: Sequence[tuple[TextTrack, str]], sounds: Sequence[SoundTrack]
) -> bytes:
    """Return the MPD with these texts, each with its unique label, and sound labels."""
    ET.register_namespace("", _MPD)
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    ET.register_namespace("cenc", "urn:mpeg:cenc:2013")
    root = ET.fromstring(packaged)  # noqa: S314 - as above
    root.insert(0, ET.Comment(f" {MARK} "))
    labelled = {sound.folder: sound for sound in sounds}
    for period in root.iter(f"{{{_MPD}}}Period"):
        for adaptation in period.findall(f"{{{_MPD}}}AdaptationSet"):
            for each in _apart(period, adaptation):
                for template in each.iter(f"{{{_MPD}}}SegmentTemplate"):
                    sound = labelled.get(template.get("initialization", "").partition("/")[0])
                    if sound:
                        _label_sound(each, sound)
        for track, label in texts:
            period.append(_text_set(track, label, _next_id(period)))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _apart(period: ET.Element, adaptation: ET.Element) -> list[ET.Element]:
    """Give each sound track a set of its own, and return the sets.

    Packager puts tracks of one language into one set, of which players choose by bandwidth.
    """
    tracks = adaptation.findall(f"{{{_MPD}}}Representation")
    if adaptation.get("contentType") != "audio" or len(tracks) < 2:
        return [adaptation]
    found = [adaptation]
    for track in tracks[1:]:
        adaptation.remove(track)
    for track in tracks[1:]:
        other = copy.deepcopy(adaptation)
        for same in other.findall(f"{{{_MPD}}}Representation"):
            other.remove(same)
        other.append(track)
        other.set("id", str(_next_id(period)))
        period.insert(list(period).index(found[-1]) + 1, other)
        found.append(other)
    return found


def _next_id(period: ET.Element) -> int:
    ids = [int(each.get("id", "0")) for each in period.iter(f"{{{_MPD}}}AdaptationSet")]
    return max(ids, default=-1) + 1


def _text_set(track: TextTrack, label: str, number: int) -> ET.Element:
    adaptation = ET.Element(
        f"{{{_MPD}}}AdaptationSet",
        {"id": str(number), "contentType": "text", "mimeType": "text/vtt", "lang": track.language},
    )
    if track.is_sdh:
        _descriptor(adaptation, "Accessibility", _ROLES, "caption")
    roles = ["forced-subtitle"] if track.is_forced else []
    roles += ["caption" if track.is_sdh or track.is_caption else "subtitle"]
    for role in [*roles, *(["main"] if track.is_default else [])]:
        _descriptor(adaptation, "Role", _ROLES, role)
    ET.SubElement(adaptation, f"{{{_MPD}}}Label").text = label
    representation = ET.SubElement(
        adaptation,
        f"{{{_MPD}}}Representation",
        {"id": f"text-{track.name}", "bandwidth": "256"},
    )
    ET.SubElement(representation, f"{{{_MPD}}}BaseURL").text = f"{TEXTS}/{track.name}.vtt"
    return adaptation


def _label_sound(adaptation: ET.Element, sound: SoundTrack) -> None:
    """Set language, label and roles of a sound track; the schema wants them in a fixed order."""
    adaptation.attrib.pop("lang", None)
    if sound.language:
        adaptation.set("lang", sound.language)
    for name in ("Role", "Accessibility", "Label"):
        for old in adaptation.findall(f"{{{_MPD}}}{name}"):
            adaptation.remove(old)
    others = [each for each in adaptation if not each.tag.endswith("}Representation")]
    representations = adaptation.findall(f"{{{_MPD}}}Representation")
    for each in list(adaptation):
        adaptation.remove(each)
    adaptation.extend(others)
    if "description" in sound.roles:
        _descriptor(adaptation, "Accessibility", _PURPOSES, "1")
    if "enhanced-audio-intelligibility" in sound.roles:
        _descriptor(adaptation, "Accessibility", _ROLES, "enhanced-audio-intelligibility")
    for role in (*sound.roles, *(["main"] if sound.is_default else ["alternate"])):
        _descriptor(adaptation, "Role", _ROLES, role)
    ET.SubElement(adaptation, f"{{{_MPD}}}Label").text = sound.label
    adaptation.extend(representations)


def _descriptor(parent: ET.Element, name: str, scheme: str, value: str) -> None:
    ET.SubElement(parent, f"{{{_MPD}}}{name}", {"schemeIdUri": scheme, "value": value})
