"""The poster: a still picture of the video."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypedDict

from . import cage, playlists, tools
from .encode import Encoded
from .errors import Rejected, ToolBroke
from .ladder import H264

POSTER = "poster.jpg"
FIRST_SECONDS = 60
SHORT_SIDE_MAX = 720
MOST_BYTES = 4_000_000
SECONDS_ALLOWED = 120
# A JPEG file is in the colours of JFIF (BT.601, full range), the renditions are in those of BT.709.
JFIF = (
    "scale=in_color_matrix=bt709:in_range=tv:out_color_matrix=bt601:out_range=pc:"
    "flags=bicubic+accurate_rnd+full_chroma_int,format=yuvj420p"
)
_JPEG = ("-map_metadata", "-1", "-q:v", "4", "-f", "image2", "-update", "1", POSTER)
LARGEST_SIDE = 1920
IMAGE_PIXELS = 50_000_000
IMAGE_SECONDS = 20
# By FFmpeg's name, whether a file that begins so is of this kind.
KINDS: dict[str, Callable[[bytes], bool]] = {
    "jpeg": lambda head: head.startswith(b"\xff\xd8\xff"),
    "png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    "webp": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
}
# Selects the frames of which less than nine tenths are black.
NOT_BLACK = (
    "blackframe=amount=0:threshold=32,"
    "metadata=mode=select:key=lavfi.blackframe.pblack:value=90:function=less,"
)


class RenditionSize(TypedDict):
    """What is needed of a rendition in ``Video.renditions``."""

    name: str
    width: int
    height: int
    codecs: str


def poster_source(encoded: Encoded) -> Path:
    """Return the largest with a short side of at most 720, or else the smallest, in H.264.

    FFmpeg without a decoder for AV1 makes posters as well.
    """
    small = [
        path
        for rendition, path in encoded.videos
        if rendition.codec == H264 and min(rendition.width, rendition.height) <= SHORT_SIDE_MAX
    ]
    return small[0] if small else encoded.videos[-1][1]


def make_poster(
    rendition: Path, folder: Path, *, on_tick: Callable[[], None] | None = None
) -> Path:
    """Write ``poster.jpg`` into ``folder`` and return its path.

    It is a typical keyframe of the first minute, chosen by FFmpeg's filter ``thumbnail``; a black one
    only if there is no other. ``on_tick`` as in ``cage.run``. Raises ToolFailed.
    """
    target = folder / POSTER
    for selection in (NOT_BLACK, ""):
        done = cage.run(
            _command(rendition, selection),
            reads=[rendition],
            writes=[folder],
            cwd=folder,
            cpu_seconds=SECONDS_ALLOWED,
            wall_seconds=SECONDS_ALLOWED,
            file_bytes=MOST_BYTES,
            on_tick=on_tick,
        )
        if target.is_file() and target.stat().st_size:
            return target
    raise ToolBroke(f"FFmpeg wrote no poster ({done.returncode}). {done.stderr[-1000:]}")


def poster_at(
    version: Path,
    renditions: Sequence[RenditionSize],
    seconds: float,
    folder: Path,
    *,
    bring: Callable[[Iterable[Path]], object] = list,
) -> Path:
    """Write ``poster.jpg`` into ``folder``: the picture that the version shows at ``seconds``.

    It is taken from the segment that holds it. ``bring`` is called with the files of the version before
    they are read. Raises ToolFailed.
    """
    usable = [each for each in renditions if not each["codecs"].startswith("av01")]
    small = [each for each in usable if min(each["width"], each["height"]) <= SHORT_SIDE_MAX]
    name = (small or usable[-1:])[0]["name"]
    playlist = version / f"{name}.m3u8"
    bring([playlist])
    init, segment, start = playlists.segment_at(playlist, seconds)
    bring([init, segment])
    joined = folder / "segment.mp4"
    joined.write_bytes(init.read_bytes() + segment.read_bytes())
    into = seconds - start + 0.0005
    done = cage.run(
        [
            *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"),
            *("-threads", "1", "-f", "mov", "-i", f"file:{joined.absolute()}"),
            # Each frame replaces the one before, so that the last one is kept: the one that is shown.
            *("-an", "-vf", f"select='between(t,{into - 2.5:.4f},{into:.4f})',{JFIF}"),
            *("-fps_mode", "passthrough", *_JPEG),
        ],
        reads=[joined],
        writes=[folder],
        cwd=folder,
        cpu_seconds=IMAGE_SECONDS,
        wall_seconds=IMAGE_SECONDS,
        file_bytes=MOST_BYTES,
    )
    return _written(folder, done)


def poster_of_image(image: Path, folder: Path) -> Path:
    """Write ``poster.jpg`` into ``folder``, decoded from an image that is JPEG, PNG or WebP.

    It is upright, has no metadata, no transparency (black instead), and sides of at most LARGEST_SIDE.
    Raises Rejected if it is no such image or too large, and ToolFailed.
    """
    data = image.read_bytes()[:16]
    kind = next((kind for kind, is_kind in KINDS.items() if is_kind(data)), None)
    if kind is None:
        raise Rejected("not_an_image", "The file is no image. Send a JPEG, PNG or WebP file.")
    fit = f"'min({LARGEST_SIDE},iw)':'min({LARGEST_SIDE},ih)':force_original_aspect_ratio=decrease"
    done = cage.run(
        [
            *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y", "-xerror"),
            *("-threads", "1", "-max_pixels", str(IMAGE_PIXELS), "-protocol_whitelist", "file"),
            *("-f", f"{kind}_pipe", "-i", f"file:{image.absolute()}"),
            *("-vf", f"format=gbrap,premultiply=inplace=1,scale={fit}:out_color_matrix=bt601:"
                     "out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int,format=yuvj420p"),
            *("-frames:v", "1", *_JPEG),
        ],
        reads=[image],
        writes=[folder],
        cwd=folder,
        cpu_seconds=IMAGE_SECONDS,
        wall_seconds=IMAGE_SECONDS,
        file_bytes=MOST_BYTES,
    )  # fmt: skip
    if "no decoder found" in done.stderr:
        raise Rejected(
            "unsupported", f"This service's FFmpeg cannot read {kind}. Send a JPEG file."
        )
    if done.returncode:
        raise Rejected(
            "damaged",
            f"The image is damaged, or has more than {IMAGE_PIXELS // 1_000_000} million pixels. Export "
            "it again, smaller.",
        )
    return _written(folder, done)


def _written(folder: Path, done: cage.Finished) -> Path:
    target = folder / POSTER
    if not target.is_file() or not target.stat().st_size:
        raise ToolBroke(f"FFmpeg wrote no poster ({done.returncode}). {done.stderr[-1000:]}")
    return target


def _command(rendition: Path, selection: str) -> list[str]:
    return [
        *(str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"),
        *("-threads", "1", "-skip_frame", "nokey", "-t", str(FIRST_SECONDS)),
        *("-i", f"file:{rendition.absolute()}"),
        *("-an", "-vf", f"{selection}thumbnail=n=30,{JFIF}", "-frames:v", "1"),
        *_JPEG,
    ]
