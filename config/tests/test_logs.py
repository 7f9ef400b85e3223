"""The lines of the log: JSON with the ids of what is worked on, no secrets, and one line an outage."""

import io
import json
import logging
import socket
import sys
import threading

import pytest
from django.db import OperationalError

from config import log_context, logs
from config.log_records import JsonLineFormatter, OutageFilter, outage_of
from config.tests.test_env import python


@pytest.fixture
def written(monkeypatch):
    """Lines as ``LOG_FORMAT=json`` writes them: a logger, and a function that returns them."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLineFormatter())
    chosen = logs.configuration("INFO", "json")
    for name in chosen["handlers"]["stderr"]["filters"]:
        factory = chosen["filters"][name]["()"]
        module, _, attribute = factory.rpartition(".")
        handler.addFilter(getattr(sys.modules[module], attribute)())
    logger = logging.getLogger("vod.test")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    nobody = log_context.user_id.set("")  # a test before may have signed somebody in
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log_context.user_id.reset(nobody)


def test_a_line_of_json_has_the_ids_of_what_is_worked_on(written):
    logger, lines = written
    logger.info("nothing")
    token = log_context.request_id.set("request-1")
    user = log_context.user_id.set("user-1")
    with log_context.about_job("job-1", "video-1"):
        logger.warning("Video %s: %d", "video-1", 7, extra={"data": {"steps": {"probe": 0.1}}})
    log_context.request_id.reset(token)
    log_context.user_id.reset(user)
    logger.info("nothing")

    first, second, third = lines()
    assert first.keys() == third.keys() == {"time", "level", "logger", "message"}
    assert second.pop("time").startswith("20")
    assert second == {
        "level": "WARNING",
        "logger": "vod.test",
        "message": "Video video-1: 7",
        "request_id": "request-1",
        "job_id": "job-1",
        "video_id": "video-1",
        "user_id": "user-1",
        "data": {"steps": {"probe": 0.1}},
    }


def test_the_job_of_a_process_is_named_by_its_threads_too(written, monkeypatch):
    logger, lines = written
    monkeypatch.setattr(log_context, "_job_of_process", ("", ""))
    log_context.set_job_of_process("job-2", "video-2")
    thread = threading.Thread(target=logger.info, args=("from a thread",))
    thread.start()
    thread.join()

    assert lines()[0]["job_id"] == "job-2"


def test_a_line_of_json_has_no_secret_and_is_one_line(written):
    logger, lines = written
    logger.error(
        "GET /media/abcdef0123456789/x\nforged",
        extra={"request": "a request with Authorization: Bearer s3cret", "sock": "s3cret"},
    )
    try:
        raise ValueError("/api/v1/stream/play/abcdef0123456789")
    except ValueError:
        logger.exception("It failed")

    first, second = lines()
    assert first["message"] == "GET /media/***/x\nforged"
    assert "Traceback" in second["exc_info"]
    assert "s3cret" not in str(first)
    assert "abcdef" not in str([first, second])


class GatewayGone(OSError):
    outage = "gateway"


def chained() -> Exception:
    try:
        try:
            raise OperationalError("connection failed")
        except OperationalError as error:
            raise ValueError("wrapped") from error
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationalError("connection failed"), "database"),
        (OperationalError("no such table: x"), ""),  # it is not migrated, and not away
        (chained(), "database"),
        (GatewayGone("no answer"), "gateway"),
        (type("ConnectionError", (Exception,), {"__module__": "redis.exceptions"})(), "redis"),
        (type("OperationalError", (Exception,), {"__module__": "kombu.exceptions"})(), "broker"),
        (type("EndpointConnectionError", (Exception,), {"__module__": "botocore.x"})(), "storage"),
        (type("DataError", (Exception,), {"__module__": "redis.exceptions"})(), ""),
        (ValueError("ours"), ""),
        (None, ""),
    ],
)
def test_an_error_tells_which_part_is_away(error, kind):
    assert outage_of(error) == kind


def test_an_outage_writes_one_warning_a_minute_of_each_kind(written, monkeypatch):
    logger, lines = written
    for number in range(500):
        logger.error("part %d failed", number, exc_info=OperationalError("connection failed"))
        logger.error("gateway", exc_info=GatewayGone("no answer"))
        logger.error("ours", exc_info=ValueError("ours"))
    found = lines()
    assert [line["message"] for line in found if line["logger"] and "outage" in line] == [
        "part 0 failed The database does not answer. Try again in a moment. (connection failed)",
        "gateway GatewayGone: no answer",
    ]
    assert {line["level"] for line in found if "outage" in line} == {"WARNING"}
    assert len([line for line in found if line["message"] == "ours"]) == 500

    monkeypatch.setattr(OutageFilter, "SECONDS", 0.0)
    logger.error("part 0 failed", exc_info=OperationalError("connection failed"))
    assert "(499 more lines about the database were left out)" in lines()[-1]["message"]


AWAY = """
import django; django.setup()
from videos import periodic
for _ in range(40):
    periodic.run("second")
periodic.run("minute")
"""


def test_a_worker_whose_database_is_away_writes_one_line():
    """The periodic work of forty seconds, against a port on which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgres://vod:pass@127.0.0.1:{closed.getsockname()[1]}/vod"
        done = python("-c", AWAY, DATABASE_URL=url, LOG_FORMAT="json", LOG_LEVEL="INFO")

    assert done.returncode == 0, done.stderr
    (line,) = [json.loads(each) for each in done.stderr.splitlines()]
    assert (line["level"], line["outage"]) == ("WARNING", "database")
    assert "pass" not in done.stderr
