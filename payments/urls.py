from django.urls import path

from payments.views import buyers, reports, sandbox

orders = buyers.OrderViewSet

urlpatterns = [
    path("payments/config", buyers.ConfigView.as_view(), name="payment-config"),
    path("payments/plans", buyers.PlansView.as_view(), name="plan-list"),
    path("payments/purchase/<uuid:video_id>", buyers.PurchaseView.as_view(), name="purchase"),
    path("payments/orders", orders.as_view({"get": "list"}), name="order-list"),
    path("payments/orders/<uuid:pk>", orders.as_view({"get": "retrieve"}), name="order-detail"),
    path(
        "payments/orders/<uuid:pk>/cancel", orders.as_view({"post": "cancel"}), name="order-cancel"
    ),
    path("payments/entitlements", buyers.EntitlementsView.as_view(), name="entitlement-list"),
    path("payments/subscribe", buyers.SubscribeView.as_view(), name="subscribe"),
    path("payments/subscription", buyers.SubscriptionView.as_view(), name="subscription"),
    path(
        "payments/subscription/cancel",
        buyers.CancelSubscriptionView.as_view(),
        name="subscription-cancel",
    ),
    path("payments/creator/earnings", reports.EarningsView.as_view(), name="creator-earnings"),
    path("payments/admin/revenue", reports.RevenueView.as_view(), name="admin-revenue"),
    path(
        "payments/admin/ledger/trial-balance",
        reports.TrialBalanceView.as_view(),
        name="trial-balance",
    ),
    path(
        "payments/admin/orders/<uuid:pk>/refund", reports.RefundView.as_view(), name="order-refund"
    ),
    path("payments/sandbox/checkout/<str:token>", sandbox.checkout_page, name="sandbox-checkout"),
]
