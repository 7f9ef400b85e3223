"""Reading requests about money, and writing amounts and addresses into their answers."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from config import money
from config.errors import NotVisible
from payments.errors import AmountInvalid, ReturnUrlRefused

# A month in an address, for the API document. `periods.Month.named` reads it.
MONTH_IN_PATH = OpenApiParameter(
    "period",
    {"type": "string", "pattern": r"^20\d{2}-(0[1-9]|1[0-2])$", "example": "2026-09"},
    OpenApiParameter.PATH,
    description="A month in UTC, as YYYY-MM.",
)


def validated_body(serializer_class: type[Serializer], request: Request) -> dict[str, Any]:
    """Return the request's body as the serializer reads it. Raises ValidationError."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def pop_return_url(request: Request, body: dict[str, Any]) -> str:
    """Remove ``return_url`` from the body and return it: the buyer's address after the gateway's page.

    Without one, the buyer returns to the start page of this service. Raises ReturnUrlRefused if the
    origin is neither this service nor in CHECKOUT_RETURN_ORIGINS: otherwise anyone could use our page to
    send buyers to a phishing site.
    """
    url = body.pop("return_url", "")
    own_origin = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    if not url:
        return f"{own_origin}/"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ReturnUrlRefused() from None
    if f"{parts.scheme}://{parts.netloc}" not in {own_origin, *settings.CHECKOUT_RETURN_ORIGINS}:
        raise ReturnUrlRefused()
    return url


def checkout_response(request: Request, body: dict[str, Any], *, created: bool) -> Response:
    """Return the answer to a purchase or a subscription; ``body`` holds the payer's ``next_action``.

    The status is 202 if the payer must first authenticate at their bank, else 201 if this request
    created the order or subscription, else 200. The address of the action becomes absolute, so that a
    browser can open it from any site.
    """
    code: int = status.HTTP_201_CREATED if created else status.HTTP_200_OK
    action = body["next_action"]
    if action is not None:
        if action["type"] == "authenticate":
            code = status.HTTP_202_ACCEPTED
        url = action["url"]
        if url.startswith("/"):
            own_origin = settings.PUBLIC_URL
            url = f"{own_origin}{url}" if own_origin else request.build_absolute_uri(url)
        body = {**body, "next_action": {**action, "url": url}}
    return Response(body, status=code)


def refund_amount(body: dict[str, Any], *, of: QuerySet[Model]) -> int | None:
    """Return the body's ``amount`` in minor units, or None for a body without an amount.

    ``of`` finds the order, invoice or payout; the amount is in its currency. Raises NotVisible if there
    is no such row, AmountInvalid if the amount is not above zero or does not fit the currency.
    """
    if body.get("amount") is None:
        return None
    currency = of.values_list("currency", flat=True).first()
    if currency is None:
        raise NotVisible()
    try:
        amount = money.to_minor(body["amount"], currency)
    except money.NotMoney as error:
        raise AmountInvalid(str(error)) from None
    if amount <= 0:
        raise AmountInvalid("The amount must be above zero.")
    return amount
