"""The routes of the pages behind mailed links, below /account/."""

from django.urls import re_path

from accounts import pages

urlpatterns = [
    re_path(r"^reset/?$", pages.reset, name="account-reset"),
    re_path(r"^verify/?$", pages.verify, name="account-verify"),
]
