"""Whether this machine has room for another encode of all renditions, by its memory and processors.

First renditions and captions are light, and always begin. What is heavy waits until there is room, or
leaves it to workers on other machines; after PATIENCE it begins all the same, within the cage's limits.
"""

import logging
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models.functions import Now

from config import processors
from videos.models import ProcessingJob

logger = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=5)
HEAVY = (ProcessingJob.Stage.REST, ProcessingJob.Stage.AGAIN)
# An encode may take FFMPEG_MEMORY_MB. Few do, so no more than this part of all memory needs to be free.
SHARE_OF_MEMORY = 16
LEAST_ENCODES = 2  # at once, also on one processor
MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
MB = 1024 * 1024


def light(stages: Collection[ProcessingJob.Stage]) -> list[ProcessingJob.Stage]:
    """Return the stages that need no room."""
    return [stage for stage in stages if stage not in HEAVY]


def refusal(worker: str) -> str:
    """Return why no further encode should begin on the machine of ``worker``, or an empty string."""
    host = worker.rpartition("/")[0] + "/"
    running = ProcessingJob.objects.filter(
        state=ProcessingJob.State.RUNNING,
        stage__in=HEAVY,
        worker__startswith=host,
        lease_until__gte=Now(),
    )
    encodes = running.exclude(kind=ProcessingJob.Kind.IMPORT).count()
    if encodes >= max(LEAST_ENCODES, processors.count()):
        return f"{encodes} encodes run on this machine, which has {processors.count()} processors"
    free, total = memory()
    needed = min(settings.FFMPEG_MEMORY_MB * MB, total // SHARE_OF_MEMORY)
    if free < needed:
        return f"{free // MB} MB of memory are free, and an encode may need {needed // MB}"
    return ""


def memory() -> tuple[int, int]:
    """Return how many bytes of memory are free for programs, and how many there are in all.

    In a container with a limit, those within it. (0, 0) where the system does not tell; then nothing is
    asked for.
    """
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        free, total = (int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    except (OSError, KeyError, ValueError):
        return 0, 0
    try:
        limit = int((CGROUP / "memory.max").read_text())  # "max", if there is none
        used = int((CGROUP / "memory.current").read_text())
        facts = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return free, total
    used -= int(facts.get("inactive_file", 0))  # copies of files, which make room for programs
    return min(free, max(0, limit - used)), min(total, limit)
