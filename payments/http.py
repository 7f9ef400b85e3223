"""What the views of money share."""

from urllib.parse import urlsplit

from django.conf import settings

from config import money
from payments.errors import AmountInvalid, ReturnUrlRefused


def read(serializer_class, request) -> dict:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def absolute(request, action: dict | None) -> dict | None:
    """``next_action`` with an address that a browser can open from anywhere."""
    if action is None or not action["url"]:
        return action
    base = settings.PUBLIC_URL
    url = action["url"]
    if url.startswith("/"):
        url = base + url if base else request.build_absolute_uri(url)
    return {**action, "url": url}


def return_url(request, data: dict) -> str:
    """Takes ``return_url`` out of the input: where the buyer goes after paying, if it is allowed.

    Raises ReturnUrlRefused for other origins: our page must not send buyers to a stranger's.
    """
    url = data.pop("return_url", "")
    own = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    if not url:
        return own + "/"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ReturnUrlRefused() from None
    if f"{parts.scheme}://{parts.netloc}" not in {own, *settings.CHECKOUT_RETURN_ORIGINS}:
        raise ReturnUrlRefused()
    return url


def in_text(amounts: dict[str, int], currency: str) -> dict[str, str]:
    return {name: money.to_text(value, currency) for name, value in amounts.items()}


def minor(amount, model, pk) -> int | None:
    """What is to be refunded, in the currency of what was paid. Raises AmountInvalid."""
    if amount is None:
        return None
    currency = model.objects.filter(pk=pk).values_list("currency", flat=True).first()
    try:
        found = money.to_minor(amount, currency) if currency else 1
    except money.NotMoney as error:
        raise AmountInvalid(str(error)) from None
    if found <= 0:
        raise AmountInvalid("The amount must be above zero.")
    return found
