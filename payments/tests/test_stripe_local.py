"""Our gateway and the official SDK against localstripe, a Stripe that others wrote.

It knows neither idempotency keys nor hosted pages, prices, disputes and schedules, and gives several
fields at the places they had before Basil.
"""

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

import pytest
import requests
import stripe

pytest.register_assert_rewrite("payments.tests.contract")

from payments.gateways.base import Declined, NotThere  # noqa: E402
from payments.gateways.stripe import StripeGateway  # noqa: E402
from payments.gateways.stripe.client import connect  # noqa: E402
from payments.tests.contract import GatewayContract  # noqa: E402

pytestmark = pytest.mark.xdist_group("localstripe")

# Its own command listens on every interface and loads the state of yesterday. What is newer than it
# is dropped on the way: parameters and expansions; the lists that it lacks are empty.
RUNNER = """
import socket
from aiohttp import web
from localstripe import resources
from localstripe.server import app, json_response

NEWER = {"allowed_payment_method_types", "return_url"}
create, export = resources.PaymentIntent._api_create, resources.StripeObject._export

def export_what_is_there(self, expand=None):
    try:
        return export(self, expand=expand)
    except resources.UserError:
        return export(self)

def empty(request):
    return json_response({"object": "list", "data": [], "has_more": False, "url": request.path})

resources.PaymentIntent._api_create = lambda **params: create(
    **{name: value for name, value in params.items() if name not in NEWER}
)
resources.StripeObject._export = export_what_is_there
for path in ("disputes", "invoice_payments"):
    app.router.add_get(f"/v1/{path}", empty)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
web.run_app(app, sock=listening, print=None, access_log=None)
"""

NO_KEYS, NO_PAGES = "idempotency keys", "hosted pages"
NO_PRICES, NO_DISPUTES, NO_FILTERS = "prices", "disputes", "lists by their date"
OTHER_CODES, OTHER_CARDS = "decline codes", "cards of this kind"
LACKS = {
    "test_a_decline_says_why_and_stays_one": OTHER_CODES,
    "test_a_card_that_is_not_there": NO_FILTERS,
    "test_a_bank_that_asks_its_client_captures_nothing_yet": "pages of banks",
    "test_the_same_key_charges_once": NO_KEYS,
    "test_another_key_charges_again": NO_FILTERS,
    "test_more_than_is_left_is_refused": "any limit of refunds",
    "test_a_refund_can_fail_later_and_be_asked_for_again": OTHER_CARDS,
    "test_a_refund_can_be_under_way": OTHER_CARDS,
    "test_what_was_not_captured_is_not_given_back": "an answer: it fails with 500",
    "test_a_dispute_takes_money_and_gives_a_part_of_it_back": NO_DISPUTES,
    "test_a_dispute_is_won_or_lost": NO_DISPUTES,
    "test_a_page_is_made_once": NO_PAGES,
    "test_a_page_is_paid": NO_PAGES,
    "test_a_page_that_expired": NO_PAGES,
    "test_a_page_that_was_paid_does_not_expire": NO_PAGES,
    "test_a_page_begins_a_subscription": NO_PAGES,
    "test_what_is_not_there": NO_PAGES,
    "test_a_plan_has_one_name": NO_PRICES,
    "test_a_subscription_charges_its_first_period": NO_PRICES,
    "test_the_same_key_begins_once": NO_PRICES,
    "test_a_decline_begins_nothing": NO_PRICES,
    "test_no_card_begins_nothing": NO_PRICES,
    "test_after_no_card_the_same_key_begins_with_another": NO_PRICES,
    "test_free_days_cost_nothing": NO_PRICES,
    "test_a_bank_that_asks_leaves_it_incomplete": NO_PRICES,
    "test_a_cancellation_for_the_end_can_be_taken_back_and_made_again": NO_PRICES,
    "test_a_cancellation_at_once_is_final": NO_PRICES,
    "test_what_was_never_paid_is_void_after_a_cancellation": NO_PRICES,
    "test_an_upgrade_begins_a_period_and_takes_the_rest_off": NO_PRICES,
    "test_an_upgrade_that_is_asked_for_twice_is_made_once": NO_PRICES,
    "test_a_declined_upgrade_changes_nothing": NO_PRICES,
    "test_a_downgrade_waits_for_the_end_and_can_be_taken_back": NO_PRICES,
    "test_a_downgrade_that_waits_does_not_hinder_a_cancellation": NO_PRICES,
    "test_another_card_for_a_subscription": NO_PRICES,
    "test_changes_are_listed_once_each": NO_FILTERS,
    "test_what_was_before_is_not_listed": NO_FILTERS,
    "test_a_message_names_what_it_is_about": NO_PRICES,
}


@pytest.fixture(scope="module")
def local_stripe(tmp_path_factory):
    """Its address, and the messages it sends: one queue for all, for it sends each once."""
    messages: Queue = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.put((body, {"Stripe-Signature": self.headers["Stripe-Signature"]}))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Nobody reads it."""

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    # It writes its state to a file of a fixed name in the system's temporary folder.
    environment = os.environ | {"TMPDIR": str(tmp_path_factory.mktemp("localstripe"))}
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        hook = {"url": f"http://127.0.0.1:{receiver.server_port}/", "secret": "whsec_local"}
        _until_it_answers(f"{address}/_config/webhooks/ours", hook)
        yield address, messages
    finally:
        process.terminate()
        process.wait(10)
        receiver.shutdown()
        receiver.server_close()


def _until_it_answers(url: str, json: dict) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            requests.post(url, json=json, timeout=5).raise_for_status()
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


class LocalBench:
    currency = "USD"

    def __init__(self, messages: Queue):
        self.gateway, self._messages = StripeGateway(), messages
        self.methods = {
            "good": "pm_card_visa",
            "declined": "pm_card_chargeCustomerFail",
            "needs_action": self._card("4000002500003155"),
        }

    def _card(self, number: str) -> str:
        card = {"number": number, "exp_month": 12, "exp_year": 2031, "cvc": "123"}
        return connect().v1.payment_methods.create({"type": "card", "card": card}).id

    def signed(self, kind: str, object_id: str) -> tuple[bytes, dict[str, str]]:
        """The message that localstripe sends about an object: a second later, and once."""
        while True:
            try:
                body, headers = self._messages.get(timeout=15)
            except Empty:
                pytest.fail(f"no message about {object_id}")
            if object_id.encode() in body:
                return body, headers


@pytest.fixture
def bench(settings, local_stripe):
    address, messages = local_stripe
    settings.STRIPE_API_BASE = address
    settings.STRIPE_SECRET_KEY = "sk_test_12345"
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_other", "whsec_local"]
    return LocalBench(messages)


class TestLocalStripe(GatewayContract):
    for _name in LACKS:
        vars()[_name] = None  # not collected

    def test_what_it_is_said_to_lack_is_in_the_contract(self):
        assert set(LACKS) <= set(vars(GatewayContract))

    def test_no_such_payment_or_subscription(self):
        for call in (self.gateway.fetch_payment, self.gateway.fetch_subscription):
            with pytest.raises(NotThere):
                call("nobody_knows_this")

    def test_a_decline(self):
        with pytest.raises(Declined) as declined:
            self.charge("declined")

        assert declined.value.decline_code == "card_declined"

    def test_a_bank_that_asks_its_client(self):
        charged = self.charge("needs_action")

        assert (charged.status, charged.captured, charged.action_url) == ("requires_action", 0, "")
        assert self.gateway.fetch_payment(charged.external_id) == charged

    @pytest.mark.parametrize(("currency", "amount"), [("JPY", 100), ("KWD", 1990), ("ISK", 500)])
    def test_other_currencies(self, currency, amount):
        charged = self.gateway.charge(
            amount=amount, currency=currency, payment_method="pm_card_visa", reference="order-1",
            customer="", key="order:1:0",
        )  # fmt: skip

        fetched = self.gateway.fetch_payment(charged.external_id)
        assert (fetched.captured, fetched.currency) == (amount, currency)

    def test_its_signed_message_leads_to_the_payment(self):
        charged = self.charge()

        event = self.gateway.verify_webhook(*self.bench.signed("payment", charged.external_id))

        assert (event.type, event.kind) == ("payment_intent.succeeded", "payment")
        assert event.external_id == charged.external_id
        assert event.livemode is False
        assert event.api_version == "2017-08-15"

    def test_a_subscription_in_the_shapes_before_basil(self):
        client, customer = connect(), self.customer()
        card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
        plan = self._plan(client)
        begun = client.v1.subscriptions.create(
            {
                "customer": customer,
                "items": [{"plan": plan}],
                "metadata": {"subscription_id": "sub-1", "plan_code": "basic"},
            }
        ).id

        snapshot = self.gateway.fetch_subscription(begun)

        assert (snapshot.reference, snapshot.plan_code) == ("sub-1", "basic")
        assert snapshot.status == "active"
        assert snapshot.period_start < snapshot.period_end
        (invoice,) = snapshot.invoices
        assert (invoice.amount, invoice.currency, invoice.status) == (999, "USD", "paid")
        assert (invoice.period_start, invoice.period_end) == (
            snapshot.period_start, snapshot.period_end,
        )  # fmt: skip
        payment = self.gateway.fetch_payment(invoice.payment_ids[0])
        assert (payment.captured, payment.order_id) == (999, "")
        assert (payment.invoice_id, payment.subscription_id) == (invoice.external_id, begun)
        canceled = self.gateway.cancel_subscription(begun, at_period_end=True)
        assert canceled.cancel_at_period_end
        assert not self.gateway.resume_subscription(begun).cancel_at_period_end

    def _plan(self, client: stripe.StripeClient) -> str:
        product = client.v1.products.create({"name": "Basic"}).id
        return client.v1.plans.create(
            {"amount": 999, "currency": "usd", "interval": "month", "product": product}
        ).id
