"""The question that tells whether a part works. Each raises an exception when it does not."""

import ssl
from typing import Any

import httpx

from stack.plan import BUCKET, HOST, Plan

SECONDS = 3.0


class Unwell(Exception):
    """A part answers, but not as it should; the text says how."""


def load_clients() -> None:
    """Import the clients, before threads do: celery's module fails when two threads are the first."""
    import boto3  # noqa: F401
    import psycopg  # noqa: F401
    import redis  # noqa: F401
    from celery import Celery  # noqa: F401


def postgresql(plan: Plan, database: str = "postgres") -> str:
    """Let the server answer a query."""
    with connected(plan, database) as connection:
        connection.execute("SELECT 1")
    return "answers queries"


def valkey(plan: Plan) -> str:
    import redis

    with redis.Redis.from_url(plan.valkey_url(0), socket_timeout=SECONDS) as client:
        client.ping()
    return "answers"


def storage(plan: Plan) -> str:
    """List the buckets with the key, and see that nobody can without it."""
    client = bucket_client(plan)
    client.list_buckets()
    status = httpx.get(f"http://{HOST}:{plan.ports['s3']}/{BUCKET}", timeout=SECONDS).status_code
    if status not in (401, 403):
        raise Unwell(f"the bucket answers {status} to a stranger, not 403")
    return "answers; strangers are refused"


def worker(plan: Plan, name: str) -> str:
    """Let a worker of Celery answer through the broker."""
    from celery import Celery

    with Celery("stack", broker=plan.valkey_url(1)) as app:
        app.conf.update(
            broker_connection_timeout=SECONDS, broker_transport_options={"max_retries": 1}
        )
        if not app.control.ping(destination=[name], timeout=SECONDS, limit=1):
            raise Unwell("it does not answer through the broker")
    return "answers through the broker"


def beat(plan: Plan) -> str:
    """See that the periodic work is sent. The table of periods is that of the service."""
    with connected(plan) as connection:
        row = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE due_at < now() - interval '15 seconds')"
            " FROM videos_period"
        ).fetchone()
    if not row or not row[0] or row[1]:
        raise Unwell("it sends no periodic work")
    return "sends the periodic work"


def web(plan: Plan, name: str) -> str:
    url = f"http://{HOST}:{plan.ports[name]}/health/ready"
    return _readiness(httpx.get(url, timeout=SECONDS))


def nginx(plan: Plan) -> str:
    """Ask through TLS, with the certificate checked."""
    trust = ssl.create_default_context(cafile=str(plan.certificate))
    return _readiness(httpx.get(f"{plan.url}/health/ready", verify=trust, timeout=SECONDS))


def _readiness(answer: httpx.Response) -> str:
    """Return what the service says about itself. Raises Unwell if it is not ready."""
    try:
        body = answer.json()
    except ValueError:
        raise Unwell(f"it answers {answer.status_code}") from None
    bad = [f"{name}: {state}" for name, state in body["parts"].items() if state != "ok"]
    text = ", ".join([str(body["status"]), *bad])
    if answer.status_code != 200:
        raise Unwell(text)
    return f"ready ({text})"


def connected(plan: Plan, database: str = "vod") -> Any:
    """Return a connection to the database server, in autocommit."""
    import psycopg

    url = plan.database_url(database).replace("postgres://", "postgresql://", 1)
    return psycopg.connect(url, connect_timeout=int(SECONDS), autocommit=True)


def bucket_client(plan: Plan) -> Any:
    """Return a client of the object storage that tries once."""
    import boto3
    from botocore.config import Config

    chosen = plan.settings()
    return boto3.client(
        "s3",
        endpoint_url=chosen["S3_ENDPOINT"],
        region_name=chosen["S3_REGION"],
        aws_access_key_id=chosen["S3_ACCESS_KEY"],
        aws_secret_access_key=chosen["S3_SECRET_KEY"],
        config=Config(
            connect_timeout=SECONDS,
            read_timeout=SECONDS,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )
