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
from videos.services.failures import BROKE, LIMITS, Ending, failure_of, last_line_of

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


def test_a_tool_that_says_the_same_twice_would_say_it_a_third_time():
    """Another cause than the file may be a chance; the same words twice are not."""
    stalled = ToolFailed("FFmpeg ended with 255.\nExiting normally, received signal 15.")
    first = failure_of(stalled, strikes=0)
    assert (first.ending, first.last_line) == (STRIKE, "Exiting normally, received signal 15.")

    second = failure_of(stalled, strikes=1, last_line=first.last_line)

    assert (second.ending, second.detail) == (GIVE_UP, BROKE[1])
    assert failure_of(stalled, strikes=1, last_line="something else").ending is STRIKE
    killed = ToolFailed("ffmpeg was killed by SIGKILL. ")
    before = failure_of(killed, strikes=0).last_line
    assert failure_of(killed, strikes=1, last_line=before).ending is STRIKE


def test_the_last_line_is_short_and_names_no_path():
    text = "x\n[mov @ 0x55] Error in file:/srv/media/sources/1/source: moov atom\x00 not found\n\n"
    assert last_line_of(text) == "[mov @ 0x55] Error in …: moov atom not found"
    assert last_line_of("") == ""
    assert len(last_line_of("a" * 1000)) == 200


def test_the_owner_alone_sees_the_tools_last_line(
    uploaded_video, process_next, settings, tmp_path, client_for
):
    tool = tmp_path / "ffmpeg"
    tool.write_text(f"#!/bin/sh\necho {tmp_path}/x: cannot do it >&2; exit 1\n")
    tool.chmod(0o755)
    settings.FFMPEG_PATH, settings.FFMPEG_SANDBOX = str(tool), "limits"
    assert process_next().state == "failed"

    address = f"/api/v1/videos/{uploaded_video.pk}"
    assert client_for(uploaded_video.creator).get(address).json()["processing"]["last_line"] == (
        "FFmpeg ended with 1. …: cannot do it"
    )
    assert client_for().get(address).status_code == 404


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
