"""GET /audit/ shows audit entries and API requests as one log."""

import csv
import io
import itertools
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from audit.models import ApiRequest, AuditEntry, Caller
from audit.reading import Line, place
from audit.requests import first_number, public_id
from config.tests import cases

pytestmark = pytest.mark.django_db

URL = "/api/v1/audit/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quiet(settings):
    settings.AUDIT_READS = False  # the reading of the log is not in it


def request(at: datetime, *, tag=0, actor=None, ip="192.0.2.1", **fields) -> ApiRequest:
    caller = Caller.of(at.date(), actor and actor.pk, ip, "Player/1")
    caller.save()
    fields = {"method": "GET", "path": "/api/v1/videos/", "status": 200, **fields}
    return ApiRequest.objects.create(number=first_number(at) + tag, caller=caller, **fields)


def entry(at: datetime, **fields) -> AuditEntry:
    return AuditEntry.objects.create(at=at, **{"action": "login.succeeded", **fields})


def walk(client, query: str, link: str = "next") -> list[list[str]]:
    """The ids of all pages, from the first page or backwards from the last one."""
    pages, url = [], f"{URL}?{query}"
    while url:
        answer = client.get(url).json()
        pages.append([row["id"] for row in answer["results"]])
        last, url = answer, answer["next"]
    if link == "next":
        return pages
    pages, url = [pages[-1]], last["previous"]
    while url:
        answer = client.get(url).json()
        pages.insert(0, [row["id"] for row in answer["results"]])
        url = answer["previous"]
    return pages


@cases.crossed(size=[1, 2, 7, 59, 60, 61], link=["next", "previous"], order=["-at", "at"])
def test_a_walk_visits_every_line_once(client_for, admin, size, link, order):
    for second in range(4):
        at = NOON + timedelta(seconds=second)
        pk = public_id(first_number(at) + 700).int
        # Before, between and after the requests of the same microsecond.
        for number in (second, pk - 1, pk + 1, 2**128 - 1 - second):
            entry(at, id=uuid.UUID(int=number))
        for tag in (0, 1, 700, 2047):
            request(at, tag=tag)
    lines: list[Line] = [*AuditEntry.objects.all(), *ApiRequest.objects.all()]
    lines.sort(key=place, reverse=order == "-at")

    pages = walk(client_for(admin), f"page_size={size}&ordering={order}", link)

    assert [pk for page in pages for pk in page] == [str(line.id) for line in lines]
    assert all(len(page) == size for page in pages[:-1])


def test_a_listed_and_a_counted_request(client_for, admin, viewer):
    listed = request(NOON, actor=viewer, duration_ms=3, request_id="request-1")
    counted = request(NOON, tag=1, ip=None, count=7, until=NOON + timedelta(minutes=5))

    second, first = client_for(admin).get(f"{URL}?action=api.request").json()["results"]

    assert first == {
        "id": str(listed.id),
        "at": "2026-03-01T12:00:00Z",
        "actor": {"id": str(viewer.pk), "email": viewer.email},
        "action": "api.request",
        "method": "GET",
        "path": "/api/v1/videos/",
        "status": 200,
        "target_type": "",
        "target_id": "",
        "ip": "192.0.2.1",
        "user_agent": "Player/1",
        "request_id": "request-1",
        "duration_ms": 3,
        "data": {},
        "hash": None,
    }
    assert second["id"] == str(counted.id)
    assert second["data"] == {"count": 7, "until": "2026-03-01T12:05:00Z"}
    assert (second["actor"], second["ip"], second["hash"]) == (None, None, None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "eradob"),
        ("action=api.request", "rao"),
        ("action=login.succeeded", "edb"),
        ("actor={viewer}", "ad"),
        ("method=POST", "ab"),
        ("status=404", "r"),
        ("status=201", "ob"),
        ("ip=192.0.2.7", "rd"),
        ("ip=::ffff:192.0.2.7", "rd"),
        ("ip=2001:db8:0::0001", "o"),
        ("actor={viewer}&method=POST&status=200", "a"),
        ("target_type=user", "e"),
        ("target_id=17", "e"),
        ("from=2026-03-01T12:00:03Z", "era"),
        ("to=2026-03-01T12:00:02Z", "ob"),
        ("from=2026-03-01T12:00:02Z&to=2026-03-01T12:00:04Z", "ad"),
        ("from=0001-01-01&to=9999-12-31", "eradob"),
        ("from=9999-12-30", ""),
        ("to=0001-01-02", ""),
        ("ordering=at", "bodare"),
    ],
)
@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_filters_hold_for_both(client_for, admin, viewer, query, expected, form):
    def second(number):
        return NOON + timedelta(seconds=number)

    lines: dict[str, Line] = {
        "b": entry(second(0), method="POST", status=201),
        "o": request(second(1), status=201, ip="2001:db8::1"),
        "d": entry(second(2), actor=viewer, ip="192.0.2.7"),
        "a": request(second(3), actor=viewer, method="POST"),
        "r": request(second(4), status=404, ip="192.0.2.7"),
        "e": entry(second(5), target_type="user", target_id="17"),
    }
    if form == "csv" and "ordering" in query:
        return  # CSV is always newest first
    names = {str(line.id): name for name, line in lines.items()}
    query = query.format(viewer=viewer.pk)

    answer = client_for(admin).get(f"{URL}?{query}&format={form if form == 'csv' else ''}")

    assert answer.status_code == 200
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    else:
        rows = answer.json()["results"]
    assert "".join(names[row["id"]] for row in rows) == expected


def test_two_filters_let_through_what_both_let_through(client_for, admin, viewer):
    """On SQLite, the second one is checked without its index."""
    for number in range(64):
        on = [bool(number >> bit & 1) for bit in range(5)]
        fields = {
            "actor": viewer if on[0] else None,
            "ip": "192.0.2.7" if on[1] else "192.0.2.8",
            "method": "POST" if on[2] else "GET",
            "status": 404 if on[3] else 200,
        }
        if number < 32:
            request(NOON + timedelta(hours=number), **fields)
        else:
            action, target = ("user.role_changed", "7") if on[4] else ("login.succeeded", "17")
            entry(
                NOON + timedelta(hours=number, minutes=1),
                **fields,
                action=action,
                target_type="user" if on[2] else "video",
                target_id=target,
            )
    client = client_for(admin)

    def ids(*queries: str) -> set[str]:
        answer = client.get(f"{URL}?page_size=100&{'&'.join(queries)}")
        assert answer.status_code == 200, answer.content
        return {row["id"] for row in answer.json()["results"]}

    filters = [
        f"actor={viewer.pk}", "ip=192.0.2.7", "method=POST", "status=404", "target_type=user",
        "target_id=17", "action=login.succeeded", "action=api.request", "from=2026-03-02",
        "to=2026-03-02",
    ]  # fmt: skip
    alone = {query: ids(query) for query in filters}
    assert all(0 < len(found) < 64 for found in alone.values())

    for one, other in itertools.combinations(filters, 2):
        if one.partition("=")[0] != other.partition("=")[0]:
            assert ids(one, other) == alone[one] & alone[other], (one, other)


@cases.crossed(size=[1, 3, 100], link=["next", "previous"], order=["-at", "at"])
def test_a_walk_through_the_days_of_one_actor(client_for, admin, viewer, size, link, order):
    mine = []
    for day, hour, number in itertools.product((0, 1, 2, 5, 40, 41, 300), (0, 11.999, 23), (1, 2)):
        at = NOON - timedelta(hours=12) + timedelta(days=day, hours=hour)
        mine.append(request(at, tag=number, actor=viewer, ip=f"192.0.2.{number}"))
        request(at, tag=7 + number)
    mine.sort(key=place, reverse=order == "-at")

    pages = walk(client_for(admin), f"page_size={size}&actor={viewer.pk}&ordering={order}", link)

    assert [pk for page in pages for pk in page] == [str(line.id) for line in mine]


def test_csv_of_many_callers(client_for, admin):
    """SQLite takes no list of a thousand and more of them."""
    callers = [Caller.of(NOON.date(), None, None, str(number)) for number in range(1500)]
    Caller.objects.bulk_create(callers)
    ApiRequest.objects.bulk_create(
        ApiRequest(number=first_number(NOON) + tag, caller=caller, method="GET", status=200)
        for tag, caller in enumerate(callers)
    )

    text = client_for(admin).get(f"{URL}?action=api.request&format=csv").getvalue().decode()

    agents = [row["user_agent"] for row in csv.DictReader(io.StringIO(text))]
    assert agents == [str(number) for number in reversed(range(1500))]


def test_requests_of_before_stay_in_the_chain_and_in_the_list(client_for, admin):
    """Until this version the requests were audit entries."""
    old = entry(NOON, action="api.request", method="GET", status=200)
    new = request(NOON + timedelta(days=1))

    answer = client_for(admin).get(f"{URL}?action=api.request&status=200").json()

    assert [row["id"] for row in answer["results"]] == [str(new.id), str(old.id)]


def test_lines_of_a_deleted_user_keep_the_id_and_are_found_by_it(client_for, admin, viewer):
    pk = viewer.pk
    request(NOON, actor=viewer)
    entry(NOON, actor=viewer)
    viewer.delete()

    rows = client_for(admin).get(f"{URL}?actor={pk}").json()["results"]

    assert [row["actor"] for row in rows] == [{"id": str(pk), "email": None}] * 2


def test_a_request_without_its_caller_is_shown(client_for, admin):
    request(NOON)
    Caller.objects.all().delete()

    (row,) = client_for(admin).get(f"{URL}?action=api.request").json()["results"]

    assert (row["actor"], row["ip"], row["user_agent"]) == (None, None, "")


def test_the_admin_site_shows_requests(client, admin, viewer):
    listed = request(NOON, actor=viewer)
    request(NOON, tag=1, ip=None, count=7, until=NOON, path="/api/v1/videos/*")
    client.force_login(admin)

    page = client.get("/admin/audit/apirequest/").content.decode()
    detail = client.get(f"/admin/audit/apirequest/{listed.pk}/change/").content.decode()

    assert viewer.email in page
    assert "/api/v1/videos/*" in page
    assert "Player/1" in detail
    assert client.get("/admin/audit/apirequest/?status=404").status_code == 200
    assert client.get("/admin/audit/apirequest/?status=x").status_code == 400
