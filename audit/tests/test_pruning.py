"""Old entries can go once a signed checkpoint covers them; the proof of the others stays."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audit import chain, checkpoints, partitions, protection, pruning, sealing
from audit.models import AuditCheckpoint, AuditEntry
from audit.protection import CHECKPOINTS, ENTRIES
from audit.tests.log import attack, record, refusal, run, sql, write

pytestmark = pytest.mark.django_db

OLD, DAY = datetime(2026, 3, 5, tzinfo=UTC), "2026-06-01"


def write_old(count: int, at: datetime = OLD) -> None:
    """Write entries of an earlier day."""
    start = partitions.first_id(at).int + AuditEntry.objects.count()
    AuditEntry.objects.bulk_create(
        AuditEntry(id=UUID(int=start + number), at=at, action="login.failed")
        for number in range(count)
    )
    while sealing.seal():
        pass


@pytest.fixture
def kept(tmp_path) -> str:
    """60 entries of March, 40 of today, and a file with a checkpoint of each part."""
    file = str(tmp_path / "kept.jsonl")
    write_old(60)
    run("audit_checkpoint", "--output", file)
    write(40)
    run("audit_checkpoint", "--output", file)
    return file


def positions() -> list[int | None]:
    return list(AuditEntry.objects.order_by("position").values_list("position", flat=True))


def test_old_entries_go_and_the_proof_stays(kept):
    assert "60 entries were deleted. The proof now begins at entry 61." in run(
        "audit_prune", "--before", DAY
    )

    assert positions() == list(range(61, 101))
    write(10)
    # The checkpoint of entry 60 is compared with the place where the proof begins now.
    assert run("verify_audit", "--against", kept) == (
        "50 entries, one unbroken chain. 2 checkpoints of the file agree with it.\n"
    )
    attack(f"DELETE FROM {ENTRIES} WHERE position = 61")  # noqa: S608
    assert "entry 61 is missing" in refusal("verify_audit")


def test_pruning_twice_deletes_nothing_more(kept):
    run("audit_prune", "--before", DAY)
    before = AuditCheckpoint.objects.count()

    assert "Nothing was deleted" in run("audit_prune", "--before", DAY)
    assert (len(positions()), AuditCheckpoint.objects.count()) == (40, before)


def test_all_entries_can_go_and_the_log_goes_on(kept):
    pruning.prune(timezone.now())

    assert positions() == []
    assert refusal("verify_audit") == ""
    write(3)
    assert positions() == [101, 102, 103]
    assert (
        refusal("verify_audit", "--against", kept) == ""
    )  # its entry 100 is where the proof begins


def test_an_interrupted_deletion_is_finished_by_the_next(kept, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pruning, "_delete_pruned", lambda: 0)
        run("audit_prune", "--before", DAY)
    assert "60 stored entries lie before entry 61" in run("verify_audit")

    assert "60 entries were deleted" in run("audit_prune", "--before", DAY)
    assert positions() == list(range(61, 101))


def test_a_broken_log_is_not_pruned(kept):
    attack(f"UPDATE {ENTRIES} SET path = '/x' WHERE position = 30")  # noqa: S608

    assert "broken at position 30" in refusal("audit_prune", "--before", DAY)
    assert len(positions()) == 100


def test_changed_times_do_not_make_the_service_delete_evidence(kept, settings):
    """Somebody with SQL makes all entries old, so that the worker would delete them."""
    settings.AUDIT_KEEP_DAYS = 30
    attack(f"UPDATE {ENTRIES} SET at = '2020-01-01 00:00:00+00:00'")  # noqa: S608

    with pytest.raises(chain.BrokenEntry):
        pruning.prune_by_setting()

    assert len(positions()) == 100


def test_the_database_lets_only_covered_entries_go(kept):
    record(1)
    run("audit_prune", "--before", DAY)
    for condition in ("position > 60", "position IS NULL", "position = 61"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            sql(f"DELETE FROM {ENTRIES} WHERE {condition}")  # noqa: S608
    for statement in (f"UPDATE {CHECKPOINTS} SET begins_at = 90", f"DELETE FROM {CHECKPOINTS}"):  # noqa: S608
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            sql(statement)

    assert len(positions()) == 41


def test_the_worker_prunes_by_the_setting(kept, settings):
    pruning.prune_by_setting()
    assert len(positions()) == 100  # 0 keeps for ever

    settings.AUDIT_KEEP_DAYS = 30
    pruning.prune_by_setting()
    pruning.prune_by_setting()

    assert positions() == list(range(61, 101))
    assert AuditCheckpoint.objects.filter(reason="prune").count() == 1
    assert refusal("verify_audit", "--against", kept) == ""


def test_a_key_that_came_after_the_pruned_entries_is_used_in_its_place(kept, settings):
    """The prune checkpoint is signed with a newer key than the first entries that stay."""
    settings.AUDIT_KEYS = [b"k" * 32, *settings.AUDIT_KEYS]
    write(20)

    run("audit_prune", "--before", DAY)

    assert "60 entries, one unbroken chain" in run("verify_audit", "--against", kept)


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "", "9999-12-31", "20260101T"])
def test_a_wrong_date_is_a_sentence(kept, text):
    assert f"--before {text}: " in refusal("audit_prune", "--before", text)
    assert len(positions()) == 100


def test_months_follow_each_other_over_the_end_of_a_year():
    dates = [
        f"{month:%Y-%m-%d}" for month in partitions.months(datetime(2026, 11, 30, tzinfo=UTC), 3)
    ]

    assert dates == ["2026-11-01", "2026-12-01", "2027-01-01"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no partitions")
class TestPartitions:
    def test_entries_lie_in_the_partition_of_their_month(self, kept):
        month = partitions.name_of(timezone.now())
        assert sql(f"SELECT count(*) FROM {month}") == [(40,)]  # noqa: S608
        assert sql(f"SELECT count(*) FROM {ENTRIES}_default") == [(60,)]  # noqa: S608

    def test_a_month_is_dropped_whole(self):
        assert partitions._make("default", datetime(2026, 3, 1, tzinfo=UTC))
        protection.install("default")
        write_old(60)
        write(5)
        name = partitions.name_of(OLD)
        assert sql(f"SELECT count(*) FROM {name}") == [(60,)]  # noqa: S608
        assert refusal("verify_audit") == ""  # the new partitions have their triggers

        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            sql(f"TRUNCATE {name}")
        assert "60 entries were deleted" in run("audit_prune", "--before", DAY)

        assert name not in dict(partitions.existing_partitions())
        assert "5 entries, one unbroken chain" in run("verify_audit")

    def test_a_month_that_began_in_the_default_partition_stays_there(self, monkeypatch, caplog):
        later = timezone.now() + timedelta(days=200)
        write_old(3, at=later)
        monkeypatch.setattr(timezone, "now", lambda: later)

        partitions.make_ahead()
        write_old(3, at=later)

        assert f"The partition {partitions.name_of(later)} cannot be made" in caplog.text
        assert sql(f"SELECT count(*) FROM {ENTRIES}_default") == [(6,)]  # noqa: S608
        assert refusal("verify_audit") == ""
        assert checkpoints.newest().reason == "begin"
