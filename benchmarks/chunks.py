"""Measure one video that is encoded in chunks by 1, 2 and 4 workers, against the whole encode by one.

    .venv/bin/python benchmarks/chunks.py [--seconds 600] [--chunk 60] [--workers 1 2 4]

A video of 1280x720 is uploaded to a service of its own, on SQLite, and real workers make all renditions
of it. Wall time is that of the job, from its claim to READY. CPU time is that of the workers and all
that they started, without bubblewrap, whose descendants the kernel would not count. Bytes are those of
the version.
"""

import argparse
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CLIP_SECONDS = 10
PATIENCE_SECONDS = 3600


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="length of the video")
    parser.add_argument("--chunk", type=int, default=60, help="length of a chunk in seconds")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--preset", default="veryfast")
    return parser.parse_args()


def make(folder: Path, seconds: int) -> Path:
    """Write a source of this length: a clip of ten seconds, repeated without encoding it again."""
    from videos.processing import tools

    ffmpeg = [str(tools.ffmpeg()), "-nostdin", "-v", "error", "-y"]
    clip, source = folder / "clip.mkv", folder / "source.mp4"
    picture = f"testsrc2=size=1280x720:rate=30:duration={CLIP_SECONDS},noise=alls=6:allf=t"
    tone = f"sine=frequency=440:duration={CLIP_SECONDS}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-pix_fmt", "yuv420p"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "24", "-g", "60", "-c:a", "aac"]
    subprocess.run([*ffmpeg, *inputs, *encoder, str(clip)], check=True)
    repeated = ["-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-t", str(seconds)]
    subprocess.run([*ffmpeg, *repeated, str(source)], check=True)
    return source


def upload(source: Path, creator):
    """Put a copy of the source into the service, and return its video: all renditions are to be made."""
    from django.conf import settings

    from videos.models import ProcessingJob
    from videos.services import catalogue, sources
    from videos.uploads.received import ReceivedFile

    folder = settings.MEDIA_ROOT / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{time.monotonic_ns()}"
    content = source.read_bytes()
    copy.write_bytes(content)
    video = catalogue.create_video(creator=creator, title="A long video")
    received = ReceivedFile(
        copy, source.name, len(content), f"sha256:{sha256(content).hexdigest()}"
    )
    sources.attach_source(video=video, received=received, actor=creator)
    ProcessingJob.objects.filter(video=video).update(stage=ProcessingJob.Stage.REST)
    return video


def measure(video, workers: int, environment: dict[str, str]) -> tuple[float, float, int]:
    """Let workers process the video. Return wall time, CPU time and the bytes of the version."""
    started = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "run_worker"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(workers)
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    end = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < end and video.status not in ("READY", "FAILED"):
            time.sleep(0.2)
            video.refresh_from_db()
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
    if video.status != "READY":
        raise SystemExit(f"The video is {video.status}: {video.job.error_detail}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [path for path in video.version_folder.rglob("*") if path.is_file()]
    wall = (video.job.finished_at - video.job.started_at).total_seconds()
    return wall, cpu, sum(path.stat().st_size for path in files)


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DATA_DIR": folder,
            "MEDIA_DIR": f"{folder}/media",
            "DATABASE_URL": f"sqlite:///{folder}/benchmark.sqlite3",
            "SECRET_KEY": secrets.token_urlsafe(60),
            "FFMPEG_SANDBOX": "limits",
            "FFMPEG_PRESET": options.preset,
            "CHUNKS_FROM_SECONDS": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        from accounts.models import User
        from accounts.roles import Role

        creator = User.objects.create_user("c@example.com", None, role=Role.CREATOR)
        source = make(Path(folder), options.seconds)
        print(f"{'':20}{'wall s':>10}{'CPU s':>10}{'bytes':>14}")
        for chunk, workers in [(0, 1), *((options.chunk, number) for number in options.workers)]:
            environment = {**os.environ, "CHUNK_SECONDS": str(chunk)}
            wall, cpu, size = measure(upload(source, creator), workers, environment)
            name = f"chunks, {workers} worker(s)" if chunk else "whole, 1 worker"
            print(f"{name:20}{wall:>10.1f}{cpu:>10.1f}{size:>14,}", flush=True)


if __name__ == "__main__":
    main()
