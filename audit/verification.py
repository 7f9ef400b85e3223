"""The verification of the audit log: triggers, signed checkpoints and the chain."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from audit import chain, checkpoints, keys, protection
from audit.chain import BrokenEntry
from audit.models import AuditCheckpoint, AuditEntry


@dataclass
class Report:
    """The result of a verification."""

    entries: int = 0
    begins_at: int = 1
    compared: int = 0  # checkpoints of a file that were compared with the log
    too_old: int = 0  # checkpoints of a file about entries that have been deleted since
    waiting: int = 0  # entries that are not in the chain yet
    before_proof: int = 0  # stored entries before the place where the proof begins
    broken: BrokenEntry | None = None
    missing_triggers: list[str] = field(default_factory=list)
    unknown_key: str = ""


def verify(
    against: Sequence[checkpoints.Line] = (), on_progress: chain.Progress = lambda count: None
) -> Report:
    """Verify the log, and compare it with checkpoints that were kept elsewhere. Changes nothing."""
    report = Report(missing_triggers=protection.missing("default"))
    try:
        _verify_chain(report, against, on_progress)
    except BrokenEntry as broken:
        report.broken = broken
    except checkpoints.NoCheckpoint as error:
        report.broken = BrokenEntry(0, str(error))
    except keys.UnknownKey as error:
        report.unknown_key = str(error)
    except chain.WRONG_VALUE as error:
        report.broken = BrokenEntry(0, f"a stored value is none that the service writes ({error})")
    report.waiting = AuditEntry.objects.filter(position=None).count()
    report.before_proof = AuditEntry.objects.filter(position__lt=report.begins_at).count()
    return report


def to_verify() -> int:
    """Return about how many entries `verify` will read."""
    return AuditEntry.objects.exclude(position=None).count()


def part(newest: AuditCheckpoint, upto: int, on_progress: chain.Progress) -> chain.Place:
    """Verify the entries from the beginning of the proof to ``upto``. Return the place of the last."""
    return _follow(_Plan.of(newest), upto, [], on_progress)


@dataclass
class _Plan:
    """Where the proof begins, and the stored checkpoints from there on, all with good signatures."""

    start: chain.Place
    key: keys.Key | None  # of the first entries
    checkpoints: list[AuditCheckpoint]

    @classmethod
    def of(cls, newest: AuditCheckpoint) -> "_Plan":
        start = chain.Place(newest.begins_at - 1, newest.base)
        earlier = checkpoints.stored().filter(position__lte=start.position).last()
        later = list(checkpoints.stored().filter(position__gt=start.position))
        used = [checkpoint for checkpoint in (earlier, *later) if checkpoint]
        for checkpoint in used:
            checkpoints.check_signature(checkpoint)
        for older, newer in pairwise(used):
            if keys.age(newer.key_id) > keys.age(older.key_id):
                raise BrokenEntry(
                    newer.position,
                    f"the checkpoint of entry {newer.position} is signed with a key that had been"
                    " replaced before: somebody uses an old key",
                )
        return cls(start, keys.find(earlier.key_id) if earlier else None, later)


def _verify_chain(
    report: Report, against: Sequence[checkpoints.Line], on_progress: chain.Progress
) -> None:
    newest = checkpoints.newest()
    report.begins_at = newest.begins_at
    if keys.age(newest.key_id) > 0:
        raise BrokenEntry(
            newest.position,
            "the newest checkpoint is signed with an earlier key. If you have just changed the key,"
            " run `manage.py audit_checkpoint` once; otherwise somebody uses the earlier key",
        )
    plan = _Plan.of(newest)
    known = [line for line in against if line.checkpoint.position >= plan.start.position]
    report.too_old = len(against) - len(known)
    end = _follow(plan, None, known, on_progress)
    report.entries = end.position - plan.start.position
    report.compared = len(known)


def _follow(
    plan: _Plan,
    upto: int | None,
    against: Sequence[checkpoints.Line],
    on_progress: chain.Progress,
) -> chain.Place:
    """Verify the entries in sections from one checkpoint to the next. Return the last place."""
    lines = [(line.checkpoint, line.origin) for line in against]
    stops = [(checkpoint, "") for checkpoint in plan.checkpoints] + lines
    stops.sort(key=lambda stop: (stop[0].position, stop[0].at))
    place, key, log_end = plan.start, plan.key, chain.end().position
    for checkpoint, origin in stops:
        if upto is not None and checkpoint.position > upto:
            break
        told = origin or "a stored checkpoint"
        try:
            place = chain.follow(place, key, checkpoint.position, on_progress)
        except BrokenEntry as broken:
            if broken.position > log_end:
                sentence = checkpoints.missing_tail(broken.position - 1, checkpoint, told)
                raise BrokenEntry(broken.position, sentence) from None
            raise
        if place.hash != checkpoint.hash:
            raise BrokenEntry(
                checkpoint.position,
                f"entry {checkpoint.position} differs from {told} of"
                f" {checkpoint.at:%Y-%m-%d %H:%M} UTC: entries were changed and sealed again, or"
                " this is another database",
            )
        if not origin:
            key = keys.find(checkpoint.key_id)
    return chain.follow(place, key, upto, on_progress)
