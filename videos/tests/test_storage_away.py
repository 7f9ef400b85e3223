"""MEDIA_DIR is gone, a file, unreadable, or an empty folder: nothing is lost, and all comes back."""

import os
import shutil
from concurrent.futures import Future

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from config import bounded
from config.tests import cases
from videos import doctor, receivers, storage
from videos.models import ProcessingJob, Video
from videos.tests import processes
from videos.tests.processes import wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media"), pytest.mark.long]
URL = "/api/v1/videos/"


def rename(media):
    os.rename(media, media.with_name("elsewhere"))


def replace_by_empty_folder(media):
    """As the folder looks on which the disk was mounted."""
    rename(media)
    media.mkdir()


def replace_by_file(media):
    rename(media)
    media.write_text("a file")


def replace_by_dangling_link(media):
    rename(media)
    media.symlink_to("/nowhere/at/all")


def replace_by_loop(media):
    rename(media)
    media.symlink_to(media)


def bring_back(media):
    if media.is_symlink() or media.is_file():
        media.unlink()
    elif media.is_dir():
        media.rmdir()  # it fails if anything was written there
    os.rename(media.with_name("elsewhere"), media)


@pytest.fixture(
    params=[
        rename,
        replace_by_empty_folder,
        replace_by_file,
        replace_by_dangling_link,
        replace_by_loop,
    ],
    ids=lambda fault: fault.__name__,
)
def away(request, media):
    """A function that takes MEDIA_DIR away in one way."""
    return lambda: request.param(media)


def upload():
    return {"title": "New", "file": SimpleUploadedFile("a.mp4", b"x" * 1000)}


def rows() -> list:
    return [*Video.objects.order_by("pk").values(), *ProcessingJob.objects.order_by("pk").values()]


def test_every_route_answers_503_and_changes_nothing(away, uploaded_video, make_video, client_for):
    owner = uploaded_video.creator
    ready = make_video(creator=owner)
    Video.objects.filter(pk=uploaded_video.pk).update(status="FAILED")
    away()
    before = rows()
    client = client_for(owner)
    client.raise_request_exception = False

    answers = [
        client.post(URL, upload(), format="multipart"),
        client.put(f"{URL}{ready.pk}/file", {"file": upload()["file"]}, format="multipart"),
        client.post(f"{URL}{uploaded_video.pk}/retry"),
        client.get(f"{URL}{ready.pk}/poster"),
    ]

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["errors"][0]["code"] == "storage_unavailable"
        assert int(answer.headers["Retry-After"]) > 0
    assert rows() == before
    assert client.get(f"{URL}{ready.pk}").status_code == 200
    assert client.delete(f"{URL}{ready.pk}").status_code == 204  # it touches no file


def test_a_folder_that_is_gone_is_not_made_again(media, uploaded_video, client_for):
    """Made anew, it would take files in beside the disk that should be mounted there."""
    rename(media)

    client = client_for(uploaded_video.creator)
    client.raise_request_exception = False
    client.post(URL, upload(), format="multipart")

    assert not media.exists()
    with pytest.raises(FileNotFoundError):
        storage.make_folder(media / "uploads")


def test_readiness_says_so_and_the_service_stays(away, client_for, uploaded_video):
    assert client_for().get("/health/ready").json()["parts"]["storage"] == "ok"
    away()

    answer = client_for().get("/health/ready")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["storage"] == "unavailable"


def test_readiness_says_that_it_is_nearly_full(client_for, settings, media):
    settings.STORAGE_RESERVE_BYTES = shutil.disk_usage(media).free + 1024**3

    assert client_for().get("/health/ready").json()["parts"]["storage"] == "nearly full"


def test_a_job_waits_without_a_strike_until_it_is_back(away, media, uploaded_video, process_next):
    away()
    for _ in range(6):  # more than JOB_MAX_ATTEMPTS
        ProcessingJob.objects.update(not_before="2020-01-01T00:00:00Z")
        job = process_next()
        assert (job.state, job.attempt, job.strikes) == ("queued", 0, 0)
        assert job.error_code == "storage_unavailable"  # what the creator sees meanwhile
    bring_back(media)
    ProcessingJob.objects.update(not_before="2020-01-01T00:00:00Z")

    assert process_next().state == "done"
    assert Video.objects.get().status == "READY"


def test_a_storage_that_hangs_is_named_in_time(monkeypatch):
    assert receivers.state_of_storage(sender=None)[0].state == "ok"
    monkeypatch.setattr(bounded, "begin", lambda work: Future())  # its answer never comes
    monkeypatch.setattr(receivers, "STORAGE_SECONDS", 0.1)

    storage_part, disk = receivers.state_of_storage(sender=None)

    assert storage_part == ("storage", "unavailable", "The storage does not answer.")
    assert disk.name == "disk"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "fault", cases.chosen([rename, replace_by_empty_folder], replace_by_empty_folder)
)
def test_no_start_and_no_command_takes_another_folder(fault, media, uploaded_video):
    fault(media)
    for command in (["migrate"], ["check"], ["run_worker", "--until-idle"], ["seed"]):
        processes.start(*command).wait(60)
        assert not media.exists() or list(media.iterdir()) == []
    bring_back(media)
    assert not storage.fault()


def test_a_new_installation_gets_its_folder_and_an_older_one_its_mark(settings, tmp_path, db):
    settings.MEDIA_ROOT = tmp_path / "a" / "media"
    storage.adopt()
    assert not storage.fault()

    settings.MEDIA_ROOT = tmp_path / "older"
    (settings.MEDIA_ROOT / "sources").mkdir(parents=True)
    assert storage.MARK in storage.fault()
    storage.adopt()
    assert not storage.fault()


def test_the_doctor_names_the_remedy(media, uploaded_video):
    replace_by_empty_folder(media)

    (finding,) = doctor.media_dir()

    assert (finding.level.name, "mounted" in finding.statement) == ("ERROR", True)
    assert storage.MARK in finding.remedy


def test_a_job_waits_while_there_is_too_little_space(uploaded_video, process_next, settings, media):
    settings.STORAGE_RESERVE_BYTES = shutil.disk_usage(media).free + 1024**3
    job = process_next()

    assert (job.state, job.attempt, job.strikes, job.error_code) == ("queued", 0, 0, "no_space")
    settings.STORAGE_RESERVE_BYTES = 0
    ProcessingJob.objects.update(not_before="2020-01-01T00:00:00Z")
    assert process_next().state == "done"


@pytest.mark.django_db(transaction=True)
def test_a_worker_goes_on_when_the_folder_comes_back_in_the_middle_of_its_work(
    uploaded_video, media
):
    video = uploaded_video
    with processes.worker():
        wait_for(lambda: ProcessingJob.objects.get().state == "running")
        rename(media)
        wait_for(lambda: ProcessingJob.objects.get().state in {"queued", "done"})
        bring_back(media)
        wait_for(lambda: Video.objects.get().status == "READY")
    assert ProcessingJob.objects.get().strikes == 0
    video.refresh_from_db()
    assert (video.version_folder / "master.m3u8").is_file()
