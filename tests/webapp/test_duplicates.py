"""The same file once more: the earlier result is offered, to nobody but its owner."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.webapp.evidence import MP4, a_video, fail, finish, run
from tests.webapp.tus_client import begun, send
from webapp.submissions import queue, retention
from webapp.submissions.duplicates import earlier_results
from webapp.submissions.models import State, Submission
from webapp.submissions.uploads import receive

pytestmark = pytest.mark.django_db

LIST = "/submissions/"
API = "/api/v1/submissions/"
OFFER = "You uploaded the same file"

Make = Callable[..., Submission]


@pytest.fixture
def make(alice: User) -> Make:
    def make(name: str = "clip.mp4", content: bytes = MP4, **owner: Any) -> Submission:
        owner = owner or {"owner": alice, "visitor": None}
        return receive(a_video(name, content), **owner)

    return make


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return str(answer.content.decode())


def offered(client: Client, submission: Submission) -> str | None:
    """The earlier submission that is offered; page, list and API agree on it."""
    answer = client.get(f"{API}{submission.pk}/").json()["duplicate_of"]
    (listed,) = [
        one["duplicate_of"]
        for one in client.get(API).json()["results"]
        if one["id"] == str(submission.pk)
    ]
    assert listed == answer
    own_page = page(client, submission.get_absolute_url())
    (row,) = [
        part
        for part in page(client, LIST).split('<li class="row"')
        if part.startswith(f' id="row-{submission.pk}"')
    ]
    for text in (own_page, row):
        assert (OFFER in text) == (answer is not None)
        if answer:
            assert f'<a href="/submissions/{answer}/">' in text.partition(OFFER)[2]
    return str(answer) if answer else None


def by_form(client: Client) -> None:
    client.post("/", {"video": a_video("again.mp4")})


def by_api(client: Client) -> None:
    assert client.post(API, {"video": a_video("again.mp4")}).status_code == 201


def in_pieces(client: Client) -> None:
    address = begun(client, len(MP4), "again.mp4")
    send(client, address, MP4[:1000])
    send(client, address, MP4[1000:], offset=1000)


@pytest.mark.parametrize("way", [by_form, by_api, in_pieces])
def test_the_earlier_result_is_offered_beside_an_analysis_of_its_own(
    signed_in: Client, make: Make, way: Callable[[Client], None]
) -> None:
    earlier = make()
    finish(earlier)
    way(signed_in)
    again = Submission.objects.get(original_name="again.mp4")
    assert offered(signed_in, again) == str(earlier.pk)
    assert again.analyses.get().state == State.QUEUED
    assert offered(signed_in, earlier) is None


@pytest.mark.parametrize("way", [by_form, by_api, in_pieces])
def test_a_visitor_is_offered_what_the_browser_uploaded(
    client: Client, way: Callable[[Client], None]
) -> None:
    client.post("/", {"video": a_video("first.mp4")})
    earlier = Submission.objects.get()
    finish(earlier)
    way(client)
    again = Submission.objects.get(original_name="again.mp4")
    assert offered(client, again) == str(earlier.pk)


def test_the_page_names_the_day(signed_in: Client, make: Make) -> None:
    earlier, again = make(), make()
    finish(earlier)
    when = f"{earlier.created_at:%Y, %H:%M} UTC</time>"
    text = page(signed_in, again.get_absolute_url())
    assert f"{OFFER} on <time" in text
    assert f"{when}: <a" in text
    assert f"{when}</a>" in page(signed_in, LIST)


def test_the_answer_to_an_upload_says_it_already(signed_in: Client, make: Make) -> None:
    earlier = make()
    finish(earlier)
    answer = signed_in.post(API, {"video": a_video()}).json()
    assert answer["duplicate_of"] == str(earlier.pk)


def test_nobody_learns_what_others_have(
    signed_in: Client, make: Make, alice: User, bob: User, admin_user: User
) -> None:
    finish(make(owner=bob, visitor=None))
    visitor = Client()
    visitor.post("/", {"video": a_video("visitor's.mp4")})
    visitors = Submission.objects.get(owner=None)
    finish(visitors)
    other = Client()
    other.post("/", {"video": a_video("other visitor's.mp4")})
    others = Submission.objects.get(original_name="other visitor's.mp4")
    assert offered(signed_in, make()) is None
    assert offered(visitor, visitors) is None
    assert offered(other, others) is None
    # Those who see everything in the admin have nothing of it on their own pages.
    signed_in.force_login(admin_user)
    assert offered(signed_in, make(owner=admin_user, visitor=None)) is None


def test_after_the_log_in_the_visitors_uploads_count(client: Client, alice: User) -> None:
    client.post("/", {"video": a_video("before.mp4")})
    earlier = Submission.objects.get()
    finish(earlier)
    client.post("/accounts/login/", {"username": "alice", "password": "alice-password"})
    again = receive(a_video(), owner=alice, visitor=None)
    assert offered(client, again) == str(earlier.pk)


def test_another_file_of_the_same_name_is_no_duplicate(signed_in: Client, make: Make) -> None:
    finish(make())
    assert offered(signed_in, make(content=MP4 + b"x")) is None


def test_only_what_has_a_result_is_offered(signed_in: Client, make: Make) -> None:
    fail(make(), "cannot_decode", "The video is damaged.")
    queue.cancel(make().analyses.get().pk)
    run(make())
    make()
    again = make()
    assert offered(signed_in, again) is None


def test_a_result_that_comes_later_is_offered_then(signed_in: Client, make: Make) -> None:
    earlier, again = make(), make()
    assert offered(signed_in, again) is None
    finish(earlier)
    assert offered(signed_in, again) == str(earlier.pk)


def test_of_several_the_newest_is_offered(signed_in: Client, make: Make) -> None:
    first, second, third, fourth = make(), make(), make(), make()
    for one in (first, second, fourth):
        finish(one)
    assert offered(signed_in, third) == str(second.pk)
    assert offered(signed_in, fourth) == str(second.pk)
    assert offered(signed_in, second) == str(first.pk)


def test_what_was_deleted_is_not_offered(signed_in: Client, make: Make) -> None:
    first, second, again = make(), make(), make()
    finish(first)
    finish(second)
    queue.delete_submission(second)
    assert offered(signed_in, again) == str(first.pk)
    queue.delete_submission(first)
    assert offered(signed_in, again) is None


def test_a_result_outlives_its_video(signed_in: Client, make: Make, settings: Any) -> None:
    earlier = make()
    finish(earlier)
    past = timezone.now() - timedelta(days=31)
    Submission.objects.filter(pk=earlier.pk).update(created_at=past)
    settings.FRAMEVOTE_RETENTION_DAYS = 30
    assert retention.remove_overdue() == 1
    assert offered(signed_in, make()) == str(earlier.pk)


def test_a_row_that_refreshes_says_it_too(signed_in: Client, make: Make) -> None:
    finish(make())
    again = make()
    answer = signed_in.get(f"{LIST}?active={again.pk}", headers={"HX-Request": "true"})
    assert OFFER in answer.content.decode()


@pytest.mark.parametrize("address", [LIST, API])
def test_the_number_of_queries_does_not_grow_with_duplicates(
    signed_in: Client,
    make: Make,
    address: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(2):
        finish(make())
    signed_in.get(address)  # The first request also makes the row that counts them.
    with django_assert_max_num_queries(18) as few:
        signed_in.get(address)
    for number in range(15):
        finish(make(content=MP4 + bytes(number % 3)))
    with django_assert_max_num_queries(len(few.captured_queries)):
        signed_in.get(address)


def test_the_same_bytes_are_found_by_an_index(
    make: Make, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("how Postgres plans depends on what it knows of the table")
    upload = make()
    with django_assert_num_queries(1) as asked:
        earlier_results(Submission.objects.owned_by(alice, None), [upload])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + asked.captured_queries[0]["sql"])
        plan = str(cursor.fetchall())
    assert "(owner_id=? AND sha256=?)" in plan
