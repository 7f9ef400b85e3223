"""The part of the OpenAPI document that is about money."""

import inspect

import pytest
from rest_framework.views import APIView

from config.api.components import MORE_OF_AN_ERROR
from config.api.refusals import refusals_of, refuses
from config.errors import DomainError
from config.tests.openapi import document
from payments import errors
from payments.idempotency import idempotent

PREFIX = "/api/v1/payments/"
ERRORS = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, DomainError) and error.__module__ == errors.__name__
]
# The admin site alone raises it.
ELSEWHERE = {errors.NoDebt}


@pytest.fixture(scope="module")
def operations() -> dict[str, dict]:
    """The operations of payments by name, such as "POST subscribe"."""
    return {
        f"{method.upper()} {path.removeprefix(PREFIX)}": operation
        for path, item in document()["paths"].items()
        if path.startswith(PREFIX)
        for method, operation in item.items()
    }


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_further_members_of_an_error_are_documented(error):
    wanted = inspect.signature(error).parameters.values()
    made = error(*["x" for parameter in wanted if parameter.default is parameter.empty])

    for member in made.extra or {}:
        codes, _ = MORE_OF_AN_ERROR[member]
        assert error.default_code in codes.split(", ")


def test_each_error_is_documented_by_an_operation(operations):
    for error in ERRORS:
        documented = any(
            error.default_code in operation["x-error-codes"]
            and str(error.status_code) in operation["responses"]
            for operation in operations.values()
        )
        is_base = bool(error.__subclasses__())
        assert is_base or documented == (error not in ELSEWHERE), error.__name__


def test_each_post_that_moves_money_takes_a_key_and_says_so(operations):
    keyed = {
        name: operation
        for name, operation in operations.items()
        if "Idempotency-Key" in {each["name"] for each in operation.get("parameters", ())}
    }

    assert keyed.keys() == {
        name for name in operations if name.startswith("POST ") and "sandbox/" not in name
    }
    for name, operation in keyed.items():
        codes = {"idempotency_in_progress", "idempotency_key_reused", "unsupported_media_type"}
        assert codes <= set(operation["x-error-codes"]), name
        for status, answer in operation["responses"].items():
            assert not status.startswith("2") or "Idempotent-Replayed" in answer["headers"], name


def test_the_marks_of_a_keyed_call_do_not_depend_on_the_order_of_decorators():
    class View(APIView):
        @refuses(errors.NoDebt)
        @idempotent
        def above(self, request): ...

        @idempotent
        @refuses(errors.NoDebt)
        def below(self, request): ...

    assert set(refusals_of(View.above)) == set(refusals_of(View.below))
    assert {errors.NoDebt, errors.KeyReused, errors.KeyInProgress} <= set(refusals_of(View.above))
