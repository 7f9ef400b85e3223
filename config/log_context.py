"""What the current code works on, for each line of the log: a request, a job, a video, a user.

"" or "-" stands for nothing. A process that carries out one job sets it once, for its threads too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NAMES = ("request_id", "job_id", "video_id", "user_id")
# The id of the request that the current code answers; "-" outside a request.
request_id: ContextVar[str] = ContextVar("request_id", default="-")
user_id: ContextVar[str] = ContextVar("user_id", default="")
_job: ContextVar[tuple[str, str]] = ContextVar("job", default=("", ""))
_job_of_process = ("", "")


@contextmanager
def about_job(job_id: object, video_id: object) -> Iterator[None]:
    """Name a job and its video in the lines of the log that are written meanwhile."""
    token = _job.set((str(job_id), str(video_id)))
    try:
        yield
    finally:
        _job.reset(token)


def set_job_of_process(job_id: object, video_id: object) -> None:
    """Name a job and its video in all further lines of this process."""
    global _job_of_process
    _job_of_process = (str(job_id), str(video_id))


def current() -> dict[str, str]:
    """Return a value for each of NAMES."""
    job_id, video_id = _job.get() if _job.get()[0] else _job_of_process
    return dict(zip(NAMES, (request_id.get(), job_id, video_id, user_id.get()), strict=True))
