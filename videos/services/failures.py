"""Which end an attempt has that fails: the only place where this is decided.

What would happen again with the same file ends the job. Only what has its cause outside of the file is
tried again: as a strike, or without one if the whole service is at fault and every video must wait.
"""

import enum
import errno
import os
import re
from dataclasses import dataclass, replace
from datetime import timedelta

from config.errors import StorageFull
from videos import storage
from videos.encryption.content_keys import ProviderFailed
from videos.errors import StorageAway
from videos.processing.errors import (
    FetchFailed,
    LimitReached,
    Rejected,
    ToolBroke,
    ToolCrashed,
    ToolFailed,
    ToolMissing,
)


class Ending(enum.Enum):
    GIVE_UP = "it would happen again"
    STRIKE = "another attempt may succeed"
    WAIT = "all videos wait for an operator; no attempt is counted"


@dataclass(frozen=True)
class Failure:
    """The end of one attempt. ``code`` and ``detail`` are for the creator, ``wait`` is for WAIT.

    ``last_line`` is the last line that the tool wrote, without paths of the server.
    """

    ending: Ending
    code: str = ""
    detail: str = ""
    wait: timedelta = timedelta()
    last_line: str = ""


# Of the tools' own messages creators get one line: the rest goes only to the log.
FAILED = (
    "processing_failed",
    "Processing failed because of a fault in the service. If the video is FAILED, retry it later.",
)
BROKE = (
    "processing_failed",
    "The video could not be processed, and another attempt would fail again. Export the video again, "
    "as H.264 with AAC sound, and upload it.",
)
NO_SPACE = (
    "no_space",
    "The service had too little free space to process the video. If it is FAILED, retry it later.",
)
WAITS_FOR_SPACE = (
    "no_space",
    "The service has too little free space at the moment. Processing begins when there is more.",
)
AWAY = (
    StorageAway.default_code,
    "The service cannot reach the storage of its videos at the moment. Processing goes on when it can.",
)
NO_KEYS = (
    "no_keys",
    "The service cannot get the keys with which it encrypts videos at the moment. Processing goes on "
    "when it can.",
)
LIMITS = {
    "memory": (
        "too_complex",
        "The video needs more memory than the service allows. Export it in a smaller size or with "
        "fewer tracks, and upload it again.",
    ),
    "size": (
        "too_much_output",
        "The processed video became larger than a video of its length may be. Export the video again "
        "and upload it.",
    ),
    "processes": (
        "too_complex",
        "The video needs more processes than the service allows. Export it with fewer tracks, and "
        "upload it again.",
    ),
    "output": (
        "too_complex",
        "The file holds more metadata than the service reads. Export the video again without it, and "
        "upload it.",
    ),
}
FULL_TEXTS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
# What the cage says of failures that are not the file's: a signal from outside, a machine without room.
OUTSIDE = ("was killed by", "did not start", "could be started", "cgroup could be made")
TOOL_WAIT = timedelta(minutes=1)
KEYS_WAIT = timedelta(seconds=30)
STORAGE_WAIT = timedelta(seconds=5)
SPACE_WAIT = timedelta(seconds=15)


def failure_of(error: Exception, *, strikes: int, last_line: str = "") -> Failure:
    """Return the end of an attempt that raised ``error``, at a job that has ``strikes`` so far.

    ``last_line`` is that of the job's failure before: a tool that says the same again would say it a
    third time. LeaseLost and errors of the database are not among the errors: they leave the job as it
    is.
    """
    said = last_line_of(getattr(error, "said", "") or getattr(error, "detail", ""))
    is_again = bool(strikes and said and said == last_line)
    return replace(_ending_of(error, strikes, is_again=is_again), last_line=said)


def last_line_of(text: str) -> str:
    """Return the last line with text of a tool's output: at most 200 letters, without paths."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = re.sub(r"(?:file:)?/[^\s:'\"]+", "…", lines[-1]) if lines else ""
    return "".join(letter for letter in line if letter.isprintable())[:200]


def _ending_of(error: Exception, strikes: int, *, is_again: bool) -> Failure:
    if _is_of_storage(error):
        return Failure(Ending.WAIT, *AWAY, wait=STORAGE_WAIT)
    match error:
        case StorageFull():
            return Failure(Ending.WAIT, *WAITS_FOR_SPACE, wait=SPACE_WAIT)
        case Rejected():
            return Failure(Ending.GIVE_UP, error.code, error.detail)
        case ToolMissing():
            return Failure(Ending.WAIT, wait=TOOL_WAIT)
        case ProviderFailed():
            return Failure(Ending.WAIT, *NO_KEYS, wait=KEYS_WAIT)
        case LimitReached():
            return Failure(Ending.GIVE_UP, *_limit(error))
        case FetchFailed():
            return Failure(Ending.STRIKE, error.code, error.detail)
        case ToolFailed() if any(text in error.detail for text in FULL_TEXTS):
            return Failure(Ending.STRIKE, *NO_SPACE)
        case OSError() if error.errno in storage.FULL:
            return Failure(Ending.STRIKE, *NO_SPACE)
        case ToolFailed() if os.strerror(errno.EAGAIN) in error.detail:  # the machine's processes
            return Failure(Ending.STRIKE, *FAILED)
        case ToolBroke():
            return Failure(Ending.GIVE_UP, *BROKE)
        case ToolCrashed() if strikes:  # a crash may be a chance of threads, two are not
            return Failure(Ending.GIVE_UP, *BROKE)
        case ToolFailed() if is_again and not any(text in error.detail for text in OUTSIDE):
            return Failure(Ending.GIVE_UP, *BROKE)
        case ToolFailed() | OSError() | MemoryError():
            return Failure(Ending.STRIKE, *FAILED)
    return Failure(Ending.GIVE_UP, *FAILED)  # a defect of ours, which the same file meets again


def _is_of_storage(error: Exception) -> bool:
    if isinstance(error, Rejected | ToolMissing | FetchFailed):
        return False
    return (
        isinstance(error, StorageAway)
        or (isinstance(error, OSError) and error.errno in storage.AWAY)
        or bool(storage.trouble())
    )


def _limit(error: LimitReached) -> tuple[str, str]:
    if error.limit != "time":
        return LIMITS[error.limit]
    minutes = error.seconds >= 120
    allowed = f"{error.seconds / 60:.0f} minutes" if minutes else f"{error.seconds:.0f} seconds"
    return (
        "too_slow",
        f"A step of processing took longer than the {allowed} that a video of this length and size "
        "may take. Export it shorter or in a smaller size, and upload it again.",
    )
