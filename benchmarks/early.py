"""Measure how soon a video can be played after its upload, by its length.

    .venv/bin/python benchmarks/early.py [--lengths 10 60 600 3600] [--sandbox auto]

For each length there are two sources of 1280x720: one that players can play as it is, which is copied
(bound: 0.003 of its length, and 3 seconds), and one of another codec, whose smallest rendition is
encoded (bound: 10 seconds). The time is that of ``early.first_rendition`` until its version, or a
growing one, could be published; a worker adds up to a second until it takes the job.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pipeline import configure  # noqa: E402 (the path comes first)

CLIP_SECONDS = 10
KINDS = {
    "copied": ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "24", "-g", "60", "-c:a", "aac"],
    "encoded": ["-c:v", "mpeg4", "-q:v", "5", "-g", "60", "-c:a", "ac3"],
}


class Playable(Exception):
    """Ends the work as soon as there is a version that can be played."""


def make(folder: Path, kind: str, seconds: int) -> Path:
    """Write a source of this length: a clip of ten seconds, repeated without encoding it again."""
    from videos.processing import tools

    ffmpeg = [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-y"]
    clip, source = folder / f"{kind}.mkv", folder / f"{kind}-{seconds}"
    picture = f"testsrc2=size=1280x720:rate=30:duration={CLIP_SECONDS},noise=alls=6:allf=t"
    tone = f"sine=frequency=440:duration={CLIP_SECONDS}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-pix_fmt", "yuv420p"]
    if not clip.exists():
        subprocess.run([*ffmpeg, *inputs, *KINDS[kind], str(clip)], check=True)
    form = "mp4" if kind == "copied" else "matroska"
    repeats = str(seconds // CLIP_SECONDS - 1)
    repeated = ["-stream_loop", repeats, "-i", str(clip), "-c", "copy", "-t", str(seconds)]
    subprocess.run([*ffmpeg, *repeated, "-f", form, source], check=True)
    return source


def seconds_until_playable(source: Path, work: Path) -> tuple[float, str]:
    """Return the time until a version could be published, and the name of its rendition."""
    from videos.processing import early

    began, found = time.monotonic(), []

    def playable(output) -> Path:
        found.append(output)
        raise Playable

    with suppress(Playable):
        found.append(early.first_rendition(source, work, lambda step, percent: None, playable))
    return time.monotonic() - began, found[0].renditions[0]["name"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 60, 600, 3600])
    parser.add_argument("--sandbox", choices=("auto", "bwrap", "limits"), default="auto")
    parser.add_argument("--preset", default="veryfast")
    configure(parser.parse_args())
    print(f"{'source':10}{'seconds':>9}{'rendition':>12}{'playable after':>16}{'bound':>8}")
    for seconds in parser.parse_args().lengths:
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                source = make(Path(folder), kind, seconds)
                took, name = seconds_until_playable(source, Path(folder))
            bound = 0.003 * seconds + 3 if kind == "copied" else 10
            print(f"{kind:10}{seconds:9}{name:>12}{took:14.1f} s{bound:6.1f} s")


if __name__ == "__main__":
    main()
