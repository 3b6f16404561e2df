"""One submission while it is analyzed: the page follows without being loaded again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.webapp.evidence import finish, run
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Submission

NO_WORKER = "No worker that could take it is running just now"


def test_a_waiting_analysis_tells_its_place(signed_in: Client, submission: Submission) -> None:
    page = _page(signed_in, submission)
    assert "Waiting: next in the queue" in page
    assert f'hx-get="/submissions/{submission.pk}/status/' in page
    assert "aria-current" not in _stages(page)


def test_who_waits_for_no_worker_is_told(signed_in: Client, submission: Submission) -> None:
    assert NO_WORKER in _page(signed_in, submission)
    queue.beat("worker1", slots=1)
    assert NO_WORKER not in _status(signed_in, submission)
    assert "as soon as a worker is free" in _status(signed_in, submission)


def test_a_running_analysis_marks_its_stage(signed_in: Client, submission: Submission) -> None:
    run(submission, stage="predict", percent=64)
    page = _page(signed_in, submission)
    assert "Being analyzed: 64%" in page
    assert 'value="64"' in page
    statuses = re.findall(r'class="stage is-(\w+)"', page)
    assert statuses == ["done", "done", "done", "current", "waiting", "waiting"]


def test_sampling_frames_is_part_of_finding_faces(
    signed_in: Client, submission: Submission
) -> None:
    run(submission, stage="sample")
    assert re.findall(r'class="stage is-(\w+)"', _page(signed_in, submission))[1] == "current"


def test_a_second_attempt_is_told(signed_in: Client, submission: Submission) -> None:
    lease = queue.claim(submission.analyses.get().pk, worker="lost")
    assert lease is not None
    queue.retry(lease, "the worker died")
    assert "attempt 2 of 3" in _page(signed_in, submission)


def test_the_fragment_is_only_the_live_part(signed_in: Client, submission: Submission) -> None:
    run(submission, stage="detect", percent=12)
    fragment = _status(signed_in, submission)
    assert "<html" not in fragment
    assert "<title>12% – interview.mp4" in fragment
    assert 'hx-trigger="every 2s"' in fragment


def test_a_screen_reader_hears_of_a_new_stage_only(
    signed_in: Client, submission: Submission
) -> None:
    run(submission, stage="detect")
    fragment = _status(signed_in, submission)
    assert 'id="announcement" hx-swap-oob="innerHTML">Being analyzed' in fragment
    seen = re.search(r"seen=([^\"&]+)", fragment)
    assert seen is not None
    assert 'id="announcement"' not in _status(signed_in, submission, f"?seen={seen.group(1)}")


def test_the_fragment_turns_into_the_result(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    fragment = _status(signed_in, submission, "?seen=RUNNING-Judge")
    assert "hx-get" not in fragment
    assert "Verdict: Fake." in fragment
    assert 'id="trust"' in fragment
    assert 'id="face-3"' in fragment


# --- while another analysis of the same video runs ------------------------------------------


@pytest.fixture
def earlier(submission: Submission) -> Analysis:
    """A result that is looked at while a newer analysis runs."""
    analysis = finish(submission)
    run(submission, stage="detect", percent=30)
    return analysis


def test_an_earlier_result_follows_the_newer_analysis(
    signed_in: Client, submission: Submission, earlier: Analysis
) -> None:
    page = signed_in.get(f"{submission.get_absolute_url()}?analysis={earlier.pk}").content.decode()
    assert "Running 30%" in page
    (address,) = re.findall(r'hx-get="([^"]+)"', page)
    Analysis.objects.exclude(pk=earlier.pk).update(percent=80)
    fragment = _ask(signed_in, address.replace("&amp;", "&")).content.decode()
    assert "Running 80%" in fragment
    assert "hx-get" in fragment
    assert 'id="verdict-heading"' not in fragment, "the player would begin anew"


def test_the_following_ends_with_the_newer_analysis(
    signed_in: Client, submission: Submission, earlier: Analysis
) -> None:
    newer = submission.analyses.exclude(pk=earlier.pk).get(state="RUNNING")
    queue.cancel(newer.pk)
    fragment = _status(signed_in, submission, f"?analysis={earlier.pk}&part=others")
    assert "hx-get" not in fragment
    assert "Canceled" in fragment
    assert "Analyze again" in fragment
    assert 'id="announcement" hx-swap-oob="innerHTML">The other analysis has ended.' in fragment


def test_following_costs_no_evidence(
    signed_in: Client,
    submission: Submission,
    earlier: Analysis,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_max_num_queries(4) as asked:
        _status(signed_in, submission, f"?analysis={earlier.pk}&part=others")
    assert not any("submissions_face" in query["sql"] for query in asked.captured_queries)


# --- when it is gone -------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "?part=others"])
def test_a_page_whose_video_was_deleted_elsewhere_is_loaded_again(
    signed_in: Client, submission: Submission, query: str
) -> None:
    """htmx leaves the page as it is on a 404, and would ask for ever."""
    address = f"/submissions/{submission.pk}/status/{query}"
    queue.delete_submission(submission)
    assert _ask(signed_in, address)["HX-Refresh"] == "true"
    assert signed_in.get(address).status_code == 404
    assert signed_in.get(submission.get_absolute_url()).status_code == 404


def test_a_page_whose_session_ended_is_loaded_again(
    signed_in: Client, submission: Submission
) -> None:
    signed_in.logout()
    answer = _ask(signed_in, f"/submissions/{submission.pk}/status/")
    assert answer["HX-Refresh"] == "true"
    assert b"interview" not in answer.content


def _status(signed_in: Client, submission: Submission, query: str = "") -> str:
    return _ask(signed_in, f"/submissions/{submission.pk}/status/{query}").content.decode()


def _stages(page: str) -> str:
    return page[page.index('class="stages"') : page.index("</ol>")]


def _ask(client: Client, address: str) -> Any:
    return client.get(address, headers={"HX-Request": "true"})


def _page(signed_in: Client, submission: Submission) -> str:
    return signed_in.get(submission.get_absolute_url()).content.decode()
