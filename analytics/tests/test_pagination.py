"""Keyset pagination visits every row once in both directions, also among equal values."""

import base64
import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from videos.models import Video

pytestmark = pytest.mark.django_db

URL = "/api/v1/videos/"
ROWS = 1050  # more than one page can ever hold, so that ties cross many pages


def make_videos(creator, rows: int) -> list[Video]:
    """Make videos: three values of `views`, half without a duration, a few equal in all columns."""
    now = timezone.now()
    videos = [
        Video(
            creator=creator,
            title=f"Video {number % 7}",
            status=Video.Status.READY,
            source_path="x",
            current_version="v1",
            published_at=now,
            created_at=now - timedelta(seconds=number // 300),
            views=0 if number < rows - 4 else number % 3,
            duration_seconds=None if number % 2 else float(number % 3),
        )
        for number in range(rows)
    ]
    return Video.objects.bulk_create(videos)


@pytest.fixture
def many_videos(creator):
    return make_videos(creator, ROWS)


@pytest.fixture
def videos(creator):
    """One video more than a page can hold."""
    return make_videos(creator, 101)


def walk(client, query: str, link: str, start: str | None = None) -> tuple[list[dict], str]:
    """Follow one link to its end. Return all rows on the way, and the address of the last page."""
    rows, url, last = [], start or f"{URL}?{query}", ""
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.content
        page = answer.json()
        rows += page["results"] if link == "next" else page["results"][::-1]
        url, last = page[link], url
    return rows, last


@pytest.mark.sweep
@pytest.mark.parametrize(
    "ordering",
    ["views", "-views", "duration_seconds", "-duration_seconds", "-created_at", "title"],
)
def test_forwards_and_back_again_visit_every_row_once(client_for, many_videos, ordering):
    client, column = client_for(), ordering.removeprefix("-")
    query = f"ordering={ordering}&page_size=100"

    forwards, last = walk(client, query, "next")
    ids = [row["id"] for row in forwards]
    assert len(ids) == len(set(ids)) == ROWS
    values = [row[column] for row in forwards if row[column] is not None]
    assert values == sorted(values, reverse=ordering.startswith("-"))
    assert [row[column] for row in forwards][len(values) :] == [None] * (ROWS - len(values))

    backwards, first = walk(client, query, "previous", start=last)
    assert [row["id"] for row in backwards][::-1] == ids
    assert client.get(first).json()["results"][0]["id"] == ids[0]


def test_a_row_added_meanwhile_moves_no_page(client_for, videos, make_video):
    client = client_for()
    first = client.get(f"{URL}?page_size=10").json()
    expected = client.get(first["next"]).json()["results"]

    make_video(title="Newest")

    assert client.get(first["next"]).json()["results"] == expected


def test_ends_have_no_links(client_for, make_video):
    for _ in range(3):
        make_video()

    whole = client_for().get(URL).json()
    assert (whole["next"], whole["previous"], len(whole["results"])) == (None, None, 3)
    first = client_for().get(f"{URL}?page_size=2").json()
    assert first["previous"] is None
    second = client_for().get(first["next"]).json()
    assert (second["next"], len(second["results"])) == (None, 1)


def test_an_empty_list_has_no_links(client_for):
    assert client_for().get(URL).json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize(
    ("size", "rows"), [("1", 1), ("100", 100), ("101", 100), ("1000000000", 100), ("", 20)]
)
def test_page_size_is_clamped(client_for, videos, size, rows):
    assert len(client_for().get(f"{URL}?page_size={size}").json()["results"]) == rows


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5", "1e2", "%00", "９", "1" * 19, "NaN"])  # noqa: RUF001
def test_an_invalid_page_size_is_a_400(client_for, size):
    assert client_for().get(f"{URL}?page_size={size}").status_code == 400


def cursor(*parts) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


NOW = "2026-01-01T00:00:00+00:00"
ID = str(uuid.uuid4())
BAD = {
    "text": "nonsense",
    "not base64": "!!!",
    "not ascii": "é",
    "nul": "%00",
    "long": "A" * 7000,
    "no json": base64.urlsafe_b64encode(b"{").decode(),
    "no utf-8": base64.urlsafe_b64encode(b"\xff\xff").decode(),
    "deep": base64.urlsafe_b64encode(b"[" * 5000).decode(),
    "empty": cursor(),
    "two parts": cursor(NOW, ID),
    "four parts": cursor(NOW, ID, False, 1),
    "list as value": cursor([NOW], ID, False),
    "object as value": cursor({}, ID, False),
    "list as id": cursor(NOW, [ID], False),
    "id of another kind": cursor(NOW, "17", False),
    "nul in id": cursor(NOW, "\x00", False),
    "id null": cursor(NOW, None, False),
}
BAD_VALUES: dict[str, list[object]] = {
    "created_at": [None, 5, True, "yesterday", "", "\x00", "\ud800", "2026-13-01T00:00:00Z",
                   "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", float("nan")],
    "views": [None, "x", "", "\x00", 2**63, -(2**70), 10**400, float("inf"), float("nan"), "1e5"],
    "duration_seconds": ["x", "", "nan", "inf", float("nan"), float("inf"), "\ud800", 10**400],
    "title": [None, "\x00", "a\x00b", "\ud800"],
    "price": ["\ud800", 2**63, None],
}  # fmt: skip


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_an_invented_cursor_is_a_400(client_for, videos, text):
    answer = client_for().get(f"{URL}?cursor={text}")

    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("ordering", "value"),
    [(name, value) for name, values in BAD_VALUES.items() for value in values],
)
def test_a_cursor_with_a_value_its_column_cannot_have_is_a_400(client_for, videos, ordering, value):
    for backwards in (False, True):
        text = cursor(value, ID, backwards)
        answer = client_for().get(f"{URL}?ordering={ordering}&cursor={text}")
        assert answer.status_code == 400, answer.content


def test_a_cursor_of_another_order_is_no_error_page(client_for, videos):
    link = client_for().get(f"{URL}?ordering=title&page_size=5").json()["next"]
    text = link.split("cursor=")[1].split("&")[0]

    for ordering in ("views", "created_at", "duration_seconds", "published_at"):
        answer = client_for().get(f"{URL}?ordering={ordering}&cursor={text}")
        assert answer.status_code == 400, ordering


@pytest.mark.parametrize("ordering", ["creator__password", "id", "-pk", "status", "%3F", "--views"])
def test_only_named_columns_sort(client_for, ordering):
    assert client_for().get(f"{URL}?ordering={ordering}").status_code == 400


def test_a_link_keeps_the_other_parameters(client_for, videos):
    link = client_for().get(f"{URL}?page_size=3&search=Video&ordering=-views").json()["next"]

    for part in ("page_size=3", "search=Video", "ordering=-views"):
        assert part in link
