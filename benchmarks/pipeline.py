"""Compare the processing pipeline with the bare FFmpeg that it drives.

    .venv/bin/python benchmarks/pipeline.py [--seconds 60] [--runs 5] [--sandbox auto]

Makes a 1080p video of a moving test picture with noise. Then ``pipeline.transcode`` and bare FFmpeg
take turns; FFmpeg makes the same ladder (same filters, rates and preset) in one process, as plain MP4
files. CPU time is the user and system time of this process and all its descendants. bubblewrap does not
wait for its child, so the kernel would not count the child's time: this process adopts orphans and
waits for them (Linux only).
Prints medians and writes ``benchmarks/results/pipeline-<date>.json``.
"""

import argparse
import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from django.conf import settings  # noqa: E402 (the path comes first)

HALF_SECOND = 0.5
A_FIFTH = 20  # percent of the work, from which on the time left is told well
REAPING_SECONDS = 5
PR_SET_CHILD_SUBREAPER = 36


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="length of the video")
    parser.add_argument("--runs", type=int, default=5, help="runs of each side")
    parser.add_argument("--sandbox", choices=("auto", "bwrap", "limits"), default="auto")
    parser.add_argument("--preset", default="veryfast")
    return parser.parse_args()


def configure(options: argparse.Namespace) -> None:
    """Set the settings that the pipeline reads, without a database and without a .env."""
    settings.configure(
        FFMPEG_PATH="",
        FFPROBE_PATH="",
        PACKAGER_PATH="",
        FFMPEG_SANDBOX=options.sandbox,
        FFMPEG_PRESET=options.preset,
        LADDER_CODECS=["h264"],
        AV1_PRESET=9,
        FFMPEG_THREADS=0,
        FFMPEG_MEMORY_MB=4096,
        FFMPEG_STALL_SECONDS=60,
        MAX_DURATION_SECONDS=6 * 3600,
        MAX_PIXELS=35_651_584,
        MAX_STREAMS=32,
        MAX_AUDIO_TRACKS=16,
        PROCESSING_TIME_FACTOR=20,
    )


def cpu_seconds() -> float:
    """Return user + system time of this process and of all children it has waited for."""
    own, children = (resource.getrusage(who) for who in (0, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def adopt_orphans() -> None:
    """Become the parent of descendants that lose their own parent (prctl, Linux)."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise SystemExit(
            "This system has no child subreaper, so CPU time under bubblewrap cannot be counted."
        )


def reap_orphans() -> None:
    """Wait for every adopted child, so that its CPU time is counted.

    The benchmark itself has no running child at this point.
    """
    deadline = time.monotonic() + REAPING_SECONDS
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            time.sleep(0.01)
    raise SystemExit("A process is still running, so the CPU time would be incomplete.")


def measured(work) -> dict:
    """Run ``work()`` and return its result with its CPU and wall seconds."""
    cpu, start = cpu_seconds(), time.monotonic()
    result = work()
    wall = time.monotonic() - start
    reap_orphans()
    return {"cpu": cpu_seconds() - cpu, "wall": wall, "result": result}


def make_video(path: Path, seconds: int) -> None:
    """Write a moving test picture with grain: harder to encode than a cartoon, easier than noise."""
    from videos.processing import tools

    picture = f"testsrc2=size=1920x1080:rate=30:duration={seconds},noise=alls=8:allf=t"
    subprocess.run(
        [
            *(str(tools.ffmpeg()), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture),
            *("-f", "lavfi", "-i", f"sine=frequency=440:beep_factor=4:duration={seconds}"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p"),
            *("-c:a", "aac", "-movflags", "+faststart", "-f", "mp4", str(path)),
        ],
        check=True,
    )


def bare_command(source: Path) -> list[str]:
    """Return one FFmpeg command that makes the same ladder, rates, preset and keyframes."""
    from videos.processing import tools
    from videos.processing.ladder import ladder

    rungs = ladder(1920, 1080, 30)
    names = [f"s{number}" for number in range(len(rungs))]
    graph = [f"[0:v]split={len(rungs)}" + "".join(f"[{name}]" for name in names)]
    graph += [
        f"[{name}]scale={rung.width}:{rung.height}:flags=bicubic,setsar=1[{name}o]"
        for name, rung in zip(names, rungs, strict=True)
    ]
    argv = [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-y", "-i", str(source)]
    argv += ["-filter_complex", ";".join(graph)]
    for name, rung in zip(names, rungs, strict=True):
        argv += ["-map", f"[{name}o]", "-c:v", "libx264", "-preset", settings.FFMPEG_PRESET]
        argv += ["-profile:v", "high", "-pix_fmt", "yuv420p", "-crf", str(rung.crf)]
        argv += ["-maxrate", str(rung.maxrate), "-bufsize", str(rung.bufsize)]
        argv += ["-x264-params", "scenecut=0:open_gop=0:keyint=600:min-keyint=1"]
        argv += ["-force_key_frames", "expr:gte(t,n_forced*2)", "-movflags", "+faststart"]
        argv += [f"{rung.name}.mp4"]
    argv += ["-map", "0:a:0", "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000"]
    return [*argv, "-movflags", "+faststart", "audio.mp4"]


def run_bare(source: Path) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        command = bare_command(source)
        figures = measured(lambda: subprocess.run(command, cwd=folder, check=True))
        figures["bytes"] = sum(path.stat().st_size for path in Path(folder).iterdir())
    return figures


def run_pipeline(source: Path) -> dict:
    from videos.processing import pipeline

    reports: list[tuple[float, int]] = []

    def noted(step: str, percent: int) -> None:
        reports.append((time.monotonic(), percent))

    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        with EncodedSize() as encoded:
            figures = measured(lambda: pipeline.transcode(source, Path(folder), noted))
        output = figures["result"]
        figures["told"] = estimates_to_truth(begun, reports, begun + figures["wall"])
        media = [*output.directory.rglob("*.m4s"), *output.directory.rglob("init.mp4")]
        figures["encoded_bytes"] = encoded.bytes
        figures["media_bytes"] = sum(path.stat().st_size for path in media)
        figures["frames"] = {
            made["name"]: frames(output.directory / f"{made['name']}.m3u8")
            for made in output.renditions
        }
    return figures


def estimates_to_truth(begun: float, reports: list[tuple[float, int]], end: float) -> list[float]:
    """Return the time left as told, divided by the true one, of each report from a fifth on."""
    from videos.processing.pipeline import STEPS, rest_at_own_speed

    return [
        rest_at_own_speed(at - begun, percent, percent) / (end - at)
        for at, percent in reports
        if A_FIFTH <= percent < STEPS["check"]
    ]


class EncodedSize:
    """A context in which the size of the encoder's files is recorded before they are packaged."""

    def __enter__(self):
        from videos.processing import packager

        self._package = packager.package
        packager.package = self._noting
        return self

    def _noting(self, encoded, folder, **options):
        files = (*encoded.videos, *encoded.audios)
        self.bytes = sum(path.stat().st_size for _, path in files)
        return self._package(encoded, folder, **options)

    def __exit__(self, *exception):
        from videos.processing import packager

        packager.package = self._package


def frames(path: Path) -> int:
    """Return the number of frames of the first video stream."""
    from videos.processing import tools

    done = subprocess.run(
        [
            *(str(tools.ffprobe()), "-v", "error", "-count_packets", "-select_streams", "v:0"),
            *("-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", str(path)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout.split()[0].strip(","))  # a playlist adds a line for its program


def machine() -> dict:
    from videos.processing import cage, tools

    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sandbox": cage.describe().name,
        **tools.versions(),
    }


def median(runs: list[dict], key: str) -> float:
    return round(statistics.median(run[key] for run in runs), 3)


def told(pipelines: list[dict]) -> dict:
    """Return the least, the median and the most of the times left that were told, against the truth."""
    ratios = [ratio for run in pipelines for ratio in run["told"]] or [0.0]
    figures = {"least": min(ratios), "median": statistics.median(ratios), "most": max(ratios)}
    return {name: round(ratio, 2) for name, ratio in figures.items()}


def summarise(pipelines: list[dict], bares: list[dict], frames_in: int) -> dict:
    last = pipelines[-1]
    medians = {
        "pipeline_cpu": median(pipelines, "cpu"),
        "bare_cpu": median(bares, "cpu"),
        "pipeline_wall": median(pipelines, "wall"),
        "bare_wall": median(bares, "wall"),
    }
    if medians["pipeline_cpu"] < 0.8 * medians["bare_cpu"]:
        # The pipeline does the same encoding and more. Less CPU time means that some was not counted.
        raise SystemExit(f"The figures are implausible and are not recorded: {medians}")
    return medians | {
        "cpu_ratio": round(medians["pipeline_cpu"] / medians["bare_cpu"], 4),
        "wall_ratio": round(medians["pipeline_wall"] / medians["bare_wall"], 4),
        "packaging_overhead": round(last["media_bytes"] / last["encoded_bytes"] - 1, 6),
        "told_to_truth": told(pipelines),
        "frames_in": frames_in,
        "frames_out": last["frames"],
    }


def show(facts: dict, figures: dict) -> None:
    print("  ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"\n{'':26}{'pipeline':>12}{'bare ffmpeg':>14}{'ratio':>9}{'bar':>8}")
    for key, bar in (("cpu", "1.05"), ("wall", "-")):
        own, bare = figures[f"pipeline_{key}"], figures[f"bare_{key}"]
        ratio = figures[f"{key}_ratio"]
        print(f"{key + ', s (median)':26}{own:12.2f}{bare:14.2f}{ratio:9.3f}{bar:>8}")
    overhead = figures["packaging_overhead"]
    print(f"{'packaging, bytes':26}{overhead:+12.4%}{'':23}{'+0.5%':>8}")
    least, middle, most = figures["told_to_truth"].values()
    print(f"{'time left, told / true':26}{middle:12.2f}{f'{least} to {most}':>23}{'0.5-2':>8}")
    exact = set(figures["frames_out"].values()) == {figures["frames_in"]}
    print(f"{'frames out = in':26}{'exact' if exact else figures['frames_out']!s:>12}")


def main() -> None:
    options = arguments()
    configure(options)
    adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        make_video(source, options.seconds)
        frames_in = frames(source)
        pipelines: list[dict] = []
        bares: list[dict] = []
        for number in range(options.runs):
            sides = [(run_pipeline, pipelines), (run_bare, bares)]
            for run, results in sides if number % 2 else reversed(sides):
                results.append(run(source))
                time.sleep(HALF_SECOND)  # let the disk settle between turns
    facts, figures = machine(), summarise(pipelines, bares, frames_in)
    show(facts, figures)
    now = datetime.now(UTC)
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    record = {
        "date": now.isoformat(timespec="seconds"),
        "machine": facts,
        "video": {"seconds": options.seconds, "size": "1920x1080", "rate": 30},
        "runs": [
            {
                "pipeline": {key: round(own[key], 3) for key in ("cpu", "wall")},
                "bare": {key: round(bare[key], 3) for key in ("cpu", "wall")},
            }
            for own, bare in zip(pipelines, bares, strict=True)
        ],
        "result": figures,
    }
    path = results / f"pipeline-{now:%Y-%m-%d}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"\n{path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
