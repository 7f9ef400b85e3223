"""The routes of the pages for signing in, and of those behind mailed links. They have no prefix."""

from django.urls import path, re_path

from accounts import pages, site_session

urlpatterns = [
    path("sign-in", pages.sign_in, name="sign-in"),
    path("sign-in/session", site_session.site_session, name="site-session"),
    path("sign-out", pages.sign_out, name="sign-out"),
    re_path(r"^account/reset/?$", pages.reset, name="account-reset"),
    re_path(r"^account/verify/?$", pages.verify, name="account-verify"),
]
