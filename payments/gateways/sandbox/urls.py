"""The routes of the sandbox: its pages, and the switches of its clock and banks."""

from django.urls import path

from payments.gateways.sandbox import views

urlpatterns = [
    path("checkout/<str:token>", views.checkout_page, name="sandbox-checkout"),
    path("authenticate/<str:payment_id>", views.authenticate_page, name="sandbox-authenticate"),
    path("clock", views.SandboxClockView.as_view(), name="sandbox-clock"),
    path("payments/<id:pk>/dispute", views.SandboxDisputeView.as_view(), name="sandbox-dispute"),
    path(
        "payments/<id:pk>/reinstate",
        views.SandboxReinstateView.as_view(),
        name="sandbox-reinstate",
    ),
    path(
        "payments/<id:pk>/refund-fail",
        views.SandboxRefundFailView.as_view(),
        name="sandbox-refund-fail",
    ),
]
