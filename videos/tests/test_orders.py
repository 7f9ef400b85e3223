"""Lists are read along an index, in each order and with each filter, and stop when a page is full."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.roles import Role
from videos import orders

pytestmark = [pytest.mark.django_db, pytest.mark.database]

URL = "/api/v1/videos/"
MARCH = datetime(2026, 3, 5, tzinfo=UTC)
ORDERS = [
    f"{sign}{name}"
    for name in ("created_at", "published_at", "views", "title", "duration_seconds", "price")
    for sign in ("", "-")
]
FILTERS = {
    "": lambda video: True,
    "category=sea": lambda video: video.category == "sea",
    "tag=%20FOG": lambda video: video.number % 2 == 0,
    "status=READY": lambda video: video.status == "READY",
    "status=FAILED": lambda video: video.status == "FAILED",
    "is_paid=true": lambda video: video.is_paid,
    "min_duration=3": lambda video: (video.duration_seconds or 0) >= 3,
    "max_duration=3": lambda video: (
        video.duration_seconds is not None and video.duration_seconds <= 3
    ),
    "created_after=2026-03-05T00:00:00Z": lambda video: video.created_at >= MARCH,
    "created_before=2026-03-05T00:00:00Z": lambda video: video.created_at < MARCH,
    "category=sea&min_duration=3&tag=fog": lambda video: (
        video.category == "sea" and (video.duration_seconds or 0) >= 3 and video.number % 2 == 0
    ),
}


@pytest.fixture
def videos(make_video, creator):
    made = []
    for number in range(12):
        video = make_video(
            creator=creator,
            title=f"t{number % 5}",
            tags=[] if number % 2 else ["fog"],
            category="sea" if number % 3 else "land",
            price=number % 4 * 100,
        )
        video.number = number
        video.views = number % 2
        video.duration_seconds = None if number % 5 == 1 else float(number % 6)
        video.created_at = MARCH + timedelta(hours=number % 7 - 3)
        video.published_at = MARCH + timedelta(hours=number % 3)
        video.status = "FAILED" if number % 4 == 3 else "READY"
        video.save()
        made.append(video)
    return made


@pytest.fixture(params=["few", "many"])
def _amount(request, monkeypatch):
    if request.param == "many":
        monkeypatch.setattr(orders, "FEW", 0)


def in_order(videos, order: str):
    """Sort as the API promises: by the column, then by id, and those without a value last."""
    name, down = order.removeprefix("-"), order.startswith("-")
    absent = [video for video in videos if getattr(video, name) is None]
    rest = [video for video in videos if getattr(video, name) is not None]
    return [
        *sorted(rest, key=lambda video: (getattr(video, name), video.pk), reverse=down),
        *sorted(absent, key=lambda video: video.pk, reverse=down),
    ]


@pytest.mark.usefixtures("_amount")
@pytest.mark.parametrize("query", FILTERS)
def test_every_filter_in_every_order_finds_the_same(query, videos, client_for):
    client = client_for()
    found = [video for video in videos if FILTERS[query](video)]
    for order in ORDERS:
        expected = [str(video.pk) for video in in_order(found, order)]
        url, forth = f"{URL}?{query}&ordering={order}&page_size=5", []
        while url:
            page = client.get(url).json()
            forth += [each["id"] for each in page["results"]]
            back, url = page["previous"], page["next"]
        assert forth == expected, order
        last = page["results"]
        walked_back: list[str] = []
        while back:
            page = client.get(back).json()
            walked_back = [each["id"] for each in page["results"]] + walked_back
            back = page["previous"]
        assert [*walked_back, *(each["id"] for each in last)] == expected, order


def plans(client, url: str) -> list[str]:
    """Return how the database reads the page: the steps of each statement that reads videos."""
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    answer = []
    for sql in (each["sql"] for each in captured):
        if 'FROM "videos_video"' in sql and "LIMIT" in sql:
            with connection.cursor() as cursor:
                if connection.vendor == "sqlite":
                    cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                    answer.append(" | ".join(row[3] for row in cursor.fetchall()))
                else:
                    # A small table is read as a whole and sorted wherever that is possible at all.
                    cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
                    cursor.execute(f"EXPLAIN (FORMAT JSON) {sql.replace('%', '%%')}")
                    answer.append(json.dumps(cursor.fetchone()[0]))
    return answer


def is_sorted_or_scanned(plan: str) -> bool:
    if connection.vendor == "sqlite":
        # Rows of one time may be put in order, and no others.
        rest = plan.replace("TEMP B-TREE FOR RIGHT PART", "")
        return "TEMP B-TREE" in rest or "SCAN videos_video |" in f"{rest} |"
    return '"Sort"' in plan


@pytest.mark.parametrize("caller", ["anonymous", "viewer", "admin"])
def test_no_order_sorts_the_table(caller, videos, make_user, client_for):
    roles = {"viewer": Role.VIEWER, "admin": Role.ADMIN}
    client = client_for(make_user(roles[caller]) if caller in roles else None)
    for order in ORDERS:
        url = f"{URL}?ordering={order}&page_size=5"
        following = client.get(url).json()["next"]
        for page in (url, following, client.get(following).json()["previous"]):
            read = plans(client, page)
            assert read
            for plan in read:
                assert not is_sorted_or_scanned(plan), (page, plan)
                assert "USING INDEX video_" in plan or '"Index Name": "video_' in plan, plan


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL decides by its statistics")
@pytest.mark.parametrize("query", [query for query in FILTERS if query])
def test_filters_with_many_videos_are_read_along_the_order(query, videos, client_for, monkeypatch):
    monkeypatch.setattr(orders, "FEW", 0)
    for order in ORDERS:
        for plan in plans(client_for(), f"{URL}?{query}&ordering={order}"):
            assert not is_sorted_or_scanned(plan), (order, plan)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL decides by its statistics")
def test_few_videos_are_not_looked_for_in_all(videos, client_for):
    for query in ("max_duration=0", "created_before=2020-01-01T00:00:00Z", "category=none"):
        *_, plan = plans(client_for(), f"{URL}?{query}&ordering=title")
        assert "SEARCH videos_video USING" in plan, plan
        assert "SCAN videos_video" not in plan


def test_sqlite_is_asked_once_more_for_a_filter_in_another_order(
    videos, client_for, settings, django_assert_num_queries
):
    settings.AUDIT_READS = False
    client, more = client_for(), int(connection.vendor == "sqlite")
    for query, queries in {
        "category=sea": 3,
        "category=sea&ordering=-views": 3,
        "category=sea&ordering=title": 3 + more,
        "ordering=-published_at": 4,  # and those without a time, at the end
    }.items():
        client.get(f"{URL}?{query}")
        with django_assert_num_queries(queries):
            client.get(f"{URL}?{query}")
