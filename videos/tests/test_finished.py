"""What is told of a finished video: one line of the log, and the seconds of each step."""

import logging

import pytest

from audit.models import AuditEntry
from config.metrics import all_figures
from videos.models import Video
from videos.services import finished

pytestmark = pytest.mark.django_db


def test_the_clock_gives_each_step_its_seconds(monkeypatch):
    moment = [0.0]
    monkeypatch.setattr(finished.time, "monotonic", lambda: moment[0])
    clock = finished.Clock()
    for at, step in (
        (1.0, "probe"),
        (1.5, "encode"),
        (2.0, "encode"),
        (4.0, "check"),
        (5.0, "encode"),
    ):
        moment[0] = at
        clock.enter(step)
    moment[0] = 7.0

    assert clock.seconds() == {"probe": 0.5, "encode": 4.5, "check": 1.0}


@pytest.mark.programs
def test_a_finished_video_is_one_line_and_its_steps_are_figures(
    uploaded_video, process_next, caplog
):
    caplog.set_level(logging.INFO, logger="videos.services.finished")
    while Video.objects.get(pk=uploaded_video.pk).status != "READY":
        process_next()

    (record,) = [each for each in caplog.records if each.name == "videos.services.finished"]
    data = record.data
    video = Video.objects.get(pk=uploaded_video.pk)
    assert record.getMessage().startswith(f"Video {video.pk} is ready: ")
    assert data["duration_seconds"] == pytest.approx(video.duration_seconds, abs=0.01)
    assert data["renditions"] == [each["name"] for each in video.renditions]
    assert {"probe", "encode", "check", "package"} <= data["steps"].keys()
    assert data["source_bytes"] == video.source_size
    assert data["version_bytes"] == finished.bytes_of(video.version_folder)

    entry = AuditEntry.objects.get(action="video.ready", target_id=str(video.pk))
    assert entry.data["seconds"] == data["steps"]
    processing = next(each for each in all_figures() if each.name == "processing")
    families = {family.name: family.samples for family in processing.read()}
    steps = {sample.labels["step"] for sample in families["vod_processing_step_seconds"]}
    assert data["steps"].keys() <= steps
    (whole,) = [
        sample.value
        for sample in families["vod_processing_seconds"]
        if sample.labels["quantile"] == "1"
    ]
    assert whole > 0
