"""The sign-up form."""

from __future__ import annotations

from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User


class SignUpForm(UserCreationForm):
    """A name and a password; nothing else is asked for."""

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username",)
