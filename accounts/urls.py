from django.urls import path

from accounts import erasing_views, key_views, oidc_views, recovery_views, totp_views, views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view(), name="register"),
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/refresh", views.RefreshView.as_view(), name="refresh"),
    path("auth/logout", views.LogoutView.as_view()),
    path("auth/password", views.PasswordView.as_view()),
    path("auth/password/forgot", recovery_views.ForgotView.as_view()),
    path("auth/password/reset", recovery_views.ResetView.as_view()),
    path("auth/email", recovery_views.EmailView.as_view()),
    path("auth/email/verify", recovery_views.VerifyView.as_view()),
    path("auth/email/resend", recovery_views.ResendView.as_view()),
    path(
        "auth/sessions/",
        recovery_views.SignInViewSet.as_view({"get": "list", "delete": "destroy_all"}),
    ),
    path("auth/sessions/<id:pk>", recovery_views.SignInViewSet.as_view({"delete": "destroy"})),
    path("auth/totp", totp_views.TotpView.as_view()),
    path("auth/totp/confirm", totp_views.TotpConfirmView.as_view()),
    path("auth/oidc/token", oidc_views.OidcTokenView.as_view()),
    path("auth/api-keys/", key_views.ApiKeyViewSet.as_view({"get": "list", "post": "create"})),
    path("auth/api-keys/<id:pk>", key_views.ApiKeyViewSet.as_view({"delete": "destroy"})),
    path("auth/me", erasing_views.MeView.as_view()),
    path("auth/me/export", erasing_views.ExportView.as_view()),
    path("auth/me/identities", oidc_views.IdentityViewSet.as_view({"get": "list"})),
    path("auth/me/identities/<id:pk>", oidc_views.IdentityViewSet.as_view({"delete": "destroy"})),
    path("users/", views.UserViewSet.as_view({"get": "list"})),
    path("users/<id:pk>", views.UserViewSet.as_view({"get": "retrieve"})),
    path("users/<id:pk>/role", views.UserViewSet.as_view({"patch": "set_role"})),
    path("users/<id:pk>/moderator", views.UserViewSet.as_view({"patch": "set_moderator"})),
    path("users/<id:pk>/status", views.UserViewSet.as_view({"patch": "set_status"})),
]
