"""Addresses of accounts."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from . import views
from .logout import clear_the_cache

app_name = "accounts"

urlpatterns = [
    path("", views.account, name="account"),
    path("signup/", views.signup, name="signup"),
    path("login/", views.LogIn.as_view(), name="login"),
    path("logout/", clear_the_cache(LogoutView.as_view()), name="logout"),
    path("password/", views.PasswordChange.as_view(), name="password_change"),
    path("tokens/", include("webapp.accounts.token_urls")),
]
