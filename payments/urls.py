"""The routes of payments: buyers, creators, administrators, gateways."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from payments.views import (
    access,
    books,
    buying,
    gateway_news,
    offers,
    payouts,
    settling,
    sharing,
    subscribing,
)

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("plans", offers.PlanViewSet, "plan")
router.register("orders", buying.OrderViewSet, "order")
router.register("entitlements", access.EntitlementViewSet, "entitlement")
router.register("subscription", subscribing.SubscriptionViewSet, "subscription")
router.register("invoices", subscribing.InvoiceViewSet, "invoice")
router.register("creator/statements", payouts.StatementViewSet, "statement")
router.register("creator/payouts", payouts.PayoutViewSet, "creator-payout")
router.register("admin/payouts", payouts.AdminPayoutViewSet, "payout")
router.register("admin/pools", sharing.PoolViewSet, "pool")
router.register("admin/disputes", settling.DisputeViewSet, "dispute")
router.register("admin/coupons", offers.CouponViewSet, "coupon")
router.register("admin/plans", offers.AdminPlanViewSet, "admin-plan")
router.register("admin/webhook-events", gateway_news.WebhookEventViewSet, "webhook-event")

subscription = subscribing.SubscriptionViewSet.as_view({"get": "current"})
statement_csv = payouts.StatementViewSet.as_view({"get": "csv"})

buyers = [
    path("config", settling.ConfigView.as_view(), name="payment-config"),
    path("offers", offers.OffersListView.as_view(), name="offer-list"),
    path("offers/<id:video_id>", offers.OffersView.as_view(), name="offers"),
    path("purchase/<id:video_id>", buying.PurchaseView.as_view(), name="purchase"),
    path("subscribe", subscribing.SubscribeView.as_view(), name="subscribe"),
    path("subscription", subscription, name="subscription"),
]
creators = [
    path("earnings", books.EarningsView.as_view(), name="creator-earnings"),
    path("balance", payouts.BalanceView.as_view(), name="creator-balance"),
    path("statements/<str:period>.csv", statement_csv, name="statement-csv"),
    path("videos/<id:video_id>/offers", offers.PricesView.as_view(), name="creator-prices"),
]
administrators = [
    path("revenue", books.RevenueView.as_view(), name="admin-revenue"),
    path("ledger/trial-balance", books.TrialBalanceView.as_view(), name="trial-balance"),
    path("ledger/entries", books.LedgerEntriesView.as_view(), name="ledger-entries"),
    path("review", books.ReviewView.as_view(), name="review"),
    path("orders/<id:pk>/refund", buying.RefundView.as_view(), name="admin-order-refund"),
    path("invoices/<id:pk>/refund", subscribing.InvoiceRefundView.as_view(), name="invoice-refund"),
    path("reconcile", gateway_news.ReconcileView.as_view(), name="reconcile"),
]
routes: list[URLPattern | URLResolver] = [
    *buyers,
    path("creator/", include(creators)),
    path("admin/", include(administrators)),
    path("sandbox/", include("payments.gateways.sandbox.urls")),
    path("webhooks/<slug:gateway>", gateway_news.webhook, name="webhook"),
    # Last: the router's statements/<period> would take statements/<period>.csv for a period too.
    path("", include(router.urls)),
]
urlpatterns = [path("payments/", include(routes))]
