"""The log in the admin site: filters, search, details, links and exports."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from urllib.parse import quote

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

import audit.services as audit
from audit import addresses, buffer, exporting, sealing
from audit.actions import AuditAction
from audit.models import AuditEntry
from audit.tests.kit import call
from audit.tests.log import attack, run, write

pytestmark = pytest.mark.django_db

URL = "/admin/audit/auditentry/"
EXPORT = f"{URL}export/"
LINK = r'<th scope="row"><a href="/admin/audit/auditentry/([^/]+)/'
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def boss(client, admin):
    client.force_login(admin)
    return client


@pytest.fixture
def log(viewer, creator):
    """Four entries, an hour apart, and an API request."""

    def entry(hour: int, **fields):
        return AuditEntry.objects.create(at=NOON + timedelta(hours=hour), **fields)

    video = {"target_type": "video", "target_id": "v-1"}
    entries = [
        entry(0, action="login.succeeded", actor=viewer, target_type="user", ip="192.0.2.1",
              target_id=str(viewer.pk)),
        entry(1, action="video.created", actor=creator, request_id="request-7", **video),
        entry(2, action="video.changed", actor=creator, request_id="request-8", **video),
        entry(3, action="login.failed", ip="2001:db8::1", target_type="address",
              target_id=addresses.named("eve@example.com").id),
    ]  # fmt: skip
    buffer.put(call(actor_id=viewer.pk, status=404, path="/api/v1/nothing/1"))
    return entries


def shown(answer, log) -> list[int]:
    """The numbers of the log's entries that the page lists, in its order."""
    assert answer.status_code == 200, answer.content.decode()
    numbers = {str(entry.pk): number for number, entry in enumerate(log)}
    links = re.findall(LINK, answer.content.decode())
    return [numbers[pk] for pk in links if pk in numbers]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("action=video.changed", [2]),
        ("target_type=video", [2, 1]),
        ("target_id=v-1&action=video.created", [1]),
        ("ip=192.0.2.1", [0]),
        ("ip=2001:0db8:0:0::0001", [3]),
        ("from=2026-03-01T14:00", [3, 2]),
        ("to=2026-03-01T14:00:00Z", [1, 0]),
        ("q=v-1", [2, 1]),
        ("q=request-7", [1]),
        ("q=v-1&action=video.changed", [2]),
        ("q=v-1&ip=192.0.2.1", []),
        ("q=v-1&target_type=video&from=2026-03-01T13:30", [2]),
        ("q=nothing", []),
        ("status=404", []),
        ("lines=requests", []),
        ("lines=all", [3, 2, 1, 0]),
    ],
)
def test_the_filters(boss, log, query, expected):
    query = query if "to=" in query else f"{query}&to=2026-03-02"
    assert shown(boss.get(f"{URL}?{query}"), log) == expected


def test_the_filter_by_actor_takes_an_address_or_an_id(boss, log, creator):
    for actor in (creator.email, creator.email.upper(), str(creator.pk)):
        assert shown(boss.get(f"{URL}?actor={quote(actor)}"), log) == [2, 1]


def test_a_search_for_a_person_finds_what_they_did_and_what_happened_to_them(
    boss, log, viewer, admin
):
    audit.record(actor=admin, action=AuditAction.USER_DEACTIVATED, target=viewer)
    for text in (viewer.email, str(viewer.pk), viewer.pk.hex):
        answer = boss.get(f"{URL}?q={quote(text)}").content.decode()
        assert answer.count('<th scope="row"><a href=') == 2, text  # the entry is both only once
        assert "User deactivated" in answer


def test_a_search_for_an_address_without_account_finds_its_failed_sign_ins(boss, log):
    entry = audit.record(
        actor=None, action=AuditAction.LOGIN_FAILED, target=addresses.named("bob@example.com")
    )

    answer = boss.get(f"{URL}?q=Bob%40Example.com").content.decode()

    assert answer.count('<th scope="row"><a href=') == 1
    assert str(entry.pk) in answer


def test_a_search_for_the_id_of_an_entry_finds_it(boss, log):
    assert shown(boss.get(f"{URL}?q={log[1].pk}"), log) == [1]


def test_api_requests_are_shown_where_they_are_asked_for(boss, log, viewer):
    for query in ("status=404", "lines=all&ip=192.0.2.1", "action=api.request"):
        assert b"/api/v1/nothing/1" in boss.get(f"{URL}?{query}").content, query
    for query in ("", "lines=changes", "status=404&lines=changes"):
        assert b"/api/v1/nothing/1" not in boss.get(f"{URL}?{query}").content, query
    assert b"/api/v1/nothing/1" in boss.get("/admin/audit/apirequest/").content


@pytest.mark.parametrize(
    "query",
    [
        "nothing=1", "p=2", "o=1", "action__exact=video.created", "actor=nobody@example.com",
        "actor=me", "action=x", "ip=unknown", "status=x", "status=99", "from=yesterday", "q=%00",
        "to=0001-01-01T00:00:00%2B23:59", "lines=none", "cursor=x", "target_id=" + "x" * 65,
        "q=" + "x" * 8000,
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_used_is_refused_with_a_reason(boss, log, query):
    answer = boss.get(f"{URL}?{query}")

    assert answer.status_code == 400
    text = answer.content.decode()
    assert "Nothing is shown" in text
    assert "result_list" not in text
    assert boss.get(f"{EXPORT}?format=csv&{query}").status_code == (
        200 if query.startswith("cursor") else 400
    )


def test_pages_follow_each_other_without_a_gap_or_a_repeat(boss, admin):
    AuditEntry.objects.bulk_create(
        AuditEntry(
            action="login.succeeded", target_id="t", at=NOON + timedelta(seconds=number // 3)
        )
        for number in range(120)
    )
    for query in ("target_id=t", "q=t"):
        seen, address = [], f"?{query}"
        while address:
            text = boss.get(f"{URL}{address}").content.decode()
            seen += re.findall(LINK, text)
            link = re.search(r'<a href="([^"]+)" rel="next">', text)
            address = link[1].replace("&amp;", "&") if link else ""
        newest_first = AuditEntry.objects.filter(target_id="t").order_by("-at", "-id")
        assert seen == [str(pk) for pk in newest_first.values_list("pk", flat=True)], query
        link = re.search(r'<a href="([^"]+)" rel="prev">', text)
        assert link
        back = link[1].replace("&amp;", "&")
        text = boss.get(f"{URL}{back}").content.decode()
        assert str(seen[50]) in text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=v-1",
        "q=v-1&action=video.changed",
        "target_type=video",
        "q={actor}&target_type=video&action=video.changed",
        "actor={actor}",
        "lines=all",
    ],
)
def test_no_page_counts_or_sorts_the_log(boss, log, creator, query):
    address = f"{URL}?{query.format(actor=creator.pk)}"
    boss.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert boss.get(address).status_code == 200
    read = [each["sql"] for each in captured if "audit_" in each["sql"]]
    assert read
    for sql in read:
        assert "COUNT(*)" not in sql
        if connection.vendor == "sqlite" and "audit_auditentry" in sql:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = " ".join(row[3] for row in cursor.fetchall())
            # Rows of one microsecond may be put in order, and no others.
            assert "TEMP B-TREE" not in plan.replace("TEMP B-TREE FOR RIGHT PART", ""), sql
            assert "SCAN audit_auditentry USING INDEX" in plan or "SEARCH" in plan, plan
            if "q=" in query:
                assert "audit_by_action" not in plan
                assert "audit_by_type" not in plan
    assert all(" LIMIT " in sql or "_caller" in sql for sql in read)


@pytest.mark.parametrize("size", [1, 12])
def test_the_page_needs_a_fixed_number_of_queries(boss, make_user, size):
    for _ in range(size):
        AuditEntry.objects.create(action="login.succeeded", actor=make_user())
    boss.get(URL)
    with CaptureQueriesContext(connection) as captured:
        boss.get(URL)
    # session, user, and two of the permissions of staff; entries, actors
    assert len(captured) == 6


class TestDetails:
    def test_each_changed_field_is_shown_before_and_after(self, boss, admin, creator):
        entry = audit.record(
            actor=admin,
            action=AuditAction.VIDEO_CHANGED,
            target=creator,
            fields=["price", "title"],
            changes={
                "price": {"before": 1999, "after": 2999},
                "title": {"before": "<b>Fog</b>", "after": "Mist"},
                "description": {},
            },
            currency="USD",
        )

        text = boss.get(f"{URL}{entry.pk}/change/").content.decode()

        assert "<del>19.99 USD</del>" in text
        assert "<ins>29.99 USD</ins>" in text
        assert "<del>&lt;b&gt;Fog&lt;/b&gt;</del>" in text
        assert "the log does not keep the value" in text
        assert admin.email in text

    def test_a_role_is_shown_before_and_after(self, boss, creator):
        entry = audit.record(
            actor=None,
            action=AuditAction.ROLE_CHANGED,
            target=creator,
            before="VIEWER",
            after="CREATOR",
        )
        text = boss.get(f"{URL}{entry.pk}/change/").content.decode()
        assert re.search(r"role</th>\s*<td><del>VIEWER</del></td><td><ins>CREATOR</ins>", text)
        assert "role: VIEWER → CREATOR" in boss.get(URL).content.decode()

    @pytest.mark.parametrize("name", ["password", "api_key", "refresh_token", "new_email", "card"])
    def test_a_sensitive_value_is_never_shown(self, boss, creator, name):
        entry = audit.record(
            actor=None,
            action=AuditAction.PROFILE_CHANGED,
            target=creator,
            changes={name: {"before": "hunter1", "after": "hunter2"}},
            nested={"a": [{name: "hunter3"}]},
            **{name: "hunter4"},
        )
        for address in (URL, f"{URL}{entry.pk}/change/"):
            assert b"hunter" not in boss.get(address).content

    def test_an_old_entry_names_its_fields(self, boss, creator):
        audit.record(actor=None, action=AuditAction.VIDEO_CHANGED, target=creator, fields=["tags"])
        assert b'<td class="log-what" data-label="What">tags</td>' in boss.get(URL).content

    def test_it_leads_to_the_thing_the_person_and_the_request(self, boss, log, creator, viewer):
        text = boss.get(f"{URL}{log[2].pk}/change/").content.decode()
        assert f"{URL}?target_type=video&amp;target_id=v-1" in text
        assert f"{URL}?actor={creator.pk}" in text
        assert f"{URL}?q=request-8" in text
        of_user = boss.get(f"{URL}{log[0].pk}/change/").content.decode()
        assert reverse("admin:accounts_user_change", args=[viewer.pk]) in of_user

    def test_a_deleted_actor_keeps_their_id(self, boss, log, viewer):
        pk = viewer.pk
        viewer.delete()
        for address in (URL, f"{URL}{log[0].pk}/change/"):
            assert str(pk) in boss.get(address).content.decode()

    def test_hostile_data_is_a_page(self, boss):
        for data in (
            [1],
            "x",
            {"changes": [1], "before": None},
            {"changes": {"a": 1}, "fields": 3},
        ):
            entry = AuditEntry.objects.create(action="video.changed", data=data)
            assert boss.get(f"{URL}{entry.pk}/change/").status_code == 200
        AuditEntry.objects.create(action="gone.action", target_type="gone", target_id="1/2?")
        assert boss.get(URL).status_code == 200


def test_history_of_a_row_is_the_log_of_it(boss, viewer, client_for):
    answer = boss.get(f"/admin/accounts/user/{viewer.pk}/history/")
    assert answer.status_code == 302
    assert answer["Location"] == f"{URL}?target_type=user&target_id={viewer.pk}"
    assert b"/history/" in boss.get(f"/admin/accounts/user/{viewer.pk}/change/").content


class TestWhoMayNot:
    @pytest.mark.parametrize("path", ["", "export/?format=csv", "{pk}/change/"])
    def test_a_moderator_sees_no_log(self, client, make_user, log, path):
        moderator = make_user()
        moderator.is_moderator = moderator.is_staff = True
        moderator.save()
        client.force_login(moderator)
        before = AuditEntry.objects.count()

        answer = client.get(URL + path.format(pk=log[1].pk))

        assert answer.status_code == 403
        assert b"video.created" not in answer.content
        assert AuditEntry.objects.count() == before

    @pytest.mark.parametrize("path", ["", "export/?format=csv", "{pk}/change/"])
    @pytest.mark.parametrize("method", ["post", "put", "delete"])
    def test_nothing_can_be_sent_to_the_log(self, boss, log, path, method):
        before = list(AuditEntry.objects.values())
        answer = getattr(boss, method)(URL + path.format(pk=log[1].pk), {"post": "yes"})
        assert answer.status_code in {403, 405}
        assert list(AuditEntry.objects.values()) == before


def read_csv(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def read_lines(answer) -> list[dict]:
    return [json.loads(line) for line in answer.getvalue().decode().splitlines()]


class TestExport:
    def test_it_holds_the_filtered_lines_and_their_place_in_the_chain(self, boss, log):
        while sealing.seal():
            pass
        answer = boss.get(f"{EXPORT}?format=ndjson&target_type=video")
        assert answer.streaming
        assert answer["Content-Disposition"] == 'attachment; filename="audit.ndjson"'
        found = read_lines(answer)
        assert [row["id"] for row in found] == [str(log[2].pk), str(log[1].pk)]
        for row, entry in zip(found, (log[2], log[1]), strict=True):
            entry.refresh_from_db()
            assert (row["position"], row["hash"]) == (entry.position, entry.hash)
            before = AuditEntry.objects.get(position=entry.position - 1)
            assert row["hash_before"] == before.hash

        as_csv = read_csv(boss.get(f"{EXPORT}?format=csv&target_type=video"))
        assert [row["hash"] for row in as_csv] == [row["hash"] for row in found]

    def test_a_search_is_exported_in_order_and_once(self, boss, log, viewer, admin):
        audit.record(actor=viewer, action=AuditAction.PROFILE_CHANGED, target=viewer)
        found = read_lines(boss.get(f"{EXPORT}?format=ndjson&q={viewer.pk}"))
        assert [row["action"] for row in found] == ["user.profile_changed", "login.succeeded"]

    def test_a_cell_runs_no_formula(self, boss, log):
        AuditEntry.objects.create(action="login.failed", user_agent="=HYPERLINK(1)", target_id="@x")
        (row,) = read_csv(boss.get(f"{EXPORT}?format=csv&target_id=%40x"))
        assert (row["user_agent"], row["target_id"]) == ("'=HYPERLINK(1)", "'@x")

    def test_it_ends_at_its_limit(self, boss, log, monkeypatch):
        monkeypatch.setattr(exporting, "ROWS_MAX", 2)
        found = read_lines(boss.get(f"{EXPORT}?format=ndjson&to=2026-03-02"))
        assert [row["id"] for row in found] == [str(log[3].pk), str(log[2].pk)]

    def test_it_is_recorded_without_an_address(self, boss, log, admin):
        boss.get(f"{EXPORT}?format=csv&q=bob%40example.com&action=login.failed")
        entry = AuditEntry.objects.get(action="audit.exported")
        assert entry.actor_id == admin.pk
        assert entry.data["filters"]["action"] == "login.failed"
        assert "bob" not in json.dumps(entry.data)

    @pytest.mark.parametrize("query", ["", "format=xml", "format=csv&x=1"])
    def test_what_it_cannot_send_is_refused(self, boss, log, query):
        assert boss.get(f"{EXPORT}?{query}").status_code == 400
        assert not AuditEntry.objects.filter(action="audit.exported").exists()


@pytest.fixture(params=["csv", "ndjson"])
def export(request, boss, log, tmp_path):
    """A file with an export of sealed entries, one that waits, and an API request."""
    AuditEntry.objects.create(action="login.failed", user_agent="=1+1\r\nä", target_id="'")
    write(3)
    audit.record(actor=None, action=AuditAction.LOGIN_FAILED)
    answer = boss.get(f"{EXPORT}?format={request.param}&lines=all")
    file = tmp_path / "export"
    file.write_bytes(answer.getvalue())
    return file


def verify(file) -> str:
    output = StringIO()
    call_command("verify_audit_export", str(file), stdout=output)
    return output.getvalue()


class TestVerification:
    def test_an_export_proves_itself(self, export):
        sealed = AuditEntry.objects.exclude(position=None).count()
        assert f"{sealed} entries are proved" in verify(export)

    @pytest.mark.parametrize(
        ("old", "new"),
        [("login.succeeded", "login.failed"), ("2001:db8::1", "2001:db8::2"), ("v-1", "v-2")],
    )
    def test_a_changed_line_is_found(self, export, old, new):
        text = export.read_bytes().decode()
        assert old in text
        export.write_bytes(text.replace(old, new, 1).encode())
        with pytest.raises(CommandError, match="Row "):
            verify(export)

    def test_a_log_that_was_changed_since_is_found(self, export, log):
        attack("UPDATE audit_auditentry SET action = 'video.deleted' WHERE position = 1")
        with pytest.raises(CommandError, match="differ from the log"):
            verify(export)

    def test_an_export_of_another_key_is_found(self, export, settings):
        settings.AUDIT_KEYS = [b"another key" * 4]
        with pytest.raises(CommandError, match="key that is not known"):
            verify(export)

    def test_an_export_outlives_the_entries(self, export, boss, tmp_path):
        """After a deletion of old entries, their exports are still proved, and so is a new one."""
        while sealing.seal():
            pass
        run("audit_checkpoint", "--output", str(tmp_path / "kept.jsonl"))
        run("audit_prune", "--before", "2026-06-01")
        assert not AuditEntry.objects.filter(at__lt="2026-06-01T00:00Z").exists()

        assert "4 of them have been deleted from the log since" in verify(export)
        answer = boss.get(f"{EXPORT}?format=ndjson")
        export.write_bytes(answer.getvalue())
        sealed = AuditEntry.objects.exclude(position=None).count()
        assert f"{sealed} entries are proved" in verify(export)

    @pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{}\n", "{", '{"id": 1}\n'])
    def test_another_file_is_refused(self, tmp_path, text):
        file = tmp_path / "other"
        file.write_text(text)
        with pytest.raises(CommandError, match="no export"):
            verify(file)
