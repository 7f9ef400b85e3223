"""The routes of the pages for signing in, and of those behind mailed links. They have no prefix."""

from django.urls import path, re_path

from accounts import oidc_pages, pages, site_session, totp_pages

urlpatterns = [
    path("sign-in", pages.sign_in, name="sign-in"),
    path("sign-in/session", site_session.site_session, name="site-session"),
    path("sign-in/oidc", oidc_pages.begin, name="oidc"),
    path("sign-in/oidc/callback", oidc_pages.callback, name="oidc-callback"),
    path("sign-in/oidc/code", oidc_pages.second_factor, name="oidc-code"),
    path("sign-out", pages.sign_out, name="sign-out"),
    re_path(r"^account/second-factor/?$", totp_pages.second_factor, name="second-factor"),
    re_path(r"^account/reset/?$", pages.reset, name="account-reset"),
    re_path(r"^account/verify/?$", pages.verify, name="account-verify"),
]
