"""A growing version: the first rendition of a long video, played while FFmpeg still encodes it.

FFmpeg writes each stream as one file, with a playlist that names the byte ranges of the segments. This
module copies finished segments into a folder of its own, and writes playlists (RFC 8216, EVENT) beside
them. So no tool writes into a folder that is served.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import packager
from .encode import AUDIO_BITRATE
from .ladder import Rendition
from .languages import UNDETERMINED
from .pipeline import Output
from .posters import make_poster
from .probe import Probe

ENCODED = "encoded"  # the folder in which `pipeline.transcode` encodes
SEGMENTS_AT_START = 2  # that players load before they begin
SHORTEST_SEGMENT_SECONDS = 0.5  # players stall on a shorter one
# Not worth a version of its own: the encode is as good as done.
SOON_SECONDS = 4.0
END = "#EXT-X-ENDLIST\n"
_SEGMENT = re.compile(r"#EXTINF:([0-9.]+),\n#EXT-X-BYTERANGE:(\d+)@(\d+)\n")
_INIT = re.compile(r'#EXT-X-MAP:URI="[^"]*",BYTERANGE="(\d+)@0"')


@dataclass
class _Stream:
    """One growing stream: FFmpeg's file, and how much of it has been published under ``name``."""

    file: Path
    name: str
    lengths: list[float] = field(default_factory=list)  # of the published segments, in seconds

    def finished(self) -> list[tuple[float, int, int]]:
        """Return length, offset and size of each segment that FFmpeg has finished."""
        listed = _text(_playlist_of(self.file))
        return [(float(s), int(offset), int(size)) for s, size, offset in _SEGMENT.findall(listed)]

    def publish(self, folder: Path, *, complete: bool = False) -> None:
        """Copy what is new into ``folder``, and write the playlist.

        The newest segment waits for the next one: the last one is joined to it if it is short.
        """
        segments = self.finished()
        whole = [size for _, _, size in segments]
        lengths = [length for length, _, _ in segments]
        if len(segments) > 1 and lengths[-1] < SHORTEST_SEGMENT_SECONDS:
            lengths[-2:], whole[-2:] = [sum(lengths[-2:])], [sum(whole[-2:])]
        ready = len(lengths) if complete else len(lengths) - 1
        if ready <= len(self.lengths) and not complete:
            return
        (folder / self.name).mkdir(exist_ok=True)
        with self.file.open("rb") as file:
            if not self.lengths and (init := _INIT.search(_text(_playlist_of(self.file)))):
                _write(folder / self.name / "init.mp4", file.read(int(init[1])))
            for number in range(len(self.lengths), ready):
                file.seek(segments[number][1])
                _write(folder / self.name / f"{number + 1}.m4s", file.read(whole[number]))
                self.lengths.append(lengths[number])
        _write(folder / f"{self.name}.m3u8", self._playlist(complete=complete).encode())

    def _playlist(self, *, complete: bool) -> str:
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            # The last segment may be longer by a short end; the number may never change.
            f"#EXT-X-TARGETDURATION:{packager.SEGMENT_SECONDS + 1}",
            "#EXT-X-PLAYLIST-TYPE:EVENT",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES",  # not at the end, as with a live broadcast
            f'#EXT-X-MAP:URI="{self.name}/init.mp4"',
        ]
        for number, length in enumerate(self.lengths, 1):
            lines += [f"#EXTINF:{length:.6f},", f"{self.name}/{number}.m4s"]
        return "\n".join(lines) + "\n" + (END if complete else "")


class Growing:
    """Publishes a growing version as soon as it can be played, and then its further segments.

    ``start`` is called at most once, with the finished beginning of the version: it publishes the folder
    and returns where it is now. An exception in it stops the encode. None:
    nothing is published. ``extend`` is called with that
    folder whenever there is more in it.
    """

    def __init__(
        self,
        work: Path,
        start: Callable[[Output], Path] | None,
        extend: Callable[[Path], object] = str,
    ) -> None:
        self._work, self._start, self._extend = work, start, extend
        self._folder: Path | None = None
        self._names: list[str] = []  # of FFmpeg's files: the picture, then the sound tracks
        self._streams: list[_Stream] = []
        self._began_at = time.monotonic()

    def container(self, name: str) -> list[str]:
        """Return FFmpeg's arguments for one more growing stream, in a file of this name.

        The timestamps keep the encoder's delay, which the header takes off, as Packager writes it.
        """
        if name not in self._names:  # an encode may begin anew
            self._names.append(name)
        file = self._work / ENCODED / name
        _playlist_of(file).parent.mkdir(parents=True, exist_ok=True)
        clean = ["-dn", "-sn", "-map_metadata", "-1", "-map_chapters", "-1"]
        return [
            *(*clean, "-avoid_negative_ts", "disabled"),
            *("-f", "hls", "-hls_time", str(packager.SEGMENT_SECONDS), "-hls_list_size", "0"),
            *("-hls_playlist_type", "event", "-hls_segment_type", "fmp4"),
            *("-hls_flags", "single_file", "-hls_segment_filename", name),
            str(_playlist_of(file).relative_to(file.parent)),
        ]

    def follow(self, encoded: Path, video: Probe, rendition: Rendition, percent: int) -> None:
        """Publish what FFmpeg has finished in ``encoded``, when it has done ``percent`` of the video."""
        if not self._streams:
            tracks = enumerate(video.audio_tracks, 1)
            names = [rendition.name, *(f"audio-{n}-{track.language}" for n, track in tracks)]
            pairs = zip(self._names, names, strict=True)
            self._streams = [_Stream(encoded / file, name) for file, name in pairs]
        if self._folder is not None:
            self._publish(self._folder)
            self._extend(self._folder)
        elif self._start is not None and self._is_worth_it(percent):
            folder = self._work / "growing"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self._publish(folder)
            self._folder = self._start(self._beginning(folder, video, rendition))

    def complete(self) -> None:
        """Publish the last segments of the growing version, if there is one, and end its playlists."""
        if self._folder is not None:
            for stream in self._streams:
                stream.publish(self._folder, complete=True)
            self._extend(self._folder)

    def abandon(self) -> None:
        """Tell the players of the growing version, if there is one, that nothing more will come."""
        if self._folder is not None:
            end_playlists(self._folder)
            self._extend(self._folder)

    def _is_worth_it(self, percent: int) -> bool:
        ready = all(len(stream.finished()) > SEGMENTS_AT_START for stream in self._streams)
        elapsed = time.monotonic() - self._began_at
        return ready and elapsed * (100 - percent) / max(percent, 1) > SOON_SECONDS

    def _publish(self, folder: Path) -> None:
        for stream in self._streams:
            stream.publish(folder)

    def _beginning(self, folder: Path, video: Probe, rendition: Rendition) -> Output:
        """Write what the beginning of the version still needs, and return its properties."""
        picture, *sounds = self._streams
        segments = list((folder / picture.name).glob("*.m4s"))
        rate = round(sum(file.stat().st_size for file in segments) * 8 / sum(picture.lengths))
        codecs = _codec((folder / picture.name / "init.mp4").read_bytes())
        codecs += ",mp4a.40.2" if sounds else ""
        of_poster = self._work / "beginning.mp4"
        with of_poster.open("wb") as file:
            for name in ("init.mp4", "1.m4s", "2.m4s"):
                file.write((folder / picture.name / name).read_bytes())
        make_poster(of_poster, folder)
        of_poster.unlink()
        sound = ""
        if sounds:
            sound = f',AUDIO="{packager.AUDIO_GROUP}"'
        names = packager.audio_names(video.audio_tracks)
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
        for track, stream, name in zip(video.audio_tracks, sounds, names, strict=True):
            spoken = f'LANGUAGE="{track.language}",' if track.language != UNDETERMINED else ""
            default = "YES" if stream is sounds[0] else "NO"
            lines.append(
                f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{packager.AUDIO_GROUP}",NAME="{name}",{spoken}'
                f'DEFAULT={default},AUTOSELECT=YES,CHANNELS="2",URI="{stream.name}.m3u8"'
            )
        size = f"RESOLUTION={rendition.width}x{rendition.height}"
        peak = rendition.maxrate + AUDIO_BITRATE * bool(sounds)
        lines += [
            f'#EXT-X-STREAM-INF:BANDWIDTH={peak},CODECS="{codecs}",{size}'
            f",FRAME-RATE={float(video.frame_rate):.3f}{sound},CLOSED-CAPTIONS=NONE",
            f"{picture.name}.m3u8",
        ]
        _write(folder / packager.MASTER, ("\n".join(lines) + "\n").encode())
        return Output(
            directory=folder,
            duration_seconds=round(video.duration_seconds, 3),
            width=video.width,
            height=video.height,
            frame_rate=float(video.frame_rate),
            renditions=[
                {
                    "name": rendition.name,
                    "width": rendition.width,
                    "height": rendition.height,
                    "video_bitrate": rate,
                    "codecs": codecs,
                }
            ],
            container=video.container,
            video_codec=video.video_codec,
            audio_codec=video.audio_tracks[0].codec if video.audio_tracks else "",
        )


def end_playlists(folder: Path) -> None:
    """Say in the playlists of a version that it grows no longer. Safe to repeat; it may be gone."""
    for playlist in folder.glob("*.m3u8"):
        text = _text(playlist)
        if "#EXT-X-PLAYLIST-TYPE:EVENT" in text and END not in text:
            _write(playlist, (text + END).encode())


def _playlist_of(file: Path) -> Path:
    """Return where FFmpeg writes the playlist of a stream.

    It is a folder of its own, because FFmpeg renames a new playlist each time: whoever adds up the sizes
    of the streams would miss a file.
    """
    return file.parent / "playlists" / f"{file.stem}.m3u8"


def _codec(init: bytes) -> str:
    """Return the codec of the picture as RFC 6381 spells it, from the header of its stream."""
    at = init.index(b"avcC") + 5
    return f"avc1.{init[at : at + 3].hex()}"


def _text(playlist: Path) -> str:
    try:
        return playlist.read_text(encoding="utf-8")
    except FileNotFoundError:  # FFmpeg has not finished the first segment
        return ""


def _write(file: Path, content: bytes) -> None:
    """Write a file at once: whoever opens it gets the whole earlier or the whole new content."""
    beside = file.with_name(f".{file.name}")
    beside.write_bytes(content)
    os.replace(beside, file)
