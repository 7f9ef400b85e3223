"""`GET /metrics`: who may ask, what is told and what it costs, also while the database is away."""

import os
import re
import threading
import time
from concurrent.futures import Future

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from config import bounded, counting
from config.metrics import Figures, all_figures, processes, scraping
from config.tests import exposition

pytestmark = pytest.mark.django_db
URL = "/metrics"
TOKEN = "hK3v9QmT2xWb7LrZ5nYc8PfJ4sDg6aXe"
HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:2001"}
REAL_READING, REAL_BEGIN = scraping._from_tables, bounded.begin
STATEMENTS, AGAIN = 55, 25  # of a process's first scrape, and of one a moment later


@pytest.fixture(autouse=True)
def new(monkeypatch):
    """Nothing has been read yet. The database is read in the transaction of the test."""
    monkeypatch.setattr(scraping, "scrapes", scraping.Scrapes())
    monkeypatch.setattr(bounded, "begin", at_once)
    monkeypatch.setattr(scraping, "_from_tables", scraping._read)
    for each in all_figures():
        each.forget()


def at_once(work):
    """Do work in this thread, and return its future."""
    future: Future = Future()
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - raised again where the result is wanted
        future.set_exception(error)
    return future


def scrape(client, **more) -> exposition.Samples:
    answer = client.get(URL, **HERE, **more)
    assert answer.status_code == 200
    return exposition.read(answer.content.decode())


@pytest.mark.parametrize(
    ("token", "request_", "status"),
    [
        ("", HERE, 200),
        ("", HERE | {"HTTP_HOST": "localhost"}, 200),
        ("", HERE | {"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:2001"}, 200),
        ("", HERE | {"REMOTE_ADDR": "10.1.2.3"}, 404),
        ("", HERE | {"HTTP_HOST": "testserver"}, 404),  # a page that has rebound its name
        (
            "",
            HERE | {"HTTP_X_FORWARDED_FOR": "203.0.113.7"},
            404,
        ),  # an untold proxy on this machine
        ("", HERE | {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": "Bearer "}, 404),
        (TOKEN, HERE, 200),
        (TOKEN, HERE | {"REMOTE_ADDR": "10.1.2.3"}, 403),
        (TOKEN, {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, 200),
        (TOKEN, {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": f"bearer  {TOKEN} "}, 200),
        (TOKEN, {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}x"}, 403),
        (TOKEN, {"REMOTE_ADDR": "10.1.2.3", "HTTP_AUTHORIZATION": f"Basic {TOKEN}"}, 403),
        (TOKEN, HERE | {"HTTP_AUTHORIZATION": "Bearer wrong"}, 403),
    ],
)
def test_this_machine_may_ask_and_others_with_the_token(
    client, monkeypatch, token, request_, status
):
    monkeypatch.setattr(settings, "METRICS_TOKEN", token)
    answer = client.get(URL, **request_)

    assert answer.status_code == status
    assert (b"vod_" in answer.content) is (status == 200)


def test_only_reading_is_allowed(client):
    assert client.post(URL, **HERE).status_code == 405
    assert client.get(f"{URL}/", **HERE).status_code == 200


def test_the_figures_are_there_and_every_part_could_be_read(client):
    samples = scrape(client)

    parts = samples.of("vod_figures_read")
    assert {part["part"] for part, _ in parts} >= {
        "database",
        "queue",
        "audit",
        "review",
        "storage",
    }
    assert {value for _, value in parts} == {1.0}
    assert samples.one("vod_database_up") == 1
    assert samples.one("vod_workers") == 0
    assert samples.one("vod_queue_jobs", stage="first", state="queued") == 0
    assert samples.one("vod_media_free_bytes") > 0
    assert samples.one("vod_audit_chain_broken") == 0
    assert samples.one("vod_money_to_review", kind="suspense") == 0


def test_the_table_of_the_documentation_names_every_metric(client):
    text = (settings.BASE_DIR / "docs" / "operations.md").read_text(encoding="utf-8")
    _, _, section = text.partition("## What to watch\n")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(vod_\w+)`", row.split(" | ")[0])}
    labels = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[2])}

    families = exposition.everything()
    assert told == {exposition.public_name(family) for family in families}
    assert labels >= {label for family in families for label in exposition.labels(family)}


def test_a_scrape_takes_a_bounded_number_of_statements_and_none_that_writes():
    tables = [each for each in all_figures() if each.needs_tables]
    with CaptureQueriesContext(connection) as first:
        assert 0 not in scraping._read(tables).parts.values()
    with CaptureQueriesContext(connection) as second:
        scraping._read(tables)

    assert len(first) <= STATEMENTS, "\n".join(
        query["sql"][:90] for query in first.captured_queries
    )
    assert len(second) <= AGAIN
    writing = re.compile(r"\s*(INSERT|UPDATE|DELETE|CREATE|ALTER)", re.IGNORECASE)
    assert not [query for query in first.captured_queries if writing.match(query["sql"])]


@pytest.mark.django_db(transaction=True)
def test_figures_that_write_are_refused_by_the_database(make_user):
    user = make_user()

    def writing():
        yield type(user).objects.update(display_name="changed")

    wanted = [Figures("writing", writing, 0.0, True), *all_figures()]
    parts = REAL_READING([each for each in wanted if each.needs_tables]).parts

    assert [part for part, could in parts.items() if not could] == [("writing",)]
    user.refresh_from_db()
    assert user.display_name != "changed"
    type(user).objects.update(display_name="a connection that has read may write again")


def test_a_part_that_fails_is_named_and_the_others_are_told(client, monkeypatch):
    broken = next(each for each in all_figures() if each.name == "sessions")

    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(broken, "read", fail)
    samples = scrape(client)

    assert samples.one("vod_figures_read", part="sessions") == 0
    assert samples.one("vod_figures_read", part="queue") == 1
    assert samples.one("vod_database_up") == 1
    assert not samples.of("vod_playback_sessions")


def test_without_its_database_the_service_still_answers(client, monkeypatch):
    def away(wanted):
        raise OperationalError("connection refused")

    monkeypatch.setattr(scraping, "_from_tables", away)
    samples = scrape(client)

    assert samples.one("vod_database_up") == 0
    assert samples.of("vod_build_info")
    assert not samples.of("vod_queue_jobs")


def test_a_database_that_hangs_is_away_after_a_moment_and_holds_one_thread(client, monkeypatch):
    monkeypatch.setattr(bounded, "begin", REAL_BEGIN)
    monkeypatch.setattr(scraping, "GIVE_UP_SECONDS", 0.5)
    monkeypatch.setattr(scraping, "SHARED_SECONDS", 0.0)
    end, begun = threading.Event(), []

    def hang(wanted):
        begun.append(1)
        end.wait(30)
        return scraping.Reading()

    monkeypatch.setattr(scraping, "_from_tables", hang)
    try:
        for _ in range(3):
            began = time.monotonic()
            assert scrape(client).one("vod_database_up") == 0
            assert time.monotonic() - began < 5
    finally:
        end.set()
    assert begun == [1]


def test_scrapers_that_ask_at_once_share_an_answer(client, monkeypatch):
    monkeypatch.setattr(scraping, "SHARED_SECONDS", 60.0)
    first = client.get(URL, **HERE).content

    assert client.get(URL, **HERE).content == first


def test_the_processes_of_a_server_share_a_folder_that_is_empty_at_its_start(tmp_path, monkeypatch):
    for name in (counting.FOLDER, counting.STARTED):
        monkeypatch.setenv(name, "before")
    counting.prepare(tmp_path, port=1, processes=2, started_at=1.0)
    folder = next((tmp_path / "metrics").iterdir())
    (folder / "counter_1.db").touch()
    counting.prepare(tmp_path, port=2, processes=2, started_at=1.0)
    assert (folder / "counter_1.db").exists()  # another server's

    counting.prepare(tmp_path, port=1, processes=2, started_at=1.0)
    assert list(folder.iterdir()) == []

    counting.prepare(tmp_path, port=1, processes=1, started_at=1.0)
    assert counting.FOLDER not in os.environ
    assert not folder.exists()


def test_requests_for_files_are_counted_in_memory_first():
    tally = processes.MediaTally()
    granted, refused = (processes.STREAMS.labels("media", each) for each in ("granted", "expired"))
    before = granted._value.get(), refused._value.get()
    tally.sent += 3
    tally.count("GET", 206, "granted")
    tally.count("GET", 401, "expired")
    tally.count("BREW", 405, "method_not_allowed")
    assert (granted._value.get(), refused._value.get()) == before

    tally.flush()
    tally.flush()
    assert (granted._value.get(), refused._value.get()) == (before[0] + 4, before[1] + 1)
    assert processes.REQUESTS.labels("other", "/media/*", "4xx")._value.get() >= 1
