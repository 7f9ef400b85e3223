"""The whole topology of a large installation on one machine: `make stack`.

PostgreSQL, Valkey, object storage, Celery, two web servers and nginx with TLS, each from its package, as
processes of one supervisord. Everything listens on the loopback address and keeps its files in a folder
of its own.
"""
