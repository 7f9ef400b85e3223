"""How a job is claimed: what a claim changes, and the statement that finds and claims on PostgreSQL."""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

if TYPE_CHECKING:
    from videos.models import ProcessingJob

# Jobs that a claim looks at. With more workers than this, claiming at one instant, the last of them
# find nothing, and look again a second later.
LOOKED_AT = 32


def changes(worker: str, lease: timedelta) -> dict[str, Any]:
    """Return what a claim by ``worker`` changes in the row of a job."""
    return {
        "state": "running",
        "worker": worker,
        # Counted before the work, so that a job that kills its worker is counted as well.
        "attempt": F("attempt") + 1,
        "fence": F("fence") + 1,
        "lease_until": Now() + lease,
        "started_at": Now(),
        "dispatched_at": None,
        "step": "",
        "percent": 0,
        "error_code": "",
        "error_detail": "",
    }


# The order is that of ``ProcessingJobQuerySet.in_turns``, and a test holds both together. The cost does
# not grow with the number of jobs: ``front`` steps through the index from one creator to the next, and
# of each creator only the oldest waiting jobs are read. Whoever else claims at this moment has locked
# what it claims: SKIP LOCKED passes over it. A row that changed meanwhile is checked again before it is
# taken. MATERIALIZED and CASE keep the planner to this way when it knows little about the table: it
# would count what each creator runs once more for each pair of jobs.
_CLAIM_FIRST = """
WITH RECURSIVE front AS (
    (SELECT stage, creator_id FROM videos_processingjob WHERE state = 'queued'
     ORDER BY stage, creator_id LIMIT 1)
    UNION ALL
    SELECT following.stage, following.creator_id FROM front CROSS JOIN LATERAL (
        (SELECT stage, creator_id FROM videos_processingjob
         WHERE state = 'queued' AND stage = front.stage AND creator_id > front.creator_id
         ORDER BY creator_id LIMIT 1)
        UNION ALL
        (SELECT stage, creator_id FROM videos_processingjob
         WHERE state = 'queued' AND stage > front.stage ORDER BY stage, creator_id LIMIT 1)
        LIMIT 1
    ) AS following
), candidates AS MATERIALIZED (
    SELECT oldest.* FROM front CROSS JOIN LATERAL (
        SELECT id, stage, creator_id, created_at FROM videos_processingjob AS job
        WHERE state = 'queued' AND job.stage = front.stage AND job.creator_id = front.creator_id
            AND not_before <= statement_timestamp() - %(due_for)s
        ORDER BY created_at, id LIMIT greatest(2, %(looked_at)s / (SELECT count(*) FROM front))
    ) AS oldest
    WHERE front.stage = ANY(%(stages)s)
    UNION ALL
    SELECT id, stage, creator_id, created_at FROM videos_processingjob
    WHERE state = 'running' AND lease_until < statement_timestamp() AND stage = ANY(%(stages)s)
        AND not_before <= statement_timestamp() - %(due_for)s
), creators AS MATERIALIZED (
    SELECT creator_id,
        (SELECT count(*) FROM videos_processingjob AS job WHERE state = 'running'
            AND job.creator_id = each.creator_id AND lease_until >= statement_timestamp()) AS running,
        (SELECT started_at FROM videos_processingjob AS job WHERE job.creator_id = each.creator_id
            AND started_at IS NOT NULL ORDER BY started_at DESC LIMIT 1) AS last_began
    FROM (SELECT DISTINCT creator_id FROM candidates) AS each
), ranked AS (
    SELECT id, stage, last_began, created_at, running + row_number() OVER (
        PARTITION BY stage, creator_id ORDER BY created_at, id
    ) AS turn
    FROM candidates JOIN creators USING (creator_id)
), foremost AS MATERIALIZED (
    SELECT * FROM ranked ORDER BY stage, turn, last_began NULLS FIRST, created_at, id
    LIMIT %(looked_at)s
)
UPDATE videos_processingjob SET
    state = 'running', worker = %(worker)s, attempt = attempt + 1, fence = fence + 1,
    lease_until = statement_timestamp() + %(lease)s, started_at = statement_timestamp(),
    dispatched_at = NULL, step = '', percent = 0, error_code = '', error_detail = ''
WHERE id = (
    SELECT job.id FROM foremost JOIN videos_processingjob AS job USING (id)
    WHERE CASE job.state
        WHEN 'queued' THEN job.not_before <= statement_timestamp()
        WHEN 'running' THEN job.lease_until < statement_timestamp()
    END
    ORDER BY foremost.stage, turn, last_began NULLS FIRST, foremost.created_at, foremost.id
    LIMIT 1 FOR UPDATE OF job SKIP LOCKED
)
RETURNING {columns}
"""


def claim_first(
    model: "type[ProcessingJob]",
    worker: str,
    lease: timedelta,
    stages: Collection[int],
    due_for: timedelta,
) -> "ProcessingJob | None":
    """Claim the due job whose turn it is, in one statement. Only for PostgreSQL."""
    values: dict[str, Any] = {
        "worker": worker,
        "lease": lease,
        "stages": list(stages),
        "due_for": due_for,
        "looked_at": LOOKED_AT,
    }
    fields = model._meta.concrete_fields
    statement = _CLAIM_FIRST.format(columns=", ".join(str(field.column) for field in fields))
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return (
        model.from_db(connection.alias, [field.attname for field in fields], row) if row else None
    )
