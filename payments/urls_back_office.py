"""Routes of creators and administrators."""

from django.urls import path

from payments.views import administration, creators, sharing

coupons = administration.CouponViewSet
plans = administration.AdminPlanViewSet
events = administration.WebhookEventViewSet
payouts = sharing.AdminPayoutViewSet

urlpatterns = [
    path("payments/creator/balance", creators.BalanceView.as_view(), name="creator-balance"),
    path("payments/creator/statements", creators.StatementsView.as_view(), name="statement-list"),
    path(
        "payments/creator/statements/<str:period>.csv",
        creators.StatementCsvView.as_view(),
        name="statement-csv",
    ),
    path(
        "payments/creator/statements/<str:period>",
        creators.StatementView.as_view(),
        name="statement",
    ),
    path("payments/creator/payouts", creators.PayoutsView.as_view(), name="creator-payouts"),
    path(
        "payments/creator/videos/<uuid:video_id>/offers",
        creators.PricesView.as_view(),
        name="creator-prices",
    ),
    path("payments/admin/pools", sharing.PoolsView.as_view(), name="pool-list"),
    path(
        "payments/admin/pools/<str:period>/close",
        sharing.ClosePoolView.as_view(),
        name="pool-close",
    ),
    path("payments/admin/payouts", payouts.as_view({"get": "list"}), name="payout-list"),
    path("payments/admin/payouts/run", payouts.as_view({"post": "run"}), name="payout-run"),
    path(
        "payments/admin/payouts/<uuid:pk>",
        payouts.as_view({"get": "retrieve"}),
        name="payout-detail",
    ),
    *(
        path(
            f"payments/admin/payouts/<uuid:pk>/{step}",
            payouts.as_view({"post": step.replace("-", "_")}),
            name=f"payout-{step}",
        )
        for step in ("approve", "processing", "mark-paid", "mark-failed", "cancel")
    ),
    path(
        "payments/admin/ledger/entries",
        administration.LedgerEntriesView.as_view(),
        name="ledger-entries",
    ),
    path("payments/admin/disputes", administration.DisputesView.as_view(), name="dispute-list"),
    path(
        "payments/admin/invoices/<uuid:pk>/refund",
        administration.InvoiceRefundView.as_view(),
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
    path("payments/admin/reconcile", administration.ReconcileView.as_view(), name="reconcile"),
    path("payments/admin/review", administration.ReviewView.as_view(), name="review"),
]
