"""The names of Celery's queues, for those who name them where Celery is not installed."""

QUEUES = ("first", "transcode", "captions", "periodic")
