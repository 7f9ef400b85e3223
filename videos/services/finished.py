"""What an attempt took, step by step, and the line of the log about a finished video."""

import logging
import time
from collections import defaultdict
from pathlib import Path

from config import tracing
from videos.models import ProcessingJob
from videos.processing.pipeline import Output

logger = logging.getLogger(__name__)
INTERVALS_MAX = 200


class Clock:
    """The seconds that the steps of one attempt take, by their names."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._step, self._since = "", time.monotonic()
        self._begun_at = time.time_ns()
        self._intervals: list[tracing.Interval] = []

    def enter(self, step: str) -> None:
        """Note that a step goes on, or that the next one begins."""
        if step != self._step:
            self._stop()
            self._step = step

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each step so far."""
        self._stop()
        return {step: round(seconds, 2) for step, seconds in self._spent.items()}

    def trace(self) -> None:
        """Add the steps so far to the current span."""
        self._stop()
        tracing.add(self._intervals)
        self._intervals = []

    def _stop(self) -> None:
        now, moment = time.monotonic(), time.time_ns()
        if self._step:
            self._spent[self._step] += now - self._since
            if len(self._intervals) < INTERVALS_MAX:
                self._intervals.append((self._step, self._begun_at, moment))
        self._since, self._begun_at = now, moment


def bytes_of(folder: Path) -> int:
    """Return the bytes of all files in a folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def tell_finished(job: ProcessingJob, output: Output, seconds: dict[str, float], size: int) -> None:
    """Write the line of the log about a video that has all its renditions."""
    names = [each["name"] for each in output.renditions]
    data = {
        "duration_seconds": round(output.duration_seconds, 2),
        "renditions": names,
        "steps": seconds,
        "source_bytes": job.video.source_size,
        "version_bytes": size,
    }
    steps = ", ".join(f"{step} {spent:.1f} s" for step, spent in seconds.items())
    logger.info(
        "Video %s is ready: %.1f s long, %s; %s; %s bytes from a source of %s.",
        job.video_id,
        output.duration_seconds,
        ", ".join(names),
        steps or "no steps",
        size,
        job.video.source_size,
        extra={"data": data},
    )
