"""`manage.py import_videos`: many videos from the addresses of a CSV file."""

import csv
import io

import pytest
from django.core.management import CommandError, call_command

from videos.models import ProcessingJob, Video
from videos.tests.test_imports import Origin, origin  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def run(tmp_path, creator):
    def call(text, *more, owner=creator):
        file, output = tmp_path / "list.csv", io.StringIO()
        file.write_text(text)
        report = str(tmp_path / "report.csv")
        call_command(
            "import_videos", str(file), "--creator", owner.email, "--report", report, *more,
            stdout=output,
        )  # fmt: skip
        return output.getvalue().splitlines()

    return call


@pytest.fixture
def report(tmp_path):
    """A function that returns the lines of the report."""
    return lambda: list(csv.DictReader((tmp_path / "report.csv").open()))


def test_the_lines_become_videos_and_a_second_run_makes_none(
    run, report, origin, creator, process_next,  # noqa: F811
):  # fmt: skip
    text = f"url,title,tags\n{origin.url},One,fog sea\n{origin.url}?2,Two,\n"
    assert run(text)[-1] == "2 queued"
    assert [row["result"] for row in report()] == ["queued", "queued"]
    one = Video.objects.get(title="One")
    assert (one.creator, [tag.name for tag in one.tags.all()]) == (creator, ["fog", "sea"])
    assert run(text)[-1] == "2 there before"
    for _ in range(4):
        process_next()
    assert set(Video.objects.values_list("status", flat=True)) == {"READY"}
    assert run(text, "--wait")[-1] == "2 ready"
    assert Video.objects.count() == 2


def test_a_failed_line_is_tried_again_with_its_video(run, origin, process_next):  # noqa: F811
    text = f"url,title\n{origin.url},One\n"
    origin.answers = [Origin.status(404)]
    run(text)
    process_next()
    assert run(text)[-1] == "1 queued"
    process_next()
    assert Video.objects.get().status == "UPLOADED"


def test_what_is_wrong_is_named_and_the_rest_is_imported(run, report, origin):  # noqa: F811
    text = f"url,title\nftp://x.example/a,One\n{origin.url},\n{origin.url},Two,more\n{origin.url},Three\n"
    with pytest.raises(CommandError, match="3 of 4 were not imported"):
        run(text)
    assert [row["result"] for row in report()] == ["refused", "refused", "refused", "queued"]
    assert report()[0]["detail"].startswith("url: ")
    assert report()[1]["detail"].startswith("title: ")
    assert report()[2]["line"] == "4"
    assert Video.objects.get().title == "Three"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "It names nothing"), ("url\nx\n", "url and title"), ("url,title,price\n", "price")],
)
def test_a_file_without_the_columns_is_refused(run, text, reason):
    with pytest.raises(CommandError, match=reason):
        run(text)
    assert not Video.objects.exists()


def test_a_dry_run_changes_nothing(run, origin):  # noqa: F811
    assert run(f"url,title\n{origin.url},One\n", "--dry-run")[-1] == "1 would be queued"
    assert not Video.objects.exists()


def test_a_full_queue_without_a_worker_ends_the_command(run, origin, settings):  # noqa: F811
    settings.CREATOR_QUEUE_VIDEOS = 1
    with pytest.raises(CommandError, match="no worker is running"):
        run(f"url,title\n{origin.url},One\n{origin.url}?2,Two\n")
    assert list(Video.objects.values_list("title", flat=True)) == ["One"]
    assert ProcessingJob.objects.count() == 1


def test_only_a_creator_may_own_them(run, origin, viewer):  # noqa: F811
    with pytest.raises(CommandError, match="There is no creator"):
        run(f"url,title\n{origin.url},One\n", owner=viewer)
