"""Every class of asset of a video, and the addresses at which a stranger would try to get it."""

import json
import re
import uuid
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin

from streaming.delivery.licences import LICENCE
from streaming.leaks.asking import Away, Door
from videos.models import Caption, Video

API = "/api/v1"
_DATA = "data:application/octet-stream;base64,"
_URI = re.compile(r'URI="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Asset:
    """A part of a video that the API gives: its class, its path, and the right that it needs."""

    name: str
    path: str
    needs: str  # "listed", "seen" or "watched", as in rules.State


def of_api(video: Video) -> list[Asset]:
    """Return the assets of a video that the API serves, beside its files."""
    home = f"{API}/videos/{video.pk}"
    caption = Caption.objects.filter(video=video).values_list("pk", flat=True).first()
    return [
        Asset("catalogue", f"{API}/videos/?search={quote(video.title)}", "listed"),
        Asset("details", home, "seen"),
        Asset("poster", f"{home}/poster", "seen"),
        Asset("chapters", f"{home}/chapters", "seen"),
        Asset("list of captions", f"{home}/captions/", "seen"),
        Asset("caption", f"{home}/captions/{caption}/text", "watched"),
        Asset("words of captions", f"{home}/captions/search?q=leakcheck", "watched"),
        Asset("storyboard", f"{home}/storyboard/index.vtt", "watched"),
        Asset("picture of storyboard", f"{home}/storyboard/sprite-1.jpg", "watched"),
        Asset("stream token", f"{API}/stream/{video.pk}", "watched"),
    ]


@dataclass
class Playback:
    """A playback session, and the paths of all files of its version by their classes."""

    session_id: uuid.UUID
    grant: str
    video: uuid.UUID
    version: str
    agent: str
    files: dict[str, list[str]] = field(default_factory=dict)  # below the version
    elsewhere: list[str] = field(default_factory=list)  # addresses of segments on a CDN
    key_ids: list[str] = field(
        default_factory=list
    )  # of common encryption, as a licence names them
    is_protected: bool = False  # in common encryption, so that no segment may be clear

    def path(self, name: str, *, grant: str = "") -> str:
        return f"/media/{grant or self.grant}/{self.video}/{self.version}/{name}"

    def body_for(self, name: str) -> bytes | None:
        """Return what must be posted for a file; None if it is asked for by GET."""
        return json.dumps({"kids": self.key_ids}).encode() if name == LICENCE else None

    @property
    def samples(self) -> dict[str, str]:
        """One file of each class: the last, which a player asks for latest."""
        return {kind: names[-1] for kind, names in self.files.items()}


def begin(
    door: Door, video: uuid.UUID, token: str, agent: str, *, preview: bool = False
) -> Playback | int:
    """Start playback as a player does, and find all files; return the status of a refusal instead."""
    wanted = "?preview=true" if preview else ""
    asked = door.ask(f"{API}/stream/{video}{wanted}", token=token, agent=agent)
    if asked.status != 200:
        return asked.status
    started = door.ask(
        asked.json()["stream_url"], agent=agent, headers={"Accept": "application/json"}
    )
    if started.status != 200:
        return started.status
    answer = started.json()
    grant = answer["grant"]
    version = answer["hls_url"].split("/media/", 1)[1].split("/")[2]
    playback = Playback(uuid.UUID(answer["session_id"]), grant, video, version, agent)
    names = {"master.m3u8", *_named(door, playback, "master.m3u8")}
    texts = [each["url"] for each in answer["captions"]]
    extra = [*texts, answer["chapters_url"], answer["storyboard_url"], answer["dash_url"]]
    home = f"/{video}/{version}/"
    names |= {each.split(home, 1)[1] for each in extra if each}
    playback.is_protected = answer.get("drm") is not None
    if playback.key_ids:
        names.add(LICENCE)
    if answer["storyboard_url"]:
        names.add("storyboard/sprite-1.jpg")
    for name in sorted(names, key=_in_order):
        playback.files.setdefault(_kind(name), []).append(name)
    return playback


def _named(door: Door, playback: Playback, playlist: str) -> Iterator[str]:
    """Yield the names of all files that a playlist names, and those that they name."""
    answer = door.ask(playback.path(playlist), agent=playback.agent)
    if answer.status != 200:
        raise Away(f"{playlist} of a running session was answered with {answer.status}")
    lines = answer.body.decode().splitlines()
    uris = [line for line in lines if line and not line.startswith("#")]
    uris += [uri for line in lines for uri in _URI.findall(line)]
    for uri in dict.fromkeys(uris):
        if uri.startswith(_DATA):  # names a key, and is no address
            key_id = b64decode(uri.removeprefix(_DATA))
            playback.key_ids.append(urlsafe_b64encode(key_id).rstrip(b"=").decode())
        if uri.startswith(("data:", "skd:")):
            continue
        name = urljoin(playlist, uri)
        if "://" in name:  # of a CDN, which `public` looks at
            if name.endswith(".m4s"):
                playback.elsewhere.append(name)
            continue
        yield name
        if name.endswith(".m3u8"):
            yield from _named(door, playback, name)


def _kind(name: str) -> str:
    if name.endswith(".m3u8"):
        return "master playlist" if "/" not in name else "media playlist"
    if name.endswith(".mpd"):
        return "DASH manifest"
    if name.startswith("storyboard/"):
        return "file of storyboard"
    if name.endswith(".vtt"):
        return "file of text"
    if name == LICENCE:
        return "licence"
    if "key" in name:
        return "key"
    return "initialisation" if "init" in name else "segment"


def is_clear(segment: bytes) -> bool:
    """Return whether a segment says nowhere how its samples are encrypted (ISO/IEC 23001-7, 7.2)."""
    return b"senc" not in segment[: segment.find(b"mdat")]


def number(segment: str) -> int:
    """Return the number of a segment, from 1."""
    return int(segment.rpartition("/")[2].partition(".")[0])


def _in_order(name: str) -> list[int | str]:
    return [f"{int(part):09}" if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def tricks(playback: Playback, name: str, stolen: Playback) -> dict[str, str]:
    """Return paths by which the grant of ``stolen``, for its own video, may reach a file of another."""
    there = f"{playback.video}/{playback.version}/{name}"
    home = f"/media/{stolen.grant}/{stolen.video}/{stolen.version}"
    return {
        "another video's grant": f"/media/{stolen.grant}/{there}",
        "..": f"{home}/../../{there}",
        "..%2f": f"{home}/..%2f..%2f{there}",
        "%2e%2e": f"{home}/%2e%2e/%2e%2e/{there}",
        "..%252f": f"{home}/..%252f..%252f{there}",
        "..%5c": f"{home}/..%5c..%5c{there.replace('/', '%5c')}",
        "//": f"/media/{stolen.grant}//{there}",
        "no grant": f"/media/{there}",
        "/videos/": f"/videos/{there}",
        "/static/": f"/static/..%2f..%2fmedia%2fvideos%2f{there}",
    }


def forgeries(grant: str) -> dict[str, str]:
    """Return forged grants that differ from a genuine grant by little."""
    middle = len(grant) // 2
    other = "B" if grant[middle] != "B" else "C"
    return {
        "junk": "A" * len(grant),
        "one letter changed": grant[:middle] + other + grant[middle + 1 :],
        "one letter more": grant + "A",
        "one letter less": grant[:-1],
    }
