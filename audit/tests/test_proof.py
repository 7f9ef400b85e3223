"""An attacker with SQL cannot change the log unseen: keyed entries, and checkpoints kept elsewhere."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from audit import chain, checkpoints, keys, sealing, unkeyed, verification
from audit.models import AuditCheckpoint, AuditEntry
from audit.protection import CHECKPOINTS, ENTRIES
from audit.tests.log import attack, record, refusal, run, sql, write
from config import append_only, env

pytestmark = pytest.mark.django_db

NEW_KEY = env.derived_key("a key that nobody else has, 93kd", "audit")


@pytest.fixture
def kept(tmp_path) -> str:
    """400 entries, and a file with their checkpoint that is kept elsewhere."""
    write(400)
    run("audit_checkpoint", "--output", str(tmp_path / "kept.jsonl"))
    return str(tmp_path / "kept.jsonl")


def unseal(after: int) -> str:
    return f"UPDATE {ENTRIES} SET position = NULL, hash = NULL WHERE position > {after}"  # noqa: S608


DELETE_TAIL = f"DELETE FROM {ENTRIES} WHERE position > 100"  # noqa: S608
FORGET = f"DELETE FROM {CHECKPOINTS} WHERE position > 0"  # noqa: S608
FORGET_ALL = f"DELETE FROM {CHECKPOINTS}"  # noqa: S608
DELETE_ALL = f"DELETE FROM {ENTRIES}"  # noqa: S608
CHANGE_TAIL = f"UPDATE {ENTRIES} SET path = '/innocent' WHERE position > 100"  # noqa: S608


def test_an_untouched_log_agrees_with_its_checkpoints(kept):
    write(10)
    run("audit_checkpoint", "--output", kept)
    write(10)

    assert run("verify_audit", "--against", kept) == (
        "420 entries, one unbroken chain. 2 checkpoints of the file agree with it.\n"
    )


def test_a_deleted_tail_is_found_without_a_file(kept):
    attack(DELETE_TAIL)

    text = refusal("verify_audit")

    assert "broken at position 101: the log ends at entry 100" in text
    assert (
        "covers entry 400: the last 300 entries were deleted, or this database is an older" in text
    )


def test_a_deleted_tail_stays_found_when_the_log_goes_on(kept):
    attack(DELETE_TAIL)
    write(400)

    assert "position 101: entry 101 is missing, and later entries exist" in refusal("verify_audit")


@pytest.mark.parametrize(
    ("statements", "more", "sentence"),
    [
        ((DELETE_TAIL, FORGET), 0, "the last 300 entries were deleted"),
        ((DELETE_TAIL, FORGET), 250, "the last 50 entries were deleted"),
        ((DELETE_TAIL, FORGET), 500, "position 400: entry 400 differs from line 1 of"),
        # The attacker lets the worker seal changed entries with the right key.
        ((CHANGE_TAIL, unseal(100), FORGET), 0, "position 400: entry 400 differs from line 1 of"),
        ((CHANGE_TAIL, unseal(0), FORGET), 0, "position 400: entry 400 differs from line 1 of"),
        ((DELETE_ALL, FORGET), 0, "the last 400 entries were deleted"),
        ((DELETE_ALL, FORGET), 500, "position 400: entry 400 differs from line 1 of"),
    ],
    ids=["tail", "tail and some new ones", "tail and many new ones", "sealed again",
         "all sealed again", "all", "another database"],
)  # fmt: skip
def test_what_the_database_hides_the_file_shows(kept, statements, more, sentence):
    attack(*statements)
    record(more)
    while sealing.seal():
        pass
    assert refusal("verify_audit") == ""  # nobody could see it without the file

    assert sentence in refusal("verify_audit", "--against", kept)


def test_deleted_checkpoints_are_found_and_nothing_makes_new_ones(kept):
    attack(FORGET_ALL)

    assert "has no signed checkpoint" in refusal("verify_audit")
    call_command("migrate", verbosity=0)
    assert "has no signed checkpoint" in refusal("verify_audit")
    assert "Nothing was signed" in refusal("audit_checkpoint")
    record()
    with pytest.raises(checkpoints.NoCheckpoint), transaction.atomic():
        sealing.seal()
    assert not AuditCheckpoint.objects.exists()


@pytest.mark.parametrize("forgotten", [(), (FORGET,), (FORGET_ALL,)])
def test_hashes_recomputed_without_the_key_are_found(kept, forgotten):
    """The attacker uses the unkeyed format, which older logs have, for every entry."""
    attack(CHANGE_TAIL, *forgotten)
    for table in (ENTRIES, CHECKPOINTS):
        append_only.release("default", table)
    before = chain.GENESIS
    for entry in AuditEntry.objects.order_by("position"):
        entry.hash = before = unkeyed.entry_hash(entry, before)
        entry.save(update_fields=["hash"])
    attack()

    found = (
        "has no signed checkpoint"
        if forgotten == (FORGET_ALL,)
        else "broken at position 1: entry 1"
    )
    assert found in refusal("verify_audit")


@pytest.mark.parametrize(
    ("column", "value"),
    [("position", 350), ("begins_at", 5), ("hash", "f" * 64), ("base", "f" * 64), ("reason", "prune"),
     ("at", "2026-01-01 00:00:00+00:00"), ("signature", "f" * 64), ("signature", "é"),
     ("key_id", "0123456789abcdef")],
)  # fmt: skip
def test_a_changed_checkpoint_is_found(kept, column, value):
    for table in (ENTRIES, CHECKPOINTS):
        append_only.release("default", table)
    sql(f"UPDATE {CHECKPOINTS} SET {column} = %s WHERE position = 400", value)  # noqa: S608
    attack()

    text = refusal("verify_audit")

    assert "which is not in the settings" in text if column == "key_id" else "is forged" in text


def test_a_forged_checkpoint_lets_entries_be_deleted_but_not_unseen(kept):
    sql(
        f"INSERT INTO {CHECKPOINTS} (at, reason, position, hash, begins_at, base, key_id, signature)"  # noqa: S608
        f" SELECT at, 'prune', position, hash, 301, hash, key_id, signature FROM {CHECKPOINTS}"
        " WHERE position = 400"
    )
    sql(f"DELETE FROM {ENTRIES} WHERE position <= 300")  # noqa: S608

    assert "is forged" in refusal("verify_audit")
    attack(f"DELETE FROM {CHECKPOINTS} WHERE reason = 'prune'")  # noqa: S608
    assert "position 1: entry 1 is missing" in refusal("verify_audit")


def test_a_repeated_checkpoint_does_no_harm(kept):
    sql(
        f"INSERT INTO {CHECKPOINTS} (at, reason, position, hash, begins_at, base, key_id, signature)"  # noqa: S608
        f" SELECT at, reason, position, hash, begins_at, base, key_id, signature FROM {CHECKPOINTS}"
    )
    write(5)

    assert refusal("verify_audit", "--against", kept) == ""


def test_an_entry_with_a_position_that_exists_is_found(kept):
    attack(f"UPDATE {ENTRIES} SET position = 300 WHERE position = 301")  # noqa: S608

    assert "there are two entries 300" in refusal("verify_audit")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has strict types")
@pytest.mark.parametrize("table", [ENTRIES, CHECKPOINTS])
@pytest.mark.parametrize("value", ["'abc'", "x'ff'", "1.5", "9223372036854775807"])
def test_a_value_of_a_wrong_type_is_a_sentence(kept, table, value):
    attack(f"UPDATE {table} SET position = {value} WHERE position = 400")  # noqa: S608

    assert "The audit log is broken" in refusal("verify_audit")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has strict types")
def test_a_checkpoint_with_a_time_that_is_none_is_a_sentence(kept, monkeypatch, caplog):
    attack(f"UPDATE {CHECKPOINTS} SET at = 'zz'")  # noqa: S608
    monkeypatch.setattr(sealing, "_complained", float("-inf"))

    assert "The audit log is broken" in refusal("verify_audit")
    for _ in range(3):
        sealing.seal_in_worker()
    assert len(caplog.records) <= 1


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has strict types")
@pytest.mark.parametrize(
    "change",
    ["user_agent = user_agent || char(0) || 'x'", "path = x'2f'", "ip = ''", "status = '200'",
     "at = 'yesterday'", "data = '{\"number\":299}'", "hash = x'00'", "id = id || ' '"],
)  # fmt: skip
def test_a_change_that_only_sqlite_allows_is_found(kept, change):
    attack(f"UPDATE {ENTRIES} SET {change} WHERE position = 300")  # noqa: S608

    assert "The audit log is broken" in refusal("verify_audit")


@pytest.mark.parametrize(
    "change",
    ["method = 'P', path = 'ATCH' || path", "target_type = 'a,b', target_id = ''", "path = path || ' '",
     "user_agent = '\"', request_id = ','", "method = path, path = method"],
)  # fmt: skip
def test_a_text_that_moves_to_the_next_column_is_found(change):
    record(3)
    AuditEntry.objects.create(action="video.changed", method="PATCH", path="/x", target_type="a")
    while sealing.seal():
        pass
    attack(f"UPDATE {ENTRIES} SET {change} WHERE position = 4")  # noqa: S608

    assert "broken at position 4" in refusal("verify_audit")


# --- triggers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [ENTRIES, CHECKPOINTS])
def test_dropped_triggers_are_named(kept, table):
    append_only.release("default", table)

    text = refusal("verify_audit")

    assert f"{table}_no_update" in text
    assert f"{table}_no_delete" in text
    assert "missing, disabled or changed" in text


def test_a_trigger_that_does_nothing_is_named(kept):
    if connection.vendor == "sqlite":
        sql(f"DROP TRIGGER {ENTRIES}_no_delete")
        sql(f"CREATE TRIGGER {ENTRIES}_no_delete BEFORE DELETE ON {ENTRIES} BEGIN SELECT 1; END")
    else:
        sql(f"DROP TRIGGER {ENTRIES}_no_delete ON {ENTRIES}")
        sql(
            f"CREATE TRIGGER {ENTRIES}_no_delete BEFORE DELETE ON {ENTRIES} FOR EACH ROW"
            f" WHEN (OLD.position < 0) EXECUTE FUNCTION {ENTRIES}_refuse()"
        )

    assert f"{ENTRIES}_no_delete" in refusal("verify_audit")
    assert f"{ENTRIES}_no_update" not in refusal("verify_audit")


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite cannot do this")
@pytest.mark.parametrize(
    "statement",
    [
        f"ALTER TABLE {ENTRIES} DISABLE TRIGGER ALL",
        f"ALTER TABLE {ENTRIES}_default DISABLE TRIGGER ALL",
        f"ALTER TABLE {ENTRIES} ENABLE REPLICA TRIGGER {ENTRIES}_no_delete",
        f"DROP TRIGGER {ENTRIES}_no_truncate ON {ENTRIES}_default",
        f"CREATE OR REPLACE FUNCTION {ENTRIES}_refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN OLD; END $$",
    ],
)
def test_a_disabled_trigger_is_named(kept, statement):
    sql(statement)

    assert "missing, disabled or changed" in refusal("verify_audit")
    call_command("migrate", verbosity=0)
    assert refusal("verify_audit") == ""


# --- keys ---------------------------------------------------------------------------------------


def test_a_new_key_begins_with_a_checkpoint(kept, settings):
    old = settings.AUDIT_KEYS
    settings.AUDIT_KEYS = [NEW_KEY, *old]
    write(20)

    assert refusal("verify_audit", "--against", kept) == ""
    newest = checkpoints.newest()
    assert (newest.reason, newest.position, newest.key_id) == ("key", 400, keys.current().id)

    settings.AUDIT_KEYS = [NEW_KEY]
    assert "which is not in the settings of this process" in refusal("verify_audit")
    settings.AUDIT_KEYS = old
    assert "which is not in the settings of this process" in refusal("verify_audit")


def test_a_process_without_the_key_seals_nothing(kept, settings, monkeypatch, caplog):
    settings.AUDIT_KEYS = [NEW_KEY]
    record(3)

    with pytest.raises(keys.UnknownKey), transaction.atomic():
        sealing.seal()
    monkeypatch.setattr(sealing, "_complained", float("-inf"))
    sealing.seal_in_worker()
    sealing.seal_in_worker()
    (message,) = caplog.messages
    assert message.startswith(
        "Audit entries cannot be sealed, and wait: the audit log is sealed with"
    )

    assert "If the key is lost, --restart begins a new proof" in refusal("audit_checkpoint")
    assert AuditEntry.objects.filter(position=None).count() == 3
    assert AuditCheckpoint.objects.count() == 2


def test_an_earlier_key_cannot_come_back(kept, settings):
    old = settings.AUDIT_KEYS
    settings.AUDIT_KEYS = [NEW_KEY, *old]
    write(20)
    settings.AUDIT_KEYS = [*old, NEW_KEY]  # an attacker with the earlier key
    write(20)
    settings.AUDIT_KEYS = [NEW_KEY, *old]

    assert "signed with an earlier key" in refusal("verify_audit")
    write(1)
    assert "with a key that had been replaced before" in refusal("verify_audit")


def test_a_lost_key_ends_with_a_restart(kept, settings):
    settings.AUDIT_KEYS = [NEW_KEY]

    run("audit_checkpoint", "--restart")
    write(5)

    text = run("verify_audit")
    assert "5 entries, one unbroken chain." in text
    assert "400 stored entries lie before entry 401" in text
    assert "which is not in the settings of this process" in refusal(
        "verify_audit", "--against", kept
    )


def test_a_broken_log_is_not_signed_and_goes_on_after_a_restart(kept):
    write(10)
    attack(f"UPDATE {ENTRIES} SET path = '/x' WHERE position = 405")  # noqa: S608

    assert "broken at position 405" in refusal("audit_checkpoint")
    checkpoints.make_hourly()
    assert AuditCheckpoint.objects.count() == 2

    run("audit_checkpoint", "--restart")
    write(5)
    assert "5 entries, one unbroken chain." in run("verify_audit")
    assert "No checkpoint of the file could be compared" in refusal(
        "verify_audit", "--against", kept
    )


def test_a_restart_gets_past_forged_checkpoints(kept):
    sql(
        f"INSERT INTO {CHECKPOINTS} (at, reason, position, hash, begins_at, base, key_id, signature)"  # noqa: S608
        f" SELECT at, 'restart', 999, hash, 999, base, key_id, signature FROM {CHECKPOINTS}"
    )
    assert "is forged" in refusal("verify_audit")

    run("audit_checkpoint", "--restart")
    write(5)

    assert "5 entries, one unbroken chain." in run("verify_audit")


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda line: line.replace('"position": 400', '"position": 100'), "its signature is wrong"),
        (lambda line: json.dumps({**json.loads(line), "signature": "é\ud800"}), "is wrong"),
        (lambda line: json.dumps({**json.loads(line), "at": "yesterday"}), "is no checkpoint"),
        (lambda line: json.dumps({**json.loads(line), "position": True}), "is no checkpoint"),
        (lambda line: json.dumps({**json.loads(line), "position": 10**30}), "is wrong"),
        (lambda line: json.dumps({**json.loads(line), "version": 2}), "is no checkpoint"),
        (lambda line: json.dumps({**json.loads(line), "key_id": "é"}), "not in the settings"),
        (lambda line: line[:-5], "is no checkpoint"),
        (lambda line: "[" * 100_000, "is no checkpoint"),
        (lambda line: "[]", "is no checkpoint"),
        (lambda line: "\n\n", "contains no checkpoint"),
        (lambda line: "\x00", "is no checkpoint"),
    ],
)
def test_a_file_that_was_changed_is_a_sentence(kept, tmp_path, change, sentence):
    file = tmp_path / "changed.jsonl"
    file.write_text(change((tmp_path / "kept.jsonl").read_text()), "utf-8", "surrogatepass")

    assert sentence in refusal("verify_audit", "--against", str(file))


def test_files_that_cannot_be_read_or_written_are_a_sentence(kept, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    assert "cannot be read: it is no text" in refusal(
        "verify_audit", "--against", f"{tmp_path}/binary"
    )
    assert "cannot be read: Is a directory" in refusal("verify_audit", "--against", str(tmp_path))
    assert "cannot be read: No such file" in refusal("verify_audit", "--against", f"{tmp_path}/no")
    assert "cannot be written: Is a dir" in refusal("audit_checkpoint", "--output", str(tmp_path))


def test_the_worker_adds_its_checkpoints_to_a_file(tmp_path, settings):
    settings.AUDIT_CHECKPOINT_FILE = str(tmp_path / "hourly.jsonl")
    for _ in range(3):
        write(5)
        checkpoints.make_hourly()
        checkpoints.make_hourly()  # nothing new

    assert len((tmp_path / "hourly.jsonl").read_text().splitlines()) == 3
    assert refusal("verify_audit", "--against", settings.AUDIT_CHECKPOINT_FILE) == ""


def test_lines_of_the_worker_log_are_a_file(kept, tmp_path, caplog):
    write(5)
    with caplog.at_level("INFO"):
        checkpoints.make_hourly()
    line = next(text for text in caplog.messages if "Audit checkpoint" in text)
    (tmp_path / "log").write_text(f"2026-11-26 21:00:00 INFO audit.checkpoints [-] {line}\n")

    assert "1 checkpoints of the file agree" in run("verify_audit", "--against", f"{tmp_path}/log")


def test_a_verification_changes_nothing(kept):
    record(3)
    before = list(AuditEntry.objects.values()), list(AuditCheckpoint.objects.values())

    assert "3 entries wait to be sealed" in run("verify_audit", "--against", kept)

    assert before == (list(AuditEntry.objects.values()), list(AuditCheckpoint.objects.values()))


def test_pages_are_followed_over_their_edges(kept, monkeypatch):
    monkeypatch.setattr(chain, "PAGE", 7)
    assert verification.verify().entries == 400
    attack(f"DELETE FROM {ENTRIES} WHERE position = 14")  # noqa: S608
    assert "entry 14 is missing" in refusal("verify_audit")
    assert timezone.now() - AuditCheckpoint.objects.latest("at").at < timedelta(minutes=5)
