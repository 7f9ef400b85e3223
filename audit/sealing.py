"""The sealing of entries: each gets its position and its hash, shortly after it was written."""

import logging
import time

from django.db import connection, transaction

from audit import chain, checkpoints, keys
from audit.models import AuditCheckpoint

logger = logging.getLogger(__name__)

_BATCH = 2000
_COMPLAIN_SECONDS = 60
_REFUSALS = (keys.UnknownKey, chain.BrokenEntry, checkpoints.NoCheckpoint)
_complained = float("-inf")


@transaction.atomic
def seal() -> int:
    """Add up to 2,000 waiting entries to the chain and return their number.

    A change, a removal or an insertion before the newest entry then contradicts a later hash. Safe to
    run in several processes at once. Raises UnknownKey in a process that does not have the key of the
    chain: it would otherwise break the proof. A new key begins with a checkpoint. Raises BrokenEntry if
    the newest checkpoint is forged, and NoCheckpoint.
    """
    chain.lock()
    waiting = chain.rows("id", "WHERE position IS NULL ORDER BY id LIMIT %s", [_BATCH])
    if not waiting:
        return 0
    key = keys.current()
    newest = checkpoints.newest()
    # After the newest checkpoint, also if the end of the chain was deleted: the gap must stay visible.
    position, before = max(chain.end(), chain.Place(newest.position, newest.hash))
    if keys.age(newest.key_id) > 0:
        place = chain.Place(position, before)
        checkpoints.sign(AuditCheckpoint.Reason.KEY, after=newest, place=place)
    sealed = []
    for pk, text in waiting:
        position += 1
        before = chain.entry_hash(key, before, position, text)
        sealed.append((position, before, pk))
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE audit_auditentry SET position = %s, hash = %s WHERE id = %s", sealed
        )
    return len(sealed)


def seal_in_worker() -> None:
    """Seal what waits. If that is refused, log the reason once a minute; the entries keep waiting."""
    global _complained
    try:
        seal()
    except (*_REFUSALS, *chain.WRONG_VALUE) as error:
        if time.monotonic() - _complained >= _COMPLAIN_SECONDS:
            _complained = time.monotonic()
            logger.error("Audit entries cannot be sealed, and wait: %s.", error)
