"""The review page: evidence to read, one label and note of one's own to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.webapp.analyses import failed, finished, running
from tests.webapp.outcomes import a_face, an_outcome
from webapp.submissions import queue
from webapp.submissions.models import Analysis, Review, Submission, VoteChoice
from webapp.submissions.shown_faces import FACES_PER_PERSON

pytestmark = pytest.mark.django_db

MakeSubmission = Callable[..., Submission]


def page_of(submission: Submission) -> str:
    return reverse("admin:submissions_submission_change", args=[submission.pk])


def a_review(label: str = "FAKE", note: str = "", **more: Any) -> dict[str, Any]:
    """What the form of the page sends."""
    return {
        "reviews-TOTAL_FORMS": "1",
        "reviews-INITIAL_FORMS": "0",
        "reviews-MIN_NUM_FORMS": "0",
        "reviews-MAX_NUM_FORMS": "1",
        "reviews-0-label": label,
        "reviews-0-note": note,
        "_continue": "1",
        **more,
    }


@pytest.fixture
def submission(alice: User, make_submission: MakeSubmission) -> Submission:
    return make_submission(owner=alice, name="clip.mp4")


def reviewer(name: str, *rights: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client = Client()
    client.force_login(user)
    return client


def test_the_page_shows_the_verdict_and_every_face_by_its_own_vote(
    admin_client: Client, submission: Submission
) -> None:
    analysis = finished(submission)
    html = admin_client.get(page_of(submission)).content.decode()
    assert "2 of 3 voting faces voted fake" in html
    assert html.count('class="fv-face is-fake"') == 2
    assert html.count('class="fv-face is-real"') == 1
    for number in (1, 2, 3):
        assert reverse("submissions:thumbnail", args=[analysis.pk, number]) in html
    assert "<strong>real</strong> 19%" in html
    assert "0:00.2" in html
    assert "Person 1" in html
    assert "Person 2" in html
    assert reverse("submissions:video", args=[submission.pk]) in html
    assert submission.sha256 in html


def test_staff_may_fetch_the_video_and_the_faces_the_page_shows(
    admin_client: Client, submission: Submission
) -> None:
    analysis = finished(submission)
    for address in (
        reverse("submissions:video", args=[submission.pk]),
        reverse("submissions:thumbnail", args=[analysis.pk, 1]),
    ):
        assert admin_client.get(address).status_code == 200, address


def test_the_result_page_is_linked_for_its_owner_only(
    admin_client: Client, admin_user: User, submission: Submission
) -> None:
    finished(submission)
    link = f'href="{submission.get_absolute_url()}"'
    assert link not in admin_client.get(page_of(submission)).content.decode()
    Submission.objects.update(owner=admin_user)
    assert link in admin_client.get(page_of(submission)).content.decode()


def test_all_analyses_are_listed_and_the_newest_result_is_shown(
    admin_client: Client, submission: Submission
) -> None:
    finished(submission, verdict="REAL")
    second = finished(submission)
    third = failed(submission)
    page = admin_client.get(page_of(submission))
    assert page.context["evidence"]["shown"] == second
    assert page.context["evidence"]["newest"] == third
    html = page.content.decode()
    for analysis in Analysis.objects.all():
        assert reverse("admin:submissions_analysis_change", args=[analysis.pk]) in html


@pytest.mark.parametrize("bring", [queue.enqueue, running, failed])
def test_a_submission_without_a_result_has_a_page_too(
    admin_client: Client, submission: Submission, bring: Callable[[Submission], object]
) -> None:
    bring(submission)
    page = admin_client.get(page_of(submission))
    assert page.status_code == 200
    assert b"There is no result yet" in page.content


def test_a_video_without_a_face_has_a_page_too(
    admin_client: Client, submission: Submission
) -> None:
    finished(
        submission, verdict="UNDECIDED", vote=None, reasons=("no_face",), probability_fake=None,
        votes_real=0, votes_fake=0, people=(), faces=(),
    )  # fmt: skip
    html = admin_client.get(page_of(submission)).content.decode()
    assert "Undecided" in html
    assert "No face was found" in html


def test_thousands_of_faces_are_shown_in_part_until_asked_for(
    admin_client: Client, submission: Submission
) -> None:
    many = FACES_PER_PERSON + 30
    faces = tuple(a_face(n, 1, VoteChoice.FAKE, 0.9) for n in range(1, many + 1))
    finished(submission, faces=faces, people=an_outcome().people[:1])
    html = admin_client.get(page_of(submission)).content.decode()
    assert html.count("fv-face is-fake") == FACES_PER_PERSON
    assert f"{FACES_PER_PERSON} of {many} faces shown" in html
    everything = admin_client.get(page_of(submission), {"faces": "all"}).content.decode()
    assert everything.count("fv-face is-fake") == many


def test_the_page_of_a_long_video_costs_no_query_per_face(
    admin_client: Client, submission: Submission, django_assert_max_num_queries: Any
) -> None:
    finished(submission)
    with django_assert_max_num_queries(16):
        admin_client.get(page_of(submission))


def test_a_label_and_a_note_are_kept_as_the_reviewers_own(
    admin_client: Client, admin_user: User, submission: Submission
) -> None:
    finished(submission)
    answer = admin_client.post(page_of(submission), a_review("REAL", "Known original."))
    assert answer.status_code == 302
    review = Review.objects.get()
    assert (review.reviewer, review.label, review.note) == (admin_user, "REAL", "Known original.")


def test_a_label_changes_nothing_that_the_queue_owns(
    admin_client: Client, submission: Submission
) -> None:
    analysis = finished(submission)
    before = (
        Submission.objects.filter(pk=submission.pk).values().get(),
        Analysis.objects.filter(pk=analysis.pk).values().get(),
    )
    with CaptureQueriesContext(connection) as captured:
        admin_client.post(
            page_of(submission),
            a_review(original_name="other.mp4", owner="", verdict="REAL", state="QUEUED"),
        )
    assert Review.objects.exists()
    # Not even with the same values: a worker may have written others since they were read.
    assert not [q for q in captured if q["sql"].startswith('UPDATE "submissions_submission"')]
    after = (
        Submission.objects.filter(pk=submission.pk).values().get(),
        Analysis.objects.filter(pk=analysis.pk).values().get(),
    )
    assert after == before


def test_a_reviewer_changes_and_deletes_only_their_own_review(
    admin_client: Client, admin_user: User, bob: User, submission: Submission
) -> None:
    finished(submission)
    his = Review.objects.create(submission=submission, reviewer=bob, label="FAKE", note="Bob's")
    html = admin_client.get(page_of(submission)).content.decode()
    assert "Bob&#x27;s" in html
    assert 'name="reviews-0-label"' in html
    forged = a_review("REAL", **{"reviews-INITIAL_FORMS": "1", "reviews-0-id": str(his.pk)})
    admin_client.post(page_of(submission), {**forged, "reviews-0-DELETE": "on"})
    admin_client.post(page_of(submission), forged)
    his.refresh_from_db()
    assert (his.label, his.note, his.reviewer) == ("FAKE", "Bob's", bob)

    admin_client.post(page_of(submission), a_review("REAL"))
    mine = Review.objects.get(reviewer=admin_user)
    own = a_review("UNSURE", **{"reviews-INITIAL_FORMS": "1", "reviews-0-id": str(mine.pk)})
    admin_client.post(page_of(submission), own)
    mine.refresh_from_db()
    assert mine.label == "UNSURE"
    admin_client.post(page_of(submission), {**own, "reviews-0-DELETE": "on"})
    assert not Review.objects.filter(reviewer=admin_user).exists()


def test_a_second_tab_updates_the_review_instead_of_failing(
    admin_client: Client, submission: Submission
) -> None:
    finished(submission)
    admin_client.post(page_of(submission), a_review("FAKE"))
    answer = admin_client.post(page_of(submission), a_review("REAL"))
    assert answer.status_code == 302
    assert Review.objects.get().label == "REAL"


def test_a_page_saved_without_a_label_keeps_no_review(
    admin_client: Client, submission: Submission
) -> None:
    finished(submission)
    without = a_review()
    del without["reviews-0-label"]
    assert admin_client.post(page_of(submission), without).status_code == 302
    assert not Review.objects.exists()


def test_who_may_only_look_can_neither_label_nor_run_again(submission: Submission) -> None:
    finished(submission)
    looker = reviewer("looker", "view_submission", "view_analysis", "view_review")
    page = looker.get(page_of(submission))
    assert page.status_code == 200
    assert b"Run again" not in page.content
    assert looker.post(page_of(submission), a_review()).status_code == 403
    rerun = reverse("admin:submissions_submission_rerun", args=[submission.pk])
    assert looker.post(rerun).status_code == 403
    assert submission.analyses.count() == 1
    assert not Review.objects.exists()


def test_staff_without_any_right_see_no_evidence(submission: Submission) -> None:
    finished(submission)
    assert reviewer("nobody").get(page_of(submission)).status_code == 403


def test_submissions_and_analyses_are_not_added_by_hand(
    admin_client: Client, submission: Submission
) -> None:
    analysis = finished(submission)
    assert admin_client.get("/admin/submissions/submission/add/").status_code == 403
    assert admin_client.get("/admin/submissions/analysis/add/").status_code == 403
    address = reverse("admin:submissions_analysis_change", args=[analysis.pk])
    assert admin_client.get(address).status_code == 200
    assert admin_client.post(address, {"state": "QUEUED"}).status_code == 403
    delete = reverse("admin:submissions_analysis_delete", args=[analysis.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403
    analysis.refresh_from_db()
    assert analysis.state == "SUCCEEDED"


def test_a_page_that_does_not_exist_leads_back(admin_client: Client) -> None:
    answer = admin_client.get("/admin/submissions/submission/nonsense/change/", follow=True)
    assert answer.status_code == 200
