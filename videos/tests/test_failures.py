"""What each kind of failure means for its job: the end, a strike, or waiting without one."""

import errno
import os

import pytest

from config.errors import StorageFull
from videos.errors import StorageAway
from videos.models import ProcessingJob
from videos.processing.errors import (
    LimitReached,
    Rejected,
    ToolBroke,
    ToolCrashed,
    ToolFailed,
    ToolMissing,
)
from videos.services.failures import LIMITS, Ending, failure_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
GIVE_UP, STRIKE, WAIT = Ending.GIVE_UP, Ending.STRIKE, Ending.WAIT
FULL = os.strerror(errno.ENOSPC)


@pytest.mark.parametrize(
    ("error", "ending", "code"),
    [
        (Rejected("damaged", "x"), GIVE_UP, "damaged"),
        (LimitReached("time", "x", seconds=600), GIVE_UP, "too_slow"),
        (LimitReached("memory", "x"), GIVE_UP, "too_complex"),
        (LimitReached("size", "x"), GIVE_UP, "too_much_output"),
        (LimitReached("processes", "x"), GIVE_UP, "too_complex"),
        (LimitReached("output", "x"), GIVE_UP, "too_complex"),
        (ToolBroke("FFmpeg ended with 1."), GIVE_UP, "processing_failed"),
        (ToolBroke(f"FFmpeg ended with 228. {FULL}"), STRIKE, "no_space"),
        (
            ToolBroke(f"FFmpeg ended with 245. {os.strerror(errno.EAGAIN)}"),
            STRIKE,
            "processing_failed",
        ),
        (ToolCrashed("SIGSEGV"), STRIKE, "processing_failed"),
        (ToolFailed("killed by SIGKILL"), STRIKE, "processing_failed"),
        (ToolMissing("no ffmpeg"), WAIT, ""),
        (OSError(errno.ENOSPC, FULL), STRIKE, "no_space"),
        (OSError(errno.EDQUOT, "quota"), STRIKE, "no_space"),
        (OSError(errno.EIO, "i/o"), STRIKE, "processing_failed"),
        (OSError(errno.EROFS, "read-only"), WAIT, "storage_unavailable"),
        (OSError(errno.ESTALE, "stale"), WAIT, "storage_unavailable"),
        # One file, while MEDIA_DIR is as it should be: waiting would have no end.
        (OSError(errno.EACCES, "denied"), STRIKE, "processing_failed"),
        (OSError(errno.ENOTDIR, "x"), STRIKE, "processing_failed"),
        (StorageAway(), WAIT, "storage_unavailable"),
        (StorageFull(), WAIT, "no_space"),
        (MemoryError(), STRIKE, "processing_failed"),
        (KeyError("a defect of ours"), GIVE_UP, "processing_failed"),
    ],
)
def test_only_a_cause_outside_of_the_file_is_tried_again(error, ending, code):
    failure = failure_of(error, strikes=0)

    assert (failure.ending, failure.code) == (ending, code)
    assert (failure.ending is WAIT) == (failure.wait.total_seconds() > 0)


def test_a_second_crash_ends_the_job():
    assert failure_of(ToolCrashed("SIGSEGV"), strikes=1).ending is GIVE_UP


def test_whatever_fails_while_the_storage_is_away_waits(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "gone"

    for error in (ToolBroke("no such file"), FileNotFoundError(2, "x"), ToolCrashed("SIGBUS")):
        assert failure_of(error, strikes=3).ending is WAIT


def test_the_text_names_the_time_that_was_allowed():
    failure = failure_of(LimitReached("time", "x", seconds=1500), strikes=0)

    assert "25 minutes" in failure.detail


def test_every_text_says_what_to_do_next():
    for _, text in LIMITS.values():
        assert "upload it" in text


@pytest.mark.parametrize(
    ("script", "attempts"),
    [("echo cannot >&2; exit 1", 1), ("kill -ABRT $$", 1), ("kill -SEGV $$", 2), ("kill -9 $$", 4)],
)
def test_a_tool_that_fails_the_same_way_is_not_asked_for_ever(
    script, attempts, uploaded_video, process_next, settings, tmp_path, client_for
):
    tool = tmp_path / "ffmpeg"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    settings.FFMPEG_PATH, settings.FFMPEG_SANDBOX = str(tool), "limits"
    for _ in range(attempts):
        ProcessingJob.objects.update(not_before="2020-01-01T00:00:00Z")
        job = process_next()

    assert (job.state, job.attempt, job.strikes) == ("failed", attempts, attempts)
    ProcessingJob.objects.update(not_before="2020-01-01T00:00:00Z")
    assert process_next() is None
    shown = client_for(uploaded_video.creator).get(f"/api/v1/videos/{uploaded_video.pk}").json()
    assert shown["status"] == "FAILED"
    assert shown["processing"]["error"]["code"] == "processing_failed"
