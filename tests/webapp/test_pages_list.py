"""My submissions: what a row says, filters, pages, live rows, and the number of queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.webapp.evidence import a_video, fail, finish, run
from webapp.submissions import queue
from webapp.submissions.models import Analysis, State, Submission, VerdictChoice
from webapp.submissions.uploads import receive

Make = Callable[..., Submission]
LIST = "/submissions/"


@pytest.fixture
def make(alice: User) -> Make:
    return lambda name="clip.mp4": receive(a_video(name), owner=alice, visitor=None)


def test_an_empty_list_says_what_will_be_there(signed_in: Client) -> None:
    page = signed_in.get(LIST).content.decode()
    assert "No videos yet" in page
    assert 'role="search"' not in page


def test_rows_say_state_and_verdict_in_words(signed_in: Client, make: Make) -> None:
    finish(make("done.mp4"))
    run(make("busy.mp4"), percent=42)
    fail(make("broken.mp4"), "cannot_decode", "The video is damaged.")
    queue.cancel(make("stopped.mp4").analyses.get().pk)
    make("next.mp4")
    make("later.mp4")
    page = signed_in.get(LIST).content.decode()
    for words in (
        "Fake</span>",
        "2 of 3 faces voted fake",
        "Running 42%",
        "The video is damaged.",
        "Canceled</span>",
        "next in the queue",
        "number 2 in the queue",
    ):
        assert words in page


def test_the_waiting_time_is_told_when_it_is_known(signed_in: Client, make: Make) -> None:
    done = finish(make("done.mp4"))
    Analysis.objects.filter(pk=done.pk).update(started_at=timezone.now() - timedelta(minutes=10))
    queue.beat("worker1", slots=1)
    make("first.mp4")
    make("second.mp4")
    make("third.mp4")
    page = signed_in.get(LIST).content.decode()
    assert "next in the queue, a few seconds" in page
    assert "number 2 in the queue, about 10 min" in page
    assert "number 3 in the queue, about 20 min" in page


def test_names_are_escaped(signed_in: Client, make: Make) -> None:
    make("<img src=x onerror=alert(1)>.mp4")
    page = signed_in.get(LIST).content.decode()
    assert "&lt;img src=x onerror=alert(1)&gt;.mp4" in page
    assert "<img src=x" not in page


@pytest.mark.parametrize(
    ("show", "name"),
    [
        ("fake", "fake.mp4"),
        ("real", "real.mp4"),
        ("undecided", "undecided.mp4"),
        ("waiting", "waiting.mp4"),
        ("running", "running.mp4"),
        ("failed", "failed.mp4"),
        ("canceled", "canceled.mp4"),
    ],
)
def test_the_list_can_be_narrowed(signed_in: Client, make: Make, show: str, name: str) -> None:
    for verdict in VerdictChoice:
        finish(make(f"{verdict.lower()}.mp4"), verdict=verdict)
    run(make("running.mp4"))
    fail(make("failed.mp4"), "internal", "Something broke.")
    queue.cancel(make("canceled.mp4").analyses.get().pk)
    make("waiting.mp4")
    assert _names(signed_in, f"?show={show}") == [name]


def test_the_newest_analysis_decides(signed_in: Client, make: Make) -> None:
    submission = make("again.mp4")
    finish(submission)
    queue.enqueue(submission)
    assert _names(signed_in, "?show=fake") == []
    assert _names(signed_in, "?show=waiting") == ["again.mp4"]


def test_a_name_can_be_searched(signed_in: Client, make: Make) -> None:
    make("Holiday in Rome.mp4")
    make("interview.mp4")
    assert _names(signed_in, "?q=ROME") == ["Holiday in Rome.mp4"]
    assert "Nothing matches" in signed_in.get(f"{LIST}?q=paris").content.decode()


def test_what_is_not_understood_does_not_narrow(signed_in: Client, make: Make) -> None:
    make("clip.mp4")
    assert _names(signed_in, "?show=nonsense&page=minus") == ["clip.mp4"]


def test_pages_keep_the_filter(signed_in: Client, make: Make) -> None:
    for number in range(21):
        make(f"clip {number:02d}.mp4")
    first = signed_in.get(f"{LIST}?q=clip").content.decode()
    assert "Page 1 of 2" in first
    assert 'href="?q=clip&amp;page=2"' in first
    assert _names(signed_in, "?q=clip&page=2") == ["clip 00.mp4"]


def test_active_rows_refresh_without_the_page(signed_in: Client, make: Make) -> None:
    finished, waiting = make("was running.mp4"), make("still waiting.mp4")
    page = signed_in.get(LIST).content.decode()
    assert f"active={waiting.pk},{finished.pk}" in page
    finish(finished)
    rows = _rows(signed_in, waiting, finished)
    assert "<html" not in rows
    assert f'id="row-{finished.pk}" hx-swap-oob="true"' in rows
    assert "2 of 3 faces voted fake" in rows
    assert f"?active={waiting.pk}&quot;" in rows or f'?active={waiting.pk}"' in rows


def test_the_refreshing_ends_with_the_last_active_row(signed_in: Client, make: Make) -> None:
    submission = make()
    finish(submission)
    rows = _rows(signed_in, submission)
    assert "hx-get" not in rows
    assert "hx-trigger" not in signed_in.get(LIST).content.decode()


def test_a_row_deleted_elsewhere_goes_from_the_page(signed_in: Client, make: Make) -> None:
    gone, left = make("gone.mp4"), make("left.mp4")
    queue.delete_submission(gone)
    rows = _rows(signed_in, gone, left)
    assert f'<li id="row-{gone.pk}" hx-swap-oob="delete"></li>' in rows
    assert f'id="row-{left.pk}" hx-swap-oob="true"' in rows
    assert f"?active={left.pk}&quot;" in rows or f'?active={left.pk}"' in rows


def test_a_list_of_which_nothing_is_left_is_loaded_again(signed_in: Client, make: Make) -> None:
    submission = make()
    queue.delete_submission(submission)
    address = f"{LIST}?active={submission.pk}"
    answer = signed_in.get(address, headers={"HX-Request": "true"})
    assert answer["HX-Refresh"] == "true"


def test_a_list_whose_session_ended_is_loaded_again(signed_in: Client, make: Make) -> None:
    submission = make()
    signed_in.logout()
    address = f"{LIST}?active={submission.pk}"
    answer = signed_in.get(address, headers={"HX-Request": "true"})
    assert answer["HX-Refresh"] == "true"
    assert b"clip.mp4" not in answer.content


def test_nonsense_among_the_active_ids_is_passed_over(signed_in: Client, make: Make) -> None:
    submission = make()
    answer = signed_in.get(
        f"{LIST}?active=x,,{submission.pk}", headers={"HX-Request": "true"}
    ).content.decode()
    assert f"row-{submission.pk}" in answer


def test_canceling_leads_back_to_the_list(signed_in: Client, make: Make) -> None:
    analysis = make().analyses.get()
    address = f"/analyses/{analysis.pk}/cancel/"
    assert signed_in.post(address, {"next": "/submissions/?q=a"})["Location"] == "/submissions/?q=a"
    analysis.refresh_from_db()
    assert analysis.state == State.CANCELED


def test_canceling_leads_to_no_other_site(signed_in: Client, make: Make) -> None:
    submission = make()
    address = f"/analyses/{submission.analyses.get().pk}/cancel/"
    answer = signed_in.post(address, {"next": "https://evil.example/"})
    assert answer["Location"] == submission.get_absolute_url()


def test_the_number_of_queries_does_not_grow_with_the_rows(
    signed_in: Client, make: Make, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    def fill(times: int) -> None:
        for _ in range(times):
            finish(make())
            run(make())
            fail(make(), "internal", "Something broke.")
            make()
            make()

    queue.beat("worker1", slots=1)
    fill(1)
    with django_assert_max_num_queries(18) as few:
        signed_in.get(LIST)
    fill(3)
    with django_assert_max_num_queries(len(few.captured_queries)):
        page = signed_in.get(LIST)
    assert page.content.count(b'class="row"') == 20


def _names(signed_in: Client, query: str) -> list[str]:
    rows = signed_in.get(LIST + query).context["rows"]
    return [row.submission.original_name for row in rows]


def _rows(signed_in: Client, *active: Submission) -> str:
    ids = ",".join(str(submission.pk) for submission in active)
    answer = signed_in.get(f"{LIST}?active={ids}", headers={"HX-Request": "true"})
    return answer.content.decode()
