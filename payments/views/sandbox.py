"""The sandbox gateway's hosted checkout page: where a browser pays when the client has no card."""

import uuid

from django.core import signing
from django.http import HttpResponseNotFound
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException

from config import money
from payments.models import Order, Subscription
from payments.services import checkout, subscriptions

SALT = "sandbox-checkout"
LINK_SECONDS = 24 * 3600
OPEN = (*Order.OPEN, Subscription.Status.INCOMPLETE)
BUTTONS = {"pay": "pm_card_visa", "decline": "pm_card_chargeDeclined"}


def hosted_page(request, kind: str, pk: uuid.UUID) -> dict:
    """``next_action``: send the buyer there."""
    token = signing.dumps([kind, str(pk)], salt=SALT)
    url = request.build_absolute_uri(reverse("sandbox-checkout", args=[token]))
    return {"type": "redirect", "url": url, "client_secret": None}


@csrf_exempt  # the token in the address is the authority, and no cookie is looked at
@never_cache
@require_http_methods(["GET", "POST"])
def checkout_page(request, token: str):
    try:
        kind, pk = signing.loads(token, salt=SALT, max_age=LINK_SECONDS)
    except signing.BadSignature:
        return HttpResponseNotFound("This checkout link is not valid.", content_type="text/plain")
    model = Order if kind == "order" else Subscription
    due = model.objects.filter(pk=pk, gateway="sandbox").first()
    if due is None:
        return HttpResponseNotFound("There is nothing to pay here.", content_type="text/plain")
    message = ""
    open_ = due.status in OPEN
    if request.method == "POST" and open_:
        method = BUTTONS.get(request.POST.get("button", ""), "")
        try:
            if method and kind == "order":
                due = checkout.pay(order=due, payment_method=method)
            elif method:
                due = subscriptions.pay(subscription=due, payment_method=method)
        except APIException as error:
            message = str(error.detail)
            due.refresh_from_db()
        open_ = due.status in OPEN
    title = due.video.title if kind == "order" else due.plan.name
    amount = due.amount if kind == "order" else due.plan.amount
    currency = due.currency if kind == "order" else due.plan.currency
    context = {
        "title": title,
        "price": f"{money.to_text(amount, currency)} {currency}",
        "status": due.get_status_display(),
        "open": open_,
        "message": message,
    }
    return render(request, "payments/sandbox_checkout.html", context)
