from django.urls import path

from payments import urls_back_office
from payments.views import buyers, reports, sandbox, subscribers
from payments.views.webhooks import webhook

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
    path("payments/orders/<uuid:pk>/sync", orders.as_view({"post": "sync"}), name="order-sync"),
    path(
        "payments/orders/<uuid:pk>/refund", orders.as_view({"post": "refund"}), name="order-return"
    ),
    path(
        "payments/orders/<uuid:pk>/receipt",
        orders.as_view({"get": "receipt"}),
        name="order-receipt",
    ),
    path("payments/offers", buyers.OffersListView.as_view(), name="offer-list"),
    path("payments/offers/<uuid:video_id>", buyers.OffersView.as_view(), name="offers"),
    path(
        "payments/entitlements/<uuid:video_id>",
        buyers.EntitlementView.as_view(),
        name="entitlement",
    ),
    path("payments/entitlements", buyers.EntitlementsView.as_view(), name="entitlement-list"),
    path("payments/subscribe", subscribers.SubscribeView.as_view(), name="subscribe"),
    path("payments/subscription", subscribers.SubscriptionView.as_view(), name="subscription"),
    path(
        "payments/subscription/cancel",
        subscribers.CancelSubscriptionView.as_view(),
        name="subscription-cancel",
    ),
    path(
        "payments/subscription/resume",
        subscribers.ResumeSubscriptionView.as_view(),
        name="subscription-resume",
    ),
    path(
        "payments/subscription/change",
        subscribers.ChangeSubscriptionView.as_view(),
        name="subscription-change",
    ),
    path(
        "payments/subscription/payment-method",
        subscribers.PaymentMethodView.as_view(),
        name="subscription-payment-method",
    ),
    path("payments/invoices", subscribers.InvoicesView.as_view(), name="invoice-list"),
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
]
urlpatterns += urls_back_office.urlpatterns
