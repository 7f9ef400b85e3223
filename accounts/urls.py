from django.urls import path

from accounts import views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view(), name="register"),
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/refresh", views.RefreshView.as_view(), name="refresh"),
    path("auth/logout", views.LogoutView.as_view(), name="logout"),
    path("auth/password", views.PasswordView.as_view(), name="password"),
    path("auth/me", views.MeView.as_view(), name="me"),
    path("users/", views.UserViewSet.as_view({"get": "list"}), name="user-list"),
    path("users/<id:pk>", views.UserViewSet.as_view({"get": "retrieve"}), name="user-detail"),
    path("users/<id:pk>/role", views.UserViewSet.as_view({"patch": "set_role"}), name="user-role"),
    path(
        "users/<id:pk>/status",
        views.UserViewSet.as_view({"patch": "set_status"}),
        name="user-status",
    ),
]
