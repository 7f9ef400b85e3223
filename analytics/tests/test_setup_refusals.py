"""The API document lists `totp_setup_required` at the operations that answer with it, and no others."""

import re
import uuid

import pytest

from accounts import tokens
from accounts.roles import Role
from analytics.tests.test_matrix import operations
from config.tests import openapi

CODE = "totp_setup_required"
VALUES = {"{field}": "receipt", "{number}": "1", "{period}": "2026-07", "{token}": "x"}


@pytest.mark.django_db
def test_an_administrator_without_a_second_factor_is_refused_where_the_document_says_so(
    make_user, client, settings
):
    settings.TOTP_REQUIRED_FOR_ADMINS = True
    access = tokens.issue(make_user(Role.ADMIN)).access
    paths = openapi.document()["paths"]
    client.raise_request_exception = False
    answered, listed = set(), set()
    for operation in operations():
        method, path = operation.split(" ")
        path = f"/api/v1/{path}"
        if f"`{CODE}`" in paths[path][method.lower()]["description"]:
            listed.add(operation)
        url = re.sub(r"\{\w+\}", lambda each: VALUES.get(each[0], str(uuid.uuid4())), path)
        headers = {"HTTP_AUTHORIZATION": f"Bearer {access}", "HTTP_TUS_RESUMABLE": "1.0.0"}
        answer = client.generic(method, url, content_type="application/json", **headers)
        if answer.status_code == 403 and CODE in answer.content.decode():
            answered.add(operation)
    assert {"GET videos/", "POST videos/"} <= answered
    assert not {"GET auth/totp", "POST auth/totp", "GET auth/me"} & answered
    assert (listed - answered, answered - listed) == (set(), set())
