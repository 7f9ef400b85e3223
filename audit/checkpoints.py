"""Signed checkpoints: what the chain was at one moment, to be kept where no attacker reaches it.

A checkpoint is one line of JSON with a signature (HMAC-SHA256). Whoever can write to the database can
delete entries together with the stored checkpoints, but cannot change a copy that is kept elsewhere, and
cannot sign another one.
"""

import hmac
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit import chain, keys
from audit.models import AuditCheck, AuditCheckpoint, AuditEntry

logger = logging.getLogger(__name__)

VERSION = 1
_FIELDS = {
    "version": int, "position": int, "hash": str, "begins_at": int, "base": str, "entries": int,
    "reason": str, "at": str, "key_id": str,
}  # fmt: skip


class NoCheckpoint(Exception):
    """The log has no signed checkpoint, not even the one that `migrate` makes."""

    def __init__(self) -> None:
        super().__init__(
            "the audit log has no signed checkpoint: `manage.py migrate` has not run, or somebody has"
            " deleted the checkpoints. Compare the log with a checkpoint that is kept elsewhere"
            " (verify_audit --against FILE); then `manage.py audit_checkpoint --restart` begins anew"
        )


class WrongLine(Exception):
    """A line of a file that is no checkpoint, or whose signature is wrong; the text says why."""


@dataclass(frozen=True)
class Line:
    """A checkpoint that was read from a file, and its place there."""

    checkpoint: AuditCheckpoint
    origin: str


def stored() -> QuerySet[AuditCheckpoint]:
    """Return the checkpoints since the last restart in their order. Their signatures are not verified.

    Earlier ones belong to a log that is no longer verified. Only who has a key can sign a restart.
    """
    restarts = AuditCheckpoint.objects.filter(reason=AuditCheckpoint.Reason.RESTART)
    first = next((restart.pk for restart in restarts.order_by("-pk") if _is_signed(restart)), 0)
    return AuditCheckpoint.objects.filter(pk__gte=first).order_by("position", "at")


def newest() -> AuditCheckpoint:
    """Return the newest stored checkpoint. Raises NoCheckpoint, UnknownKey, or BrokenEntry if forged."""
    found = stored().last()
    if found is None:
        raise NoCheckpoint
    check_signature(found)
    return found


def make(on_progress: chain.Progress = lambda count: None) -> AuditCheckpoint:
    """Verify the entries since the newest checkpoint, then sign and store a new one.

    Returns the newest one if no entry was sealed since. Raises BrokenEntry, UnknownKey or NoCheckpoint
    and signs nothing.
    """
    last = newest()
    end = chain.end().position
    if last.begins_at <= last.position and end < last.position:
        raise chain.BrokenEntry(end + 1, missing_tail(end, last))
    key = keys.find(last.key_id)
    place = chain.follow(chain.Place(last.position, last.hash), key, None, on_progress)
    with transaction.atomic():
        chain.lock()
        if newest().pk != last.pk:  # another process has just made one
            return newest()
        place = chain.follow(place, key, None, on_progress)  # the entries of this moment
        if keys.age(last.key_id) > 0:
            return sign(AuditCheckpoint.Reason.KEY, after=last, place=place)
        if place.position == last.position:
            return last
        return sign(AuditCheckpoint.Reason.PERIODIC, after=last, place=place)


def restart() -> AuditCheckpoint:
    """Begin a new proof at the end of the chain, with the current key.

    It is for a log whose key is lost, or that was found broken: earlier entries stay, but are no longer
    verified.
    """
    with transaction.atomic():
        chain.lock()
        place = chain.end()
        for last in stored():
            if last.position > place.position and _is_signed(last):
                place = chain.Place(last.position, last.hash)
        return _store(
            AuditCheckpoint.Reason.RESTART,
            place=place,
            begins_at=place.position + 1,
            base=place.hash,
        )


def begin() -> AuditCheckpoint | None:
    """Sign the first checkpoint of a log without entries and without checkpoints, after `migrate`."""
    if AuditCheckpoint.objects.exists() or AuditEntry.objects.exclude(position=None).exists():
        return None
    return _store(AuditCheckpoint.Reason.BEGIN, place=chain.START, begins_at=1, base=chain.GENESIS)


def sign(
    reason: AuditCheckpoint.Reason,
    *,
    after: AuditCheckpoint,
    place: chain.Place | None = None,
    base: chain.Place | None = None,
) -> AuditCheckpoint:
    """Sign and store a checkpoint of ``place``, which is the end of the chain if it is not given.

    The proof begins where it began in ``after``, or after the entry ``base``.
    """
    return _store(
        reason,
        place=place or chain.end(),
        begins_at=base.position + 1 if base else after.begins_at,
        base=base.hash if base else after.base,
    )


def check_signature(checkpoint: AuditCheckpoint) -> None:
    """Raise BrokenEntry if the signature is wrong, and UnknownKey if it cannot be verified."""
    key = keys.find(checkpoint.key_id)
    if not _matches(checkpoint, key):
        raise chain.BrokenEntry(
            checkpoint.position,
            f"the stored checkpoint of entry {checkpoint.position} is forged: its signature is wrong",
        )


def _is_signed(checkpoint: AuditCheckpoint) -> bool:
    """Return whether a checkpoint is signed with a key of this process."""
    try:
        check_signature(checkpoint)
    except (chain.BrokenEntry, keys.UnknownKey):
        return False
    return True


def as_line(checkpoint: AuditCheckpoint) -> str:
    """Return a checkpoint as one line of JSON."""
    return json.dumps({**_content(checkpoint), "signature": checkpoint.signature})


def read(path: Path) -> list[Line]:
    """Read a file of checkpoints, a line each; it may also be cut from the worker's log.

    Raises WrongLine, also for a file without any.
    """
    lines = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise WrongLine(f"{path} cannot be read: {reason}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            origin = f"line {number} of {path}"
            lines.append(Line(_parsed(line[max(0, line.find("{")) :], origin), origin))
    if not lines:
        raise WrongLine(f"{path} contains no checkpoint")
    return lines


def append(path: Path, checkpoint: AuditCheckpoint) -> None:
    """Add a checkpoint to a file as a line of its own. Raises OSError."""
    with path.open("a", encoding="utf-8") as file:
        file.write(as_line(checkpoint) + "\n")


def make_hourly() -> None:
    """Make a checkpoint, log it, and add it to AUDIT_CHECKPOINT_FILE. For the worker.

    A chain that is broken is an error in the log, every hour until a person has looked, and `AuditCheck`
    says so to `GET /metrics`.
    """
    before = AuditCheckpoint.objects.order_by("pk").last()
    try:
        checkpoint = make()
    except (chain.BrokenEntry, keys.UnknownKey, NoCheckpoint) as error:
        logger.error("The audit log cannot be proved: %s. Run `manage.py verify_audit`.", error)
        _note_check(str(error))
        return
    _note_check("")
    if before and before.pk == checkpoint.pk:
        return
    logger.info("Audit checkpoint: %s", as_line(checkpoint))
    if settings.AUDIT_CHECKPOINT_FILE:
        try:
            append(Path(settings.AUDIT_CHECKPOINT_FILE), checkpoint)
        except OSError as error:
            logger.error("AUDIT_CHECKPOINT_FILE cannot be written: %s.", error)


def _note_check(reason: str) -> None:
    found = {"at": timezone.now(), "reason": reason[:500]}
    AuditCheck.objects.update_or_create(pk=AuditCheck.ONLY, defaults=found)


def missing_tail(end: int, checkpoint: AuditCheckpoint, origin: str = "a stored checkpoint") -> str:
    """Return the sentence about a log that ends before a checkpoint's entry."""
    count = checkpoint.position - end
    return (
        f"the log ends at entry {end}, but {origin} of {checkpoint.at:%Y-%m-%d %H:%M} UTC covers"
        f" entry {checkpoint.position}: the last {count} entries were deleted, or this database is"
        " an older copy"
    )


def _store(
    reason: AuditCheckpoint.Reason, *, place: chain.Place, begins_at: int, base: str
) -> AuditCheckpoint:
    key = keys.current()
    checkpoint = AuditCheckpoint(
        at=timezone.now(), reason=reason, position=place.position, hash=place.hash,
        begins_at=begins_at, base=base, key_id=key.id,
    )  # fmt: skip
    checkpoint.signature = signature(checkpoint, key)
    checkpoint.save(force_insert=True)
    return checkpoint


def _content(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    return {
        "version": VERSION,
        "position": checkpoint.position,
        "hash": checkpoint.hash,
        "entries": checkpoint.position - checkpoint.begins_at + 1,
        "begins_at": checkpoint.begins_at,
        "base": checkpoint.base,
        "reason": str(checkpoint.reason),
        "at": checkpoint.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "key_id": checkpoint.key_id,
    }


def signature(checkpoint: AuditCheckpoint, key: keys.Key) -> str:
    """Return the right signature of a checkpoint."""
    text = json.dumps(_content(checkpoint), sort_keys=True)
    return hmac.digest(key.checkpoint, text.encode(), "sha256").hex()


def _matches(checkpoint: AuditCheckpoint, key: keys.Key) -> bool:
    given = str(checkpoint.signature).encode("utf-8", "replace")
    return hmac.compare_digest(signature(checkpoint, key).encode(), given)


def _parsed(line: str, origin: str) -> AuditCheckpoint:
    """Return the checkpoint of a line with its signature verified. Raises WrongLine."""
    try:
        found = json.loads(line)
        whole = isinstance(found, dict) and all(
            type(found.get(name)) is kind for name, kind in {**_FIELDS, "signature": str}.items()
        )
        if not whole or found["version"] != VERSION:
            raise ValueError
        checkpoint = AuditCheckpoint(
            **{name: found[name] for name in _FIELDS if name not in {"version", "entries", "at"}},
            at=datetime.fromisoformat(found["at"]).astimezone(UTC),
            signature=found["signature"],
        )
        key = keys.find(checkpoint.key_id)
    except (ValueError, OverflowError, RecursionError):
        raise WrongLine(f"{origin} is no checkpoint of this version") from None
    except keys.UnknownKey as error:
        raise WrongLine(f"{origin}: {error}") from None
    if not _matches(checkpoint, key):
        raise WrongLine(f"{origin} was changed: its signature is wrong")
    return checkpoint
