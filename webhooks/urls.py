"""The routes of webhooks."""

from django.urls import path

from webhooks import views

urlpatterns = [
    path(
        "webhooks/endpoints/",
        views.EndpointViewSet.as_view({"get": "list", "post": "create"}),
        name="webhook-endpoints",
    ),
    path(
        "webhooks/endpoints/<id:pk>",
        views.EndpointViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="webhook-endpoint",
    ),
    path(
        "webhooks/deliveries/",
        views.DeliveryViewSet.as_view({"get": "list"}),
        name="webhook-deliveries",
    ),
    path(
        "webhooks/deliveries/<id:pk>/replay",
        views.DeliveryViewSet.as_view({"post": "replay"}),
        name="webhook-replay",
    ),
]
