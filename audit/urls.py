from django.urls import path

from audit.views import AuditViewSet

urlpatterns = [path("audit/", AuditViewSet.as_view({"get": "list"}), name="audit-list")]
