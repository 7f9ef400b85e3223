from django.urls import path

from accounts import views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view()),
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.LogoutView.as_view()),
    path("auth/password", views.PasswordView.as_view()),
    path("auth/me", views.MeView.as_view()),
    path("users/", views.UserViewSet.as_view({"get": "list"})),
    path("users/<id:pk>", views.UserViewSet.as_view({"get": "retrieve"})),
    path("users/<id:pk>/role", views.UserViewSet.as_view({"patch": "set_role"})),
    path("users/<id:pk>/moderator", views.UserViewSet.as_view({"patch": "set_moderator"})),
    path("users/<id:pk>/status", views.UserViewSet.as_view({"patch": "set_status"})),
]
