"""What a source has beside picture and sound: text tracks, chapters, and the purpose of its sounds.

They are read while the source is processed, and lie as a file in the version's folder until the database
has taken them over (videos.presentation.refreshing). A source whose extras cannot be read is processed
all the same; a sentence says what is missing.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from videos.presentation import cues

from . import cage, tools
from .encode import Encoded
from .errors import ToolFailed
from .formats import untrusted_input
from .languages import UNDETERMINED, standard_tag

logger = logging.getLogger(__name__)

EXTRAS = "extras.json"
MOST_TEXTS = 40
MOST_CHAPTERS = 500
TITLE_LETTERS = 200
SECONDS = 600  # for one reading of a source
TEXT_CODECS = {"ass", "mov_text", "ssa", "srt", "subrip", "text", "webvtt"}
ENTRIES = (
    "format=start_time:stream=index,codec_type,codec_name:"
    "stream_disposition=default,forced,comment,dub,hearing_impaired,visual_impaired:"
    "stream_tags=language,title:chapter=start_time:chapter_tags=title"
)
ROLES = {
    "comment": "commentary",
    "visual_impaired": "description",
    "hearing_impaired": "enhanced-audio-intelligibility",
    "dub": "dub",
}


@dataclass(frozen=True)
class Text:
    """An embedded text track: ``text`` is WebVTT, ``language`` BCP 47 or "und"."""

    language: str
    title: str
    is_default: bool
    is_forced: bool
    is_sdh: bool
    text: str
    cues: int


@dataclass(frozen=True)
class Sound:
    """What the source says of a sound track. ``roles`` as in ``manifests.SoundTrack``."""

    language: str
    title: str
    is_default: bool
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Extras:
    """The extras of a source. ``chapters`` are seconds and titles; ``notes`` are for the owner."""

    texts: list[Text] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    chapters: list[tuple[float, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def take_out(
    source: Path, encoded: Encoded, folder: Path, *, on_tick: Callable[[], None] | None = None
) -> None:
    """Write the extras of ``source`` into the folder of its version.

    The sound tracks are in the order of ``encoded``. ``on_tick`` as in ``cage.run``.
    """
    try:
        extras = _read(source, encoded, folder, on_tick)
    except ToolFailed:
        extras = Extras(notes=["The file's text tracks and chapters could not be read."])
    (folder / EXTRAS).write_text(json.dumps(asdict(extras)), encoding="utf-8")


def load(folder: Path) -> Extras | None:
    """Return the extras in a version's folder; None for a version that was made without them."""
    try:
        found = json.loads((folder / EXTRAS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Extras(
        texts=[Text(**each) for each in found["texts"]],
        sounds=[Sound(**{**each, "roles": tuple(each["roles"])}) for each in found["sounds"]],
        chapters=[(start, title) for start, title in found["chapters"]],
        notes=found["notes"],
    )


def _read(
    source: Path, encoded: Encoded, folder: Path, on_tick: Callable[[], None] | None
) -> Extras:
    report = _ask(source)
    streams = {stream["index"]: stream for stream in report.get("streams", [])}
    start = _number(report.get("format", {}).get("start_time"))
    notes: list[str] = []
    wanted = []
    for stream in streams.values():
        if stream.get("codec_type") == "subtitle":
            codec = stream.get("codec_name", "unknown")
            if codec in TEXT_CODECS:
                wanted.append(stream)
            else:
                notes.append(
                    f"The subtitles {_named(stream)} are pictures or of another kind ({codec}) that "
                    "cannot be turned into text. Upload them as WebVTT or SubRip."
                )
    if len(wanted) > MOST_TEXTS:
        notes.append(f"Only the first {MOST_TEXTS} of {len(wanted)} text tracks were taken over.")
    wanted = wanted[:MOST_TEXTS]
    files = _extract(source, wanted, folder, on_tick)
    texts = []
    for stream, file in zip(wanted, files, strict=True):
        try:
            if file is None:
                raise cues.NotCaptions("It cannot be decoded.")
            texts.append(_text(stream, cues.read_of_ffmpeg(file)))
        except cues.NotCaptions as error:
            notes.append(f"The text track {_named(stream)} was left out. {error}")
    return Extras(
        texts=texts,
        sounds=[_sound(streams.get(track.index, {})) for track, _ in encoded.audios],
        chapters=_chapters(report.get("chapters", []), start),
        notes=notes,
    )


def _ask(source: Path) -> Any:
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "json", "-show_chapters"]
    done = cage.run(
        [*argv, "-show_entries", ENTRIES, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=60,
        wall_seconds=120,
    )
    if done.returncode:
        raise ToolFailed(f"ffprobe ended with {done.returncode}. {done.stderr[-500:]}")
    return json.loads(done.stdout or "{}")


def _extract(
    source: Path, streams: list[Any], folder: Path, on_tick: Callable[[], None] | None
) -> list[bytes | None]:
    """Return each text track as FFmpeg writes it in WebVTT; None for one that it cannot decode.

    All are read at once, because each reading goes through the whole source. If that fails, each is
    read alone.
    """
    if not streams:
        return []
    names = [f"embedded-{stream['index']}.vtt" for stream in streams]
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += untrusted_input(source)
    for stream, name in zip(streams, names, strict=True):
        argv += ["-map", f"0:{stream['index']}", "-c:s", "webvtt", "-map_metadata", "-1"]
        argv += ["-t", str(settings.MAX_DURATION_SECONDS), "-f", "webvtt", name]
    try:
        done = cage.run(
            argv,
            reads=[source],
            writes=[folder],
            cwd=folder,
            cpu_seconds=SECONDS,
            wall_seconds=2 * SECONDS,
            file_bytes=2 * cues.MOST_BYTES,
            on_tick=on_tick,
        )
        if not done.returncode:
            return [(folder / name).read_bytes() for name in names]
    except (ToolFailed, FileNotFoundError) as error:
        logger.info("Text tracks cannot be read: %s", error)
    finally:
        for name in names:
            (folder / name).unlink(missing_ok=True)
    if len(streams) == 1:
        return [None]
    return [_extract(source, [stream], folder, on_tick)[0] for stream in streams]


def _text(stream: Any, found: list[cues.Cue]) -> Text:
    """Return a text track with what the source says of it."""
    flags, tags = stream.get("disposition", {}), stream.get("tags", {})
    return Text(
        language=standard_tag(tags.get("language", "")) or UNDETERMINED,
        title=_title(tags.get("title", ""))[:60],
        is_default=bool(flags.get("default")),
        is_forced=bool(flags.get("forced")),
        is_sdh=bool(flags.get("hearing_impaired")),
        text=cues.write(found),
        cues=len(found),
    )


def _sound(stream: Any) -> Sound:
    flags, tags = stream.get("disposition", {}), stream.get("tags", {})
    return Sound(
        language=standard_tag(tags.get("language", "")) or UNDETERMINED,
        title=_title(tags.get("title", ""))[:60],
        is_default=bool(flags.get("default")),
        roles=tuple(role for flag, role in ROLES.items() if flags.get(flag)),
    )


def _chapters(found: list[Any], start: float) -> list[tuple[float, str]]:
    """Return the chapters by their time, without a second one at the same time."""
    titles: dict[float, str] = {}
    for number, chapter in enumerate(found[:MOST_CHAPTERS], 1):
        seconds = round(_number(chapter.get("start_time")) - start, 3)
        title = _title(chapter.get("tags", {}).get("title", ""))[:TITLE_LETTERS]
        if seconds >= 0:
            titles.setdefault(seconds, title or f"Chapter {number}")
    return sorted(titles.items())


def _title(text: str) -> str:
    """Return a text of the file in one line, without characters that nobody sees."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _named(stream: Any) -> str:
    tags = stream.get("tags", {})
    language = standard_tag(tags.get("language", "")) or UNDETERMINED
    title = _title(tags.get("title", ""))[:40]
    return f"no. {stream['index']} ({language}{', ' + title if title else ''})"


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
