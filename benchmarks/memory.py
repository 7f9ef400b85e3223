"""Measure how much memory processing takes, by the length of the video.

    .venv/bin/python benchmarks/memory.py [--minutes 1 10 120] [--size 640x360]

Each video is a moving test picture with a tone, whose format forces an encode (MPEG-4 part 2). It is
processed as a worker does, by a process of its own. Twenty times a second the resident memory is added
up: of that process, which is Python, and of the tools that it starts. The goal is that neither grows
with the length. Prints the peaks and writes ``benchmarks/results/memory-<date>.json``.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402 (the path comes first)
from pipeline import configure, machine  # noqa: E402

SAMPLE_SECONDS = 0.05


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10, 120])
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--sandbox", choices=("auto", "bwrap", "limits"), default="limits")
    parser.add_argument("--preset", default="veryfast")
    return parser.parse_args()


def make_video(path: Path, size: str, minutes: float) -> None:
    """Write a video by repeating one minute, so that it is made quickly."""
    from videos.processing import tools

    ffmpeg = [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-y"]
    minute = path.with_name("minute.avi")
    picture = f"testsrc2=size={size}:rate=25:duration=60"
    coded = ["-c:v", "mpeg4", "-b:v", "1M", "-c:a", "mp3", "-f", "avi"]
    sound = ["-f", "lavfi", "-i", "sine=duration=60"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", picture, *sound, *coded, str(minute)], check=True)
    loops = ["-stream_loop", "-1", "-t", str(60 * minutes)]
    subprocess.run(
        [*ffmpeg, *loops, "-i", str(minute), "-c", "copy", "-f", "avi", str(path)], check=True
    )


def process(options: argparse.Namespace, source: Path, work: Path) -> None:
    configure(options)
    from videos.processing import pipeline

    pipeline.transcode(source, work, lambda step, percent: None)


def peaks(options: argparse.Namespace, source: Path, work: Path) -> dict[str, float]:
    """Process a video, and return the highest sums of megabytes, and the seconds."""
    context = multiprocessing.get_context("spawn")
    child = context.Process(target=process, args=(options, source, work))
    own = tools = 0
    began = time.monotonic()
    child.start()
    watched = psutil.Process(child.pid)
    while child.is_alive():
        with suppress(psutil.Error):
            own = max(own, watched.memory_info().rss)
            sizes = []
            for each in watched.children(recursive=True):
                with suppress(psutil.Error):
                    sizes.append(each.memory_info().rss)
            tools = max(tools, sum(sizes))
        time.sleep(SAMPLE_SECONDS)
    if child.exitcode:
        raise SystemExit(f"Processing ended with {child.exitcode}.")
    mega = 1024 * 1024
    seconds = round(time.monotonic() - began, 1)
    return {"python_mb": own // mega, "tools_mb": tools // mega, "seconds": seconds}


def main() -> None:
    options = arguments()
    configure(options)
    results = {}
    print(
        f"{options.size}, {options.preset}\n{'minutes':>8}{'Python, MB':>12}{'tools, MB':>12}{'s':>9}"
    )
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as name:
            source, work = Path(name) / "source", Path(name) / "work"
            work.mkdir()
            make_video(source, options.size, minutes)
            found = results[f"{minutes:g}"] = peaks(options, source, work)
        line = f"{minutes:8g}{found['python_mb']:12}{found['tools_mb']:12}{found['seconds']:9}"
        print(line, flush=True)
    target = ROOT / "benchmarks" / "results" / f"memory-{datetime.now(UTC):%Y-%m-%d}.json"
    facts = {"machine": machine(), "size": options.size, "minutes": results}
    target.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"\nWritten to {target.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
