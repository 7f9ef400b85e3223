"""The requests that the stand-in answers, with the parameters that the official SDK names for each."""

from stripe import params as sdk
from stripe.params import checkout as sdk_checkout

from payments.tests.stripe_stand_in.checkouts import Checkouts
from payments.tests.stripe_stand_in.disputes import Disputes


class Account(Checkouts, Disputes):
    """All that one Stripe account can do."""


def _get(kind: str):
    return lambda stripe, name: stripe.find(kind, name)


def _list(kind: str):
    return lambda stripe, **page: stripe.listing(kind, **page)


def _of(name: str) -> set[str]:
    """Return the names of the parameters that the SDK knows for a call."""
    module = sdk_checkout if name.startswith("Session") else sdk
    return set(getattr(module, f"{name}Params").__annotations__)


S, ID = Account, r"(\w+)"
ROUTES = [
    ("GET", "balance", (), lambda stripe: {"object": "balance", "livemode": False}),
    ("POST", f"payment_methods/{ID}/attach", _of("PaymentMethodAttach"), S.attach),
    ("GET", f"payment_methods/{ID}", (), S.find_card),
    ("POST", "payment_intents", _of("PaymentIntentCreate"), S.create_intent),
    ("GET", "payment_intents/search", _of("PaymentIntentSearch"), S.search_intents),
    ("GET", "payment_intents", _of("PaymentIntentList"), _list("payment_intent")),
    ("GET", f"payment_intents/{ID}", (), _get("payment_intent")),
    ("POST", f"payment_intents/{ID}/cancel", (), S.cancel_intent),
    ("POST", "refunds", _of("RefundCreate"), S.create_refund),
    ("GET", "refunds", _of("RefundList"), _list("refund")),
    ("GET", "disputes", _of("DisputeList"), _list("dispute")),
    ("GET", f"disputes/{ID}", (), _get("dispute")),
    ("POST", f"disputes/{ID}", _of("DisputeUpdate"), S.update_dispute),
    ("POST", "files", _of("FileCreate"), S.create_file),
    ("POST", "checkout/sessions", _of("SessionCreate"), S.create_session),
    ("GET", "checkout/sessions", _of("SessionList"), _list("checkout.session")),
    ("GET", f"checkout/sessions/{ID}", (), _get("checkout.session")),
    ("POST", f"checkout/sessions/{ID}/expire", (), S.expire_session),
    ("POST", "customers", _of("CustomerCreate"), S.create_customer),
    ("POST", f"customers/{ID}", _of("CustomerUpdate"), S.update_customer),
    ("DELETE", f"customers/{ID}", (), S.delete_customer),
    ("POST", "prices", _of("PriceCreate"), S.create_price),
    ("GET", "prices", _of("PriceList"), S.list_prices),
    ("GET", f"prices/{ID}", (), _get("price")),
    ("POST", "subscriptions", _of("SubscriptionCreate"), S.create_subscription),
    ("GET", "subscriptions", _of("SubscriptionList"), _list("subscription")),
    ("GET", f"subscriptions/{ID}", (), _get("subscription")),
    ("POST", f"subscriptions/{ID}", _of("SubscriptionUpdate"), S.update_subscription),
    ("DELETE", f"subscriptions/{ID}", _of("SubscriptionCancel"), S.cancel_subscription),
    ("POST", "subscription_schedules", _of("SubscriptionScheduleCreate"), S.create_schedule),
    ("GET", f"subscription_schedules/{ID}", (), _get("subscription_schedule")),
    ("POST", f"subscription_schedules/{ID}", _of("SubscriptionScheduleUpdate"), S.update_schedule),
    ("POST", f"subscription_schedules/{ID}/release", (), S.release_schedule),
    ("GET", "invoices", _of("InvoiceList"), S.list_invoices),
    ("GET", f"invoices/{ID}", (), _get("invoice")),
    ("POST", f"invoices/{ID}/pay", _of("InvoicePay"), S.pay_invoice),
    ("POST", f"invoices/{ID}/finalize", _of("InvoiceFinalizeInvoice"), S.finalize_invoice),
    ("POST", f"invoices/{ID}/void", (), S.void_invoice),
    ("GET", "invoice_payments", _of("InvoicePaymentList"), S.list_invoice_payments),
    ("GET", "events", _of("EventList"), _list("event")),
]  # fmt: skip
