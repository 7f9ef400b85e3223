"""The routes of the pages for signing in, which have no prefix."""

from django.urls import path

from accounts import pages

urlpatterns = [
    path("sign-in", pages.sign_in, name="sign-in"),
    path("sign-out", pages.sign_out, name="sign-out"),
]
