"""`manage.py bucket_cors`. A real bucket takes the rules in `test_direct`."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def shown(*arguments: str) -> str:
    out = StringIO()
    call_command("bucket_cors", *arguments, stdout=out)
    return out.getvalue()


def test_the_rules_name_the_pages_that_may_call_the_api(settings):
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CORS_ALLOWED_ORIGINS = ["https://studio.example.com"]
    settings.PUBLIC_URL = "https://vod.example.com"
    (rule,) = json.loads(shown("--show"))["CORSRules"]
    assert rule["AllowedOrigins"] == ["https://vod.example.com", "https://studio.example.com"]
    assert (rule["AllowedMethods"], rule["ExposeHeaders"]) == (["PUT"], ["ETag"])
    settings.CORS_ALLOW_ALL_ORIGINS = True
    assert json.loads(shown("--show"))["CORSRules"][0]["AllowedOrigins"] == ["*"]


def test_without_a_bucket_or_a_page_it_says_so(settings):
    with pytest.raises(CommandError, match="STORAGE is local"):
        shown()
    settings.CORS_ALLOW_ALL_ORIGINS, settings.CORS_ALLOWED_ORIGINS = False, []
    settings.PUBLIC_URL = ""
    with pytest.raises(CommandError, match="CORS_ALLOWED_ORIGINS"):
        shown("--show")
