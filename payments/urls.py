"""The routes of payments: buyers, creators, administrators, gateways."""

from django.urls import path

from payments.gateways.sandbox import views as sandbox
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
from payments.views.gateway_news import webhook

orders = buying.OrderViewSet
coupons = offers.CouponViewSet
plans = offers.AdminPlanViewSet
events = gateway_news.WebhookEventViewSet
admin_payouts = payouts.AdminPayoutViewSet
urlpatterns = [
    path("payments/config", settling.ConfigView.as_view(), name="payment-config"),
    path("payments/plans", offers.PlansView.as_view(), name="plan-list"),
    path("payments/purchase/<uuid:video_id>", buying.PurchaseView.as_view(), name="purchase"),
    path("payments/orders", orders.as_view({"get": "list"}), name="order-list"),
    path("payments/orders/<uuid:pk>", orders.as_view({"get": "retrieve"}), name="order-detail"),
    path(
        "payments/orders/<uuid:pk>/cancel", orders.as_view({"post": "cancel"}), name="order-cancel"
    ),
    path("payments/orders/<uuid:pk>/sync", orders.as_view({"post": "sync"}), name="order-sync"),
    path(
        "payments/orders/<uuid:pk>/refund", orders.as_view({"post": "refund"}), name="order-return"
    ),
    path(
        "payments/orders/<uuid:pk>/receipt",
        orders.as_view({"get": "receipt"}),
        name="order-receipt",
    ),
    path("payments/offers", offers.OffersListView.as_view(), name="offer-list"),
    path("payments/offers/<uuid:video_id>", offers.OffersView.as_view(), name="offers"),
    path(
        "payments/entitlements/<uuid:video_id>",
        access.EntitlementView.as_view(),
        name="entitlement",
    ),
    path("payments/entitlements", access.EntitlementsView.as_view(), name="entitlement-list"),
    path("payments/subscribe", subscribing.SubscribeView.as_view(), name="subscribe"),
    path("payments/subscription", subscribing.SubscriptionView.as_view(), name="subscription"),
    path(
        "payments/subscription/cancel",
        subscribing.CancelSubscriptionView.as_view(),
        name="subscription-cancel",
    ),
    path(
        "payments/subscription/resume",
        subscribing.ResumeSubscriptionView.as_view(),
        name="subscription-resume",
    ),
    path(
        "payments/subscription/change",
        subscribing.ChangeSubscriptionView.as_view(),
        name="subscription-change",
    ),
    path(
        "payments/subscription/payment-method",
        subscribing.PaymentMethodView.as_view(),
        name="subscription-payment-method",
    ),
    path("payments/invoices", subscribing.InvoicesView.as_view(), name="invoice-list"),
    path("payments/creator/earnings", books.EarningsView.as_view(), name="creator-earnings"),
    path("payments/admin/revenue", books.RevenueView.as_view(), name="admin-revenue"),
    path(
        "payments/admin/ledger/trial-balance",
        books.TrialBalanceView.as_view(),
        name="trial-balance",
    ),
    path(
        "payments/admin/orders/<uuid:pk>/refund", buying.RefundView.as_view(), name="order-refund"
    ),
    path("payments/webhooks/<slug:gateway>", webhook, name="webhook"),
    path("payments/sandbox/checkout/<str:token>", sandbox.checkout_page, name="sandbox-checkout"),
    path(
        "payments/sandbox/authenticate/<str:payment_id>",
        sandbox.authenticate_page,
        name="sandbox-authenticate",
    ),
    path("payments/sandbox/clock", sandbox.SandboxClockView.as_view(), name="sandbox-clock"),
    path(
        "payments/sandbox/payments/<uuid:pk>/dispute",
        sandbox.SandboxDisputeView.as_view(),
        name="sandbox-dispute",
    ),
    path(
        "payments/sandbox/payments/<uuid:pk>/reinstate",
        sandbox.SandboxReinstateView.as_view(),
        name="sandbox-reinstate",
    ),
    path(
        "payments/sandbox/payments/<uuid:pk>/refund-fail",
        sandbox.SandboxRefundFailView.as_view(),
        name="sandbox-refund-fail",
    ),
    path("payments/creator/balance", payouts.BalanceView.as_view(), name="creator-balance"),
    path("payments/creator/statements", payouts.StatementsView.as_view(), name="statement-list"),
    path(
        "payments/creator/statements/<str:period>.csv",
        payouts.StatementCsvView.as_view(),
        name="statement-csv",
    ),
    path(
        "payments/creator/statements/<str:period>",
        payouts.StatementView.as_view(),
        name="statement",
    ),
    path("payments/creator/payouts", payouts.PayoutsView.as_view(), name="creator-payouts"),
    path(
        "payments/creator/videos/<uuid:video_id>/offers",
        offers.PricesView.as_view(),
        name="creator-prices",
    ),
    path("payments/admin/pools", sharing.PoolsView.as_view(), name="pool-list"),
    path(
        "payments/admin/pools/<str:period>/close",
        sharing.ClosePoolView.as_view(),
        name="pool-close",
    ),
    path("payments/admin/payouts", admin_payouts.as_view({"get": "list"}), name="payout-list"),
    path("payments/admin/payouts/run", admin_payouts.as_view({"post": "run"}), name="payout-run"),
    path(
        "payments/admin/payouts/<uuid:pk>",
        admin_payouts.as_view({"get": "retrieve"}),
        name="payout-detail",
    ),
    *(
        path(
            f"payments/admin/payouts/<uuid:pk>/{step}",
            admin_payouts.as_view({"post": step.replace("-", "_")}),
            name=f"payout-{step}",
        )
        for step in ("approve", "processing", "mark-paid", "mark-failed", "cancel")
    ),
    path(
        "payments/admin/ledger/entries",
        books.LedgerEntriesView.as_view(),
        name="ledger-entries",
    ),
    path("payments/admin/disputes", settling.DisputesView.as_view(), name="dispute-list"),
    path(
        "payments/admin/invoices/<uuid:pk>/refund",
        subscribing.InvoiceRefundView.as_view(),
        name="invoice-refund",
    ),
    path(
        "payments/admin/coupons",
        coupons.as_view({"get": "list", "post": "create"}),
        name="coupon-list",
    ),
    path(
        "payments/admin/coupons/<uuid:pk>",
        coupons.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="coupon-detail",
    ),
    path(
        "payments/admin/plans",
        plans.as_view({"get": "list", "post": "create"}),
        name="admin-plan-list",
    ),
    path(
        "payments/admin/plans/<uuid:pk>",
        plans.as_view({"patch": "partial_update"}),
        name="admin-plan-detail",
    ),
    path(
        "payments/admin/webhook-events", events.as_view({"get": "list"}), name="webhook-event-list"
    ),
    path(
        "payments/admin/webhook-events/<uuid:pk>/replay",
        events.as_view({"post": "replay"}),
        name="webhook-event-replay",
    ),
    path("payments/admin/reconcile", gateway_news.ReconcileView.as_view(), name="reconcile"),
    path("payments/admin/review", books.ReviewView.as_view(), name="review"),
]
