"""What is known of an analysis that still runs: who sees it, and when it goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.test import Client

from tests.webapp.evidence import finish, run, stored_files
from tests.webapp.outcomes import a_provisional, an_outcome
from webapp.submissions import provisional, queue
from webapp.submissions.models import Analysis, Submission

pytestmark = pytest.mark.django_db

SENTENCE = "2 faces voted real and 1 fake in 2 of 8 frames to judge."


@pytest.fixture
def lease(submission: Submission) -> queue.Lease:
    lease = queue.claim(submission.analyses.get().pk, worker="w")
    assert lease is not None
    return lease


def known() -> provisional.Provisional | None:
    return provisional.of(Analysis.objects.get())


def column() -> Any:
    return Analysis.objects.values_list("provisional", flat=True).get()


# --- the queue -------------------------------------------------------------------------------


def test_evidence_is_shown_as_it_was_given(lease: queue.Lease) -> None:
    assert queue.heartbeat(lease, evidence=a_provisional())
    assert known() == a_provisional()


def test_a_sign_of_life_leaves_it_and_newer_evidence_replaces_it(lease: queue.Lease) -> None:
    queue.heartbeat(lease, evidence=a_provisional())
    queue.heartbeat(lease, stage="predict", percent=95)
    assert known() == a_provisional()
    newer = a_provisional(judged_frames=3, faces=())
    queue.heartbeat(lease, evidence=newer)
    assert known() == newer


ENDS: dict[str, Callable[[queue.Lease], object]] = {
    "publish": lambda lease: queue.publish(lease, an_outcome()),
    "fail": lambda lease: queue.fail(lease, "cannot_decode", "Damaged."),
    "cancel": lambda lease: queue.cancel(lease.analysis_id),
    "release": lambda lease: queue.release(lease, "shut down"),
    "retry": lambda lease: queue.retry(lease, "internal"),
    "lease ran out": lambda lease: _let_it_run_out(),
    "worker died": lambda lease: queue.recover_worker("w", lambda name: False),
}


def _let_it_run_out() -> None:
    Analysis.objects.update(lease_expires_at="2020-01-01T00:00:00Z")
    assert queue.recover_expired()


@pytest.mark.parametrize("end", ENDS)
def test_it_goes_with_the_lease(lease: queue.Lease, end: str) -> None:
    queue.heartbeat(lease, evidence=a_provisional())
    assert ENDS[end](lease) is not False
    assert column() is None
    assert not queue.heartbeat(lease, evidence=a_provisional())
    assert column() is None, "who lost the lease writes nothing"


def test_it_goes_when_it_is_given_up(lease: queue.Lease, settings: Any) -> None:
    settings.FRAMEVOTE_MAX_ATTEMPTS = 1
    queue.heartbeat(lease, evidence=a_provisional())
    queue.retry(lease, "internal")
    assert Analysis.objects.get().error_code == "gave_up"
    assert column() is None


def test_a_second_attempt_begins_without_it_and_shows_its_own(lease: queue.Lease) -> None:
    queue.heartbeat(lease, evidence=a_provisional())
    queue.retry(lease, "internal")
    again = queue.claim(lease.analysis_id, worker="w")
    assert again is not None
    assert column() is None
    second = a_provisional(judged_frames=7)
    assert queue.heartbeat(again, evidence=second)
    assert not queue.heartbeat(lease, evidence=a_provisional())
    assert known() == second


@pytest.mark.django_db(transaction=True)
def test_deleting_a_video_leaves_neither_row_nor_file(lease: queue.Lease) -> None:
    queue.heartbeat(lease, evidence=a_provisional())
    queue.delete_submission(Submission.objects.get())
    assert not Analysis.objects.exists()
    assert not queue.heartbeat(lease, evidence=a_provisional())
    assert stored_files() == set()


@pytest.mark.parametrize("state", ["QUEUED", "SUCCEEDED", "FAILED", "CANCELED"])
def test_the_database_takes_it_of_a_running_analysis_only(lease: queue.Lease, state: str) -> None:
    queue.heartbeat(lease, evidence=a_provisional())
    verdict = "REAL" if state == "SUCCEEDED" else ""
    with pytest.raises(IntegrityError, match="analysis_lease_iff_running"):
        Analysis.objects.update(state=state, lease=None, verdict=verdict)


# --- the page --------------------------------------------------------------------------------


def page(client: Client, submission: Submission) -> str:
    return str(client.get(submission.get_absolute_url()).content.decode())


def fragment(client: Client, submission: Submission, query: str = "") -> str:
    address = f"/submissions/{submission.pk}/status/{query}"
    return client.get(address, headers={"HX-Request": "true"}).content.decode()


def test_the_page_shows_votes_and_faces_and_that_they_may_change(
    signed_in: Client, submission: Submission
) -> None:
    run(submission, evidence=a_provisional())
    for text in (page(signed_in, submission), fragment(signed_in, submission)):
        block = text[text.index('class="card provisional"') :]
        assert SENTENCE in block
        assert '<span class="provisional-mark">provisional</span>' in block
        assert "may still change" in block
        faces = re.findall(r'class="provisional-face is-(\w+)">.*?<strong>(\w+)</strong>', block)
        assert faces == [("real", "real"), ("real", "real"), ("fake", "fake")], "a word for each"
        assert block.count('src="data:image/webp;base64,') == 3
        assert "person 2" in block


def test_provisional_votes_are_no_verdict(signed_in: Client, submission: Submission) -> None:
    run(submission, evidence=a_provisional())
    text = page(signed_in, submission)
    assert 'id="verdict-heading"' not in text
    assert "Verdict" not in text
    assert "Fake –" not in text[: text.index("</title>")]


def test_before_the_first_face_and_after_the_end_there_is_no_block(
    signed_in: Client, submission: Submission
) -> None:
    run(submission)
    assert "provisional" not in page(signed_in, submission)
    lease = queue.Lease(submission.analyses.get().pk, submission.analyses.get().lease)  # type: ignore[arg-type]
    queue.heartbeat(lease, evidence=a_provisional())
    queue.publish(lease, an_outcome())
    assert "provisional" not in page(signed_in, submission)


def test_it_is_said_how_many_faces_are_shown(signed_in: Client, submission: Submission) -> None:
    run(submission, evidence=a_provisional(votes={"real": 100, "fake": 20}))
    assert "3 of 120 faces are shown" in page(signed_in, submission)


def test_a_screen_reader_hears_of_the_first_votes_and_not_of_each(
    signed_in: Client, submission: Submission
) -> None:
    run(submission)
    before = fragment(signed_in, submission)
    analysis = submission.analyses.get()
    assert analysis.lease is not None
    lease = queue.Lease(analysis.pk, analysis.lease)
    queue.heartbeat(lease, evidence=a_provisional())
    first = fragment(signed_in, submission, _seen(before))
    assert f"Being analyzed: 30%. Provisional: {SENTENCE}</p>" in first
    queue.heartbeat(lease, evidence=a_provisional(judged_frames=3))
    assert 'id="announcement"' not in fragment(signed_in, submission, _seen(first))


def _seen(text: str) -> str:
    found = re.search(r"seen=([^\"&]+)", text)
    assert found is not None
    return f"?seen={found.group(1)}"


def test_a_stranger_sees_nothing_of_it(client: Client, bob: User, submission: Submission) -> None:
    run(submission, evidence=a_provisional())
    client.force_login(bob)
    for address in (
        submission.get_absolute_url(),
        f"/submissions/{submission.pk}/status/",
        f"/api/v1/submissions/{submission.pk}/",
        f"/api/v1/analyses/{submission.analyses.get().pk}/",
    ):
        answer = client.get(address)
        assert answer.status_code == 404
        assert b"base64" not in answer.content


def test_lists_do_not_fetch_the_pictures(
    signed_in: Client, submission: Submission, django_assert_max_num_queries: Any
) -> None:
    run(submission, evidence=a_provisional())
    with django_assert_max_num_queries(20) as asked:
        assert b"interview" in signed_in.get("/submissions/").content
    assert not any('"provisional"' in query["sql"] for query in asked.captured_queries)


# --- the API ---------------------------------------------------------------------------------


def test_the_api_gives_the_same(signed_in: Client, submission: Submission) -> None:
    analysis = run(submission, evidence=a_provisional())
    one = signed_in.get(f"/api/v1/analyses/{analysis.pk}/").json()
    assert one["provisional"]["votes"] == {"real": 2, "fake": 1}
    assert one["provisional"]["judged_frames"] == 2
    assert one["provisional"]["planned_frames"] == 8
    assert one["provisional"]["faces"][2] == {
        "person": 2,
        "frame_index": 5,
        "time_s": 0.2,
        "vote": "FAKE",
        "probability_fake": 0.8,
        "picture": "data:image/webp;base64,dGhyZWU=",
    }
    assert (one["verdict"], one["vote"], one["votes"]) == (None, None, {"real": 0, "fake": 0})
    whole = signed_in.get(f"/api/v1/submissions/{submission.pk}/").json()
    assert whole["analyses"][0]["provisional"] == one["provisional"]


def test_the_api_gives_none_of_an_analysis_that_has_ended(
    signed_in: Client, submission: Submission
) -> None:
    analysis = finish(submission)
    assert signed_in.get(f"/api/v1/analyses/{analysis.pk}/").json()["provisional"] is None


# --- stopped early ---------------------------------------------------------------------------


def test_a_result_says_that_it_was_stopped_early(signed_in: Client, submission: Submission) -> None:
    finish(submission, skipped_frames=61)
    text = page(signed_in, submission)
    assert "Stopped early.</strong> After 3 of 64 frames" in text
    assert "<dt>Frames looked at</dt><dd>3 of 64</dd>" in text
    result = signed_in.get(f"/api/v1/submissions/{submission.pk}/result/").json()
    assert (len(result["sampled_frames"]), result["skipped_frames"]) == (3, 61)


def test_a_result_of_all_frames_does_not(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    assert "Stopped early" not in page(signed_in, submission)
