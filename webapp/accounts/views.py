"""Sign-up, log-in, log-out, password change, and the account page."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from webapp.submissions.ownership import mine

from . import rates
from .forms import SignUpForm
from .lockout import limit_attempts

# With two backends configured, a log-in has to say which of them knows the account.
_BACKEND = "django.contrib.auth.backends.ModelBackend"


@method_decorator(limit_attempts(rates.whose_address), name="dispatch")
class LogIn(auth_views.LoginView):
    """Log in; what the browser uploaded before moves along (``signals.py``)."""

    http_method_names = ("get", "head", "post")
    template_name = "accounts/login.html"
    redirect_authenticated_user = True


@method_decorator(limit_attempts(rates.whose), name="dispatch")
class PasswordChange(auth_views.PasswordChangeView):
    """Change the password; other sessions of the account end."""

    http_method_names = ("get", "head", "post")
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("accounts:account")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password was changed.")
        return super().form_valid(form)


@sensitive_post_parameters("password1", "password2")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@limit_attempts(rates.whose_address)
def signup(request: HttpRequest) -> HttpResponse:
    """Make an account and log in with it."""
    if request.user.is_authenticated:
        return redirect("accounts:account")
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.save()
        login(request, user, backend=_BACKEND)
        return redirect(_next(request))
    return render(
        request,
        "accounts/signup.html",
        {"form": form, "next": request.POST.get("next", request.GET.get("next", ""))},
        status=400 if form.errors else 200,
    )


@login_required
@require_safe
@never_cache
def account(request: HttpRequest) -> HttpResponse:
    """Name, password and API tokens."""
    return render(request, "accounts/account.html", {"submissions": mine(request).count()})


def _next(request: HttpRequest) -> str:
    """Where the visitor wanted to go, if that is on this site."""
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return "submissions:list"
