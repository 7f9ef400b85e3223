"""GET /audit/: for administrators, filtered, as JSON and as CSV."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from audit import buffer, services
from audit.actions import AuditAction
from audit.filters import AuditFilter, RequestFilter
from audit.models import AuditEntry
from audit.tests.kit import call

pytestmark = pytest.mark.django_db

URL = "/api/v1/audit/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(viewer, creator, settings):
    """Four entries, an hour apart."""
    settings.AUDIT_READS = False  # the reading of the log is not in it

    def entry(hour: int, **fields):
        return AuditEntry.objects.create(at=NOON + timedelta(hours=hour), **fields)

    video = {"target_type": "video", "target_id": "v-1"}
    return [
        entry(0, action="login.succeeded", actor=viewer, target_type="user", ip="192.0.2.1"),
        entry(1, action="video.created", actor=creator, method="POST", status=201, **video),
        entry(2, action="video.changed", actor=creator, method="PATCH", status=200, **video),
        entry(3, action="api.request", method="GET", status=404, ip="2001:db8::1"),
    ]


def shown(answer, log) -> list[int]:
    """The numbers of the log's entries that the answer contains, in its order."""
    assert answer.status_code == 200, answer.data
    numbers = {str(entry.pk): number for number, entry in enumerate(log)}
    return [numbers[row["id"]] for row in answer.json()["results"] if row["id"] in numbers]


def test_an_entry_says_who_did_what_and_when(client_for, admin, log, creator):
    answer = client_for(admin).get(f"{URL}?action=video.created").json()

    assert answer["results"] == [
        {
            "id": str(log[1].pk),
            "at": "2026-03-01T13:00:00Z",
            "actor": {"id": str(creator.pk), "email": creator.email},
            "action": "video.created",
            "method": "POST",
            "path": "",
            "status": 201,
            "target_type": "video",
            "target_id": "v-1",
            "ip": None,
            "user_agent": "",
            "request_id": "",
            "duration_ms": None,
            "data": {},
            "hash": None,
        }
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("action=video.changed", [2]),
        ("target_type=video", [2, 1]),
        ("target_id=v-1&method=POST", [1]),
        ("status=404", [3]),
        ("ip=192.0.2.1", [0]),
        ("ip=2001:db8::1", [3]),
        ("ip=2001:0db8:0:0::0001", [3]),
        ("ip=192.0.2.9", []),
        ("from=2026-03-01T14:00:00Z", [3, 2]),
        ("to=2026-03-01T14:00:00Z", [1, 0]),
        ("from=2026-03-01T14:00:00%2B01:00&to=2026-03-01T15:00:00Z", [2, 1]),
        ("from=2026-03-01&to=2026-03-02", [3, 2, 1, 0]),
        ("from=2026-03-01T13:00:00", [3, 2, 1]),
        ("ordering=at", [0, 1, 2, 3]),
        ("target_id=nothing", []),
    ],
)
def test_the_filters(client_for, admin, log, query, expected):
    before = NOON + timedelta(hours=4)
    query = query if "to=" in query else f"{query}&to={before:%Y-%m-%dT%H:%M:%SZ}"

    assert shown(client_for(admin).get(f"{URL}?{query}"), log) == expected


def test_the_filter_by_actor(client_for, admin, log, creator):
    assert shown(client_for(admin).get(f"{URL}?actor={creator.pk}"), log) == [2, 1]


@pytest.mark.parametrize(
    "query",
    [
        "actor=me",
        "action=nothing",
        "method=FOO",
        "status=x",
        "status=NaN",
        "status=99",
        "status=600",
        "status=200.5",
        "ip=unknown",
        "ip=%00",
        "from=yesterday",
        "from=9999-12-31T23:59:59-23:59",
        "to=0001-01-01T00:00:00%2B23:59",
        "target_id=%00",
        "target_id=" + "x" * 65,
        "nothing=1",
        "Action=login.failed",
        "action__exact=login.failed",
        "ordering=data",
        "format=xml",
    ],
)
@pytest.mark.parametrize("suffix", ["", "&format=csv"])
def test_an_invalid_filter_is_a_400(client_for, admin, log, query, suffix):
    if suffix and query in {"ordering=data", "format=xml"}:
        return
    answer = client_for(admin).get(f"{URL}?{query}{suffix}")

    assert answer.status_code == 400, b"".join(answer)[:300]
    assert set(answer.json()) == {"type", "errors"}
    assert "results" not in answer.json()


def test_it_has_the_filters_of_the_contract_and_no_others():
    contract = {
        "actor", "action", "target_type", "target_id", "method", "status", "ip", "from", "to", "format",
    }  # fmt: skip
    assert set(AuditFilter.get_filters()) == contract
    assert set(RequestFilter.get_filters()) == contract


@pytest.mark.parametrize("role", ["VIEWER", "CREATOR"])
def test_other_roles_may_not_read_the_log(client_for, make_user, log, role):
    for suffix in ("", "?format=csv"):
        answer = client_for(make_user(role)).get(f"{URL}{suffix}")
        assert answer.status_code == 403
        assert b"video.created" not in answer.content


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_api_offers_no_way_to_change_the_log(client_for, admin, log, method):
    before = list(AuditEntry.objects.filter(method__in=["", "GET"]).values())

    for url in (URL, f"{URL}{log[0].pk}"):
        answer = getattr(client_for(admin), method)(url, {"action": "login.succeeded"})
        assert answer.status_code == (405 if url == URL else 404)

    assert list(AuditEntry.objects.filter(method__in=["", "GET"]).values()) == before


def test_csv_holds_the_same_rows_and_runs_no_formula(client_for, admin, log, creator):
    services.record(
        actor=creator, action=AuditAction.VIDEO_CHANGED, target=creator, before="a", after=[1]
    )
    AuditEntry.objects.create(action="api.request", user_agent="=HYPERLINK(1)", at=NOON)

    answer = client_for(admin).get(f"{URL}?format=csv")

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [row["id"] for row in rows] == [
        str(pk) for pk in AuditEntry.objects.order_by("-at", "-id").values_list("pk", flat=True)
    ]
    by_id = {row["id"]: row for row in rows}
    assert by_id[str(log[1].pk)]["at"] == "2026-03-01T13:00:00Z"
    assert by_id[str(log[1].pk)]["actor_id"] == str(creator.pk)
    assert by_id[str(log[0].pk)]["status"] == ""
    assert {row["user_agent"] for row in rows} >= {"'=HYPERLINK(1)", ""}
    assert json.loads(rows[0]["data"]) == {"before": "a", "after": [1]}


def test_a_deleted_actor_keeps_their_id(client_for, admin, log, viewer):
    pk = viewer.pk
    viewer.delete()

    (entry,) = client_for(admin).get(f"{URL}?action=login.succeeded").json()["results"]

    assert entry["actor"] == {"id": str(pk), "email": None}


@pytest.mark.parametrize("size", [1, 12])
def test_the_list_needs_six_queries_for_any_number_of_entries(
    size, client_for, admin, make_user, settings, django_assert_num_queries
):
    settings.AUDIT_READS = False
    for _ in range(size):
        AuditEntry.objects.create(action="login.succeeded", actor=make_user())
        buffer.put(call(actor_id=make_user().pk))
    client = client_for(admin)
    client.get(URL)

    # 1 token with user and role; 2 entries; 3 actors; 4 API requests; 5 callers; 6 actors
    with django_assert_num_queries(6):
        client.get(URL)


class TestTogether:
    def test_entries_are_written_in_their_order_by_one_statement(
        self, viewer, django_assert_num_queries
    ):
        before = AuditEntry.objects.count()
        with django_assert_num_queries(1), services.together(), services.together():
            for action in (AuditAction.LOGIN_SUCCEEDED, AuditAction.VIDEO_CREATED):
                services.record(actor=viewer, action=action, target=viewer)
        written = AuditEntry.objects.order_by("id")[before:]
        assert [entry.action for entry in written] == ["login.succeeded", "video.created"]

    def test_a_failed_block_writes_nothing_and_does_not_wait_for_the_next(self, viewer):
        before = AuditEntry.objects.count()

        def fails() -> None:
            with services.together():
                services.record(actor=viewer, action=AuditAction.VIDEO_CREATED)
                raise KeyError

        with pytest.raises(KeyError):
            fails()
        services.record(actor=viewer, action=AuditAction.LOGIN_SUCCEEDED)
        assert AuditEntry.objects.count() == before + 1
