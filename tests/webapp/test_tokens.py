"""API tokens on the account page: made, shown once, used, revoked."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from webapp.accounts.models import ApiToken
from webapp.accounts.tokens import MAX_TOKENS_PER_USER

pytestmark = pytest.mark.django_db

SUBMISSIONS = "/api/v1/submissions/"


def make(client: Client, name: str) -> str:
    """Make a token as a person does, and read its secret off the page."""
    page = client.post(reverse("accounts:token_create"), {"name": name})
    found = re.search(r'value="(fv_[\w-]+)"', page.content.decode())
    assert found, "the page shows no secret"
    return found.group(1)


def status_with(secret: str, scheme: str = "Token") -> int:
    answer = Client().get(SUBMISSIONS, headers={"Authorization": f"{scheme} {secret}"})
    return answer.status_code


def test_a_token_is_shown_once_and_works(client: Client, alice: User) -> None:
    client.force_login(alice)
    secret = make(client, "nightly import")
    assert status_with(secret) == 200
    assert status_with(secret, "Bearer") == 200
    account = client.get(reverse("accounts:account")).content.decode()
    assert "nightly import" in account
    assert secret not in account


def test_the_page_with_the_secret_is_never_cached(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.post(reverse("accounts:token_create"), {"name": "one"})
    assert "no-store" in page.headers["Cache-Control"]


def test_the_database_holds_no_secret(alice: User) -> None:
    token, secret = ApiToken.objects.issue(alice, "one")
    stored = " ".join(str(v) for v in ApiToken.objects.filter(pk=token.pk).values_list()[0])
    assert secret not in stored
    assert secret[8:] not in stored


def test_somebody_has_several_tokens_and_revoking_one_leaves_the_others(
    client: Client, alice: User
) -> None:
    client.force_login(alice)
    first, second = make(client, "first"), make(client, "second")
    token = ApiToken.objects.get(name="first")
    client.post(reverse("accounts:token_revoke", args=[token.pk]))
    assert status_with(first) == 401
    assert status_with(second) == 200


def test_a_stranger_cannot_revoke_a_token(client: Client, alice: User, bob: User) -> None:
    token, secret = ApiToken.objects.issue(alice, "one")
    client.force_login(bob)
    answer = client.post(reverse("accounts:token_revoke", args=[token.pk]))
    assert answer.status_code == 404
    assert status_with(secret) == 200


def test_two_tokens_of_one_user_cannot_share_a_name(client: Client, alice: User) -> None:
    client.force_login(alice)
    make(client, "one")
    page = client.post(reverse("accounts:token_create"), {"name": "one"}, follow=True)
    assert "already" in page.content.decode()
    assert ApiToken.objects.count() == 1


def test_two_users_may_use_the_same_name(alice: User, bob: User) -> None:
    ApiToken.objects.issue(alice, "one")
    ApiToken.objects.issue(bob, "one")
    assert ApiToken.objects.count() == 2


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_a_token_needs_a_name_of_sensible_length(client: Client, alice: User, name: str) -> None:
    client.force_login(alice)
    client.post(reverse("accounts:token_create"), {"name": name})
    assert not ApiToken.objects.exists()


def test_the_number_of_tokens_is_limited(client: Client, alice: User) -> None:
    for number in range(MAX_TOKENS_PER_USER):
        ApiToken.objects.issue(alice, f"token {number}")
    client.force_login(alice)
    client.post(reverse("accounts:token_create"), {"name": "one more"})
    assert ApiToken.objects.count() == MAX_TOKENS_PER_USER


def test_a_visitor_without_an_account_is_sent_to_the_log_in_page(client: Client) -> None:
    answer = client.post(reverse("accounts:token_create"), {"name": "one"})
    assert answer.status_code == 302
    assert reverse("accounts:login") in answer.headers["Location"]


def test_making_and_revoking_need_the_csrf_token(alice: User) -> None:
    token, _ = ApiToken.objects.issue(alice, "one")
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post(reverse("accounts:token_create"), {"name": "two"}).status_code == 403
    assert client.post(reverse("accounts:token_revoke", args=[token.pk])).status_code == 403
    assert ApiToken.objects.get() == token


def test_use_is_noted_but_not_written_at_every_request(
    alice: User, django_assert_num_queries: object
) -> None:
    token, secret = ApiToken.objects.issue(alice, "one")
    assert token.last_used_at is None
    status_with(secret)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    status_with(secret)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    status_with(secret)
    latest = ApiToken.objects.get().last_used_at
    assert latest is not None
    assert latest >= first


def test_the_token_of_an_inactive_user_does_not_work(alice: User) -> None:
    _, secret = ApiToken.objects.issue(alice, "one")
    alice.is_active = False
    alice.save()
    assert status_with(secret) == 401


@pytest.mark.parametrize(
    "header", ["Token", "Token fv_unknown", "Bearer a b", "Token \xff\xfe", "bearer fv_"]
)
def test_a_header_that_is_no_token_is_refused(db: None, header: str) -> None:
    answer = Client().get(SUBMISSIONS, headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_token"
    assert answer.headers["WWW-Authenticate"].startswith("Token")
