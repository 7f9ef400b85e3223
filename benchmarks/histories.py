"""Playback of years for `benchmarks/dashboards.py`, made by the database in a few statements."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

_POSTGRES = """
WITH video AS (
    SELECT (row_number() OVER (ORDER BY id))::int AS place, id, creator_id, duration_seconds AS length
    FROM videos_video
), made AS (
    SELECT %(begin)s::timestamptz + (number - random()) / %(views)s
           * (%(end)s::timestamptz - %(begin)s::timestamptz) AS at,
           1 + floor(power(random(), 2) * %(videos)s)::int AS place,
           floor(power(random(), 2) * %(viewers)s)::int AS viewer, random() AS part, random() AS r
    FROM generate_series(%(first)s, %(last)s) AS number
), named AS (
    SELECT made.*, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS time,
           substr(gen_random_uuid()::text, 16) AS tail
    FROM made
), rows AS (
    SELECT named.*, (substr(time, 1, 8) || '-' || substr(time, 9) || '-7' || tail)::uuid AS id,
           video.id AS video, video.creator_id, video.length,
           round((least(video.length, 10) + part * greatest(video.length - 10, 0))::numeric, 3)::float
           AS seconds
    FROM named JOIN video USING (place)
), sessions AS (
    INSERT INTO streaming_playbacksession (
        id, video_id, version, access, viewer_key, network_key, user_agent, created_at, expires_at,
        last_seen_at, ended_at, end_reason, state, position_seconds, watched, watched_seconds,
        rejected_seconds, segment_seconds, delivered, begun, delivered_seconds, counted_seconds,
        folded_seconds, moments, placed_until, last_heartbeat_at, rebuffer_ms, startup_ms)
    SELECT rows.id, video, 'demo', (ARRAY['free', 'order', 'subscription'])[1 + floor(r * 3)::int],
           'demo:' || viewer, '', 'bench', at, at + interval '4 hours', at + interval '1 hour',
           at + interval '1 hour', 'stopped', 'ended', seconds,
           jsonb_build_array(jsonb_build_array(0, seconds)), seconds, 0, 4, '', '', ceil(seconds)::int,
           seconds, 0, '[]', 0, at + interval '1 hour', floor(r * 4000)::int, 200 + floor(r * 2000)::int
    FROM rows
)
INSERT INTO analytics_videoview (id, session_id, video_id, creator_id, viewer_key, network_key, at)
SELECT id, id, video, creator_id, 'demo:' || viewer, '', at + interval '10 seconds'
FROM rows
"""
ROWS = 250_000  # of one statement
TABLES = ("streaming_playbacksession", "analytics_videoview")


def make(
    views: int,
    videos: int,
    begin: datetime,
    end: datetime,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Insert views with their sessions on PostgreSQL, at random moments between two, oldest first.

    Ids begin with the moment, as those of real rows do. Without the indexes and the checks of foreign
    keys, which are made again afterwards: so it is as fast as the disk. Needs a superuser. ``progress``
    hears of the rows and then of the indexes, each of which counts as one statement's rows.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("SET maintenance_work_mem = '256MB'")
        indexes = _drop_indexes(cursor)
        total = views + ROWS * len(indexes)
        for start in range(0, views, ROWS):
            values: dict[str, Any] = {
                "begin": begin,
                "end": end - timedelta(seconds=10),
                "videos": videos,
                "viewers": max(50, views // 12),
                "views": views,
                "first": start + 1,
                "last": min(start + ROWS, views),
            }
            cursor.execute(_POSTGRES, values)
            progress(values["last"], total)
        for number, statement in enumerate(indexes, start=1):
            cursor.execute(statement)
            progress(views + ROWS * number, total)
        cursor.execute("SET session_replication_role = DEFAULT")


def _drop_indexes(cursor) -> list[str]:
    """Drop the indexes that hold no constraint; return the statements that make them again."""
    cursor.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = ANY(%s::regclass[]) AND NOT indisunique
        """,
        [list(TABLES)],
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f"DROP INDEX {name}")
    return [statement for _, statement in found]
