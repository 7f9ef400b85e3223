"""The Celery application of QUEUE_ENGINE=celery: `celery -A config worker` and `celery -A config beat`.

Celery only carries wake-ups. What a job is, who has it and how often it was tried stands in the table
of processing jobs, so no result, retry or state of Celery is used.
"""

import os

from celery import Celery
from django.conf import settings
from kombu import Exchange, Queue

from config.queues import QUEUES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

CONNECT_SECONDS = 2.0
# A message is acknowledged when its work ends. Brokers send one that is not acknowledged for this long
# again (Redis) or close the connection (RabbitMQ, whose default is half an hour); no job is as long.
UNACKNOWLEDGED_SECONDS = 7 * 24 * 3600

app = Celery("vod")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    imports=["videos.tasks"],
    timezone=settings.TIME_ZONE,
    beat_scheduler="videos.engines.beat:TableScheduler",
    # Each queue by its name, and no others: a misspelt -Q is an error, not an empty queue.
    task_queues=[
        Queue(
            name,
            Exchange("vod", type="direct"),
            routing_key=name,
            queue_arguments={"x-consumer-timeout": UNACKNOWLEDGED_SECONDS * 1000},
        )
        for name in QUEUES
    ],
    task_default_queue="periodic",
    task_create_missing_queues=False,
    task_ignore_result=True,
    # Acknowledged late, a busy worker holds no message that an idle one could take. A message that
    # comes again finds its job claimed, and does nothing.
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Sending fails at once: what was not sent is sent again by the sweeper.
    task_publish_retry=False,
    broker_connection_timeout=CONNECT_SECONDS,
    # Workers wait for the broker for ever.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": UNACKNOWLEDGED_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": 2 * CONNECT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
    },
    worker_hijack_root_logger=False,  # config.logs masks secrets
)
