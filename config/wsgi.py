"""The WSGI application of Django: the API and the admin site."""

import os

import django
from django.core.handlers.wsgi import WSGIHandler

from config.http import Request

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
application = Handler()
