"""Making versions again from the kept sources: by command, and on the admin site."""

import io
import shutil

import pytest
from django.core.management import CommandError, call_command

from config.tests import desk
from videos.models import ProcessingJob, Video
from videos.services import reprocessing
from videos.tests.fixtures import drop_early
from videos.tests.media import frame_count

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "encoded_once")]
URL = "/api/v1/videos/"


@pytest.fixture
def ready(uploaded_video, process_next):
    assert process_next().state == "done"
    uploaded_video.refresh_from_db()
    drop_early(uploaded_video)
    return uploaded_video


@pytest.fixture
def reprocess():
    """A function that runs the command, and returns what it printed, and the reason of its failure."""

    def run(*arguments) -> tuple[str, str]:
        out, err, reason = io.StringIO(), io.StringIO(), ""
        try:
            call_command("reprocess", *map(str, arguments), stdout=out, stderr=err)
        except CommandError as error:
            reason = str(error)
        return out.getvalue() + err.getvalue(), reason

    return run


def test_a_lost_version_is_made_again_from_its_source(
    ready, reprocess, process_next, client_for, media, trail
):
    """An operator has backups of the sources and the database alone."""
    lost = ready.current_version
    shutil.rmtree(media / "videos" / str(ready.pk))

    said, reason = reprocess("--missing")

    assert "master.m3u8 is missing" in said
    assert "1 queued, 0 refused." in said
    assert "No worker is running." in said
    assert reason == ""
    shown = client_for(ready.creator).get(f"{URL}{ready.pk}").json()
    assert (shown["status"], shown["processing"]["stage"]) == ("READY", "again")
    assert process_next().state == "done"
    ready.refresh_from_db()
    assert (ready.status, ready.current_version != lost) == ("READY", True)
    assert frame_count(ready.version_folder / "180p.m3u8") == 50
    assert trail(ready.pk)[-2:] == ["video.reprocessed", "video.ready"]
    assert reprocess("--missing") == ("0 queued, 0 refused.\n", "")


@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_damaged_segment_is_found(ready, damage):
    assert reprocessing.fault_of(ready) == ""
    segment = ready.version_folder / "180p" / "1.m4s"
    if damage == "gone":
        segment.unlink()
    else:
        content = segment.read_bytes()
        segment.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])

    fault = reprocessing.fault_of(ready)

    assert fault == f"180p/1.m4s is {'missing' if damage == 'gone' else 'damaged'}"


def test_the_old_version_plays_until_the_new_one_is_ready(
    ready, reprocess, process_next, client_for
):
    old = ready.current_version
    said, _ = reprocess(ready.pk)
    assert f"1/1  {ready.pk}  Uploaded: chosen" in said
    for state in ("queued", "running"):
        ProcessingJob.objects.filter(stage=3).update(state=state, lease_until="2100-01-01T00:00Z")
        assert client_for().get(f"/api/v1/stream/{ready.pk}").status_code == 200
    ProcessingJob.objects.filter(stage=3).update(state="queued", lease_until=None)
    process_next()
    ready.refresh_from_db()
    assert ready.current_version != old
    assert (ready.versions_folder / old / "master.m3u8").is_file()  # for its viewers


def test_a_version_that_cannot_be_made_again_leaves_the_old_one(
    ready, reprocess, process_next, settings, client_for
):
    old = ready.current_version
    reprocess("--all")
    settings.MAX_DURATION_SECONDS = 1

    assert process_next().state == "failed"

    ready.refresh_from_db()
    assert (ready.status, ready.current_version) == ("READY", old)
    error = client_for(ready.creator).get(f"{URL}{ready.pk}").json()["processing"]["error"]
    assert error["code"] == "too_long"


def test_a_dry_run_changes_nothing(ready, reprocess):
    said, reason = reprocess("--all", "--dry-run")
    assert "1 would be made again, 0 refused." in said
    assert not ProcessingJob.objects.open().exists()
    assert reason == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("no source", "This video has no file to process."),
        ("queued", "This video is being processed already."),
        ("FAILED", "Only a READY video can be made again."),
    ],
)
def test_what_cannot_be_made_again_is_refused_in_words(ready, reprocess, state, words):
    jobs = ProcessingJob.objects.count()
    if state == "no source":
        ready.source.unlink()
    elif state == "queued":
        reprocess(ready.pk)
        jobs += 1
    else:
        Video.objects.update(status=state)

    said, reason = reprocess(ready.pk)

    assert words in said
    assert reason.startswith("1 refused")
    assert ProcessingJob.objects.count() == jobs


def test_the_command_needs_to_know_which(reprocess, ready):
    assert reprocess()[1] == "Name ids of videos, or --missing, or --all."
    said, reason = reprocess("x", "01890000-0000-7000-8000-000000000000")
    assert "'x' is not a video's id." in said
    assert "There is no video 01890000" in said
    assert reason.startswith("2 refused")


def test_it_waits_for_the_workers(ready, reprocess, monkeypatch, process_next):
    from videos.management.commands import reprocess as command

    monkeypatch.setattr(command.time, "sleep", lambda seconds: process_next())
    said, reason = reprocess("--all", "--wait")
    assert said.splitlines()[-2:] == ["0 of 1 ended, 0 %", "1 of 1 ended, 100 %"]
    assert reason == ""


class TestAdmin:
    def test_it_asks_first(self, client, admin, ready):
        client.force_login(admin)
        page = desk.choose(client, "reprocess_videos", ready)
        assert b"<strong>1 video</strong>" in page.content
        assert b"<strong>2 s of video</strong>" in page.content
        assert not ProcessingJob.objects.open().exists()

        assert b"Queued: 1." in desk.confirm(client, page).content
        assert ProcessingJob.objects.open().get().stage == ProcessingJob.Stage.AGAIN
