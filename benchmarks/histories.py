"""Playback of years for `benchmarks/dashboards.py`, made by the database in a few statements."""

from datetime import datetime, timedelta
from typing import Any

_POSTGRES = """
WITH video AS (
    SELECT (row_number() OVER (ORDER BY id))::int AS place, id, creator_id, duration_seconds AS length
    FROM videos_video
), made AS (
    SELECT gen_random_uuid() AS id, %(begin)s::timestamptz + random()
           * (%(end)s::timestamptz - %(begin)s::timestamptz) AS at,
           1 + floor(power(random(), 2) * %(videos)s)::int AS place,
           floor(power(random(), 2) * %(viewers)s)::int AS viewer, random() AS part, random() AS r
    FROM generate_series(1, %(number)s)
), rows AS (
    SELECT made.*, video.id AS video, video.creator_id, video.length,
           round((least(video.length, 10) + part * greatest(video.length - 10, 0))::numeric, 3)::float
           AS seconds
    FROM made JOIN video USING (place)
), sessions AS (
    INSERT INTO streaming_playbacksession (
        id, video_id, version, access, viewer_key, network_key, user_agent, created_at, expires_at,
        last_seen_at, ended_at, end_reason, state, position_seconds, watched, watched_seconds,
        rejected_seconds, segment_seconds, delivered, begun, delivered_seconds, counted_seconds,
        folded_seconds, moments, placed_until, last_heartbeat_at, rebuffer_ms, startup_ms)
    SELECT id, video, 'demo', (ARRAY['free', 'order', 'subscription'])[1 + floor(r * 3)::int],
           'demo:' || viewer, '', 'bench', at, at + interval '4 hours', at + interval '1 hour',
           at + interval '1 hour', 'stopped', 'ended', seconds,
           jsonb_build_array(jsonb_build_array(0, seconds)), seconds, 0, 4, '', '', ceil(seconds)::int,
           seconds, 0, '[]', 0, at + interval '1 hour', floor(r * 4000)::int, 200 + floor(r * 2000)::int
    FROM rows
)
INSERT INTO analytics_videoview (id, session_id, video_id, creator_id, viewer_key, network_key, at)
SELECT gen_random_uuid(), id, video, creator_id, 'demo:' || viewer, '', at + interval '10 seconds'
FROM rows
"""
ROWS = 500_000  # of one statement
TABLES = ("streaming_playbacksession", "analytics_videoview")


def make(views: int, videos: int, begin: datetime, end: datetime) -> None:
    """Insert views with their sessions on PostgreSQL, at random moments between two.

    Without the indexes and the checks of foreign keys, which are made again afterwards: so it is as fast
    as the disk. Needs a superuser.
    """
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        indexes = _drop_indexes(cursor)
        for start in range(0, views, ROWS):
            values: dict[str, Any] = {
                "begin": begin,
                "end": end - timedelta(seconds=10),
                "videos": videos,
                "viewers": max(50, views // 12),
                "number": min(ROWS, views - start),
            }
            cursor.execute(_POSTGRES, values)
        for statement in indexes:
            cursor.execute(statement)
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
