"""The list of analyses in the admin: what a row says, filters, search, actions."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.webapp.analyses import failed, finished, running
from webapp.submissions import admin_actions, queue
from webapp.submissions.models import Analysis, Review, State, Submission

pytestmark = pytest.mark.django_db

LIST = "/admin/submissions/analysis/"
MakeSubmission = Callable[..., Submission]


@pytest.fixture
def some(alice: User, bob: User, charlie: User, make_submission: MakeSubmission) -> None:
    """One analysis of each kind; its video is named after what is special about it."""
    fake = make_submission(name="fake.mp4", owner=alice)
    finished(fake)
    real = make_submission(name="real.mp4", owner=alice)
    finished(real, verdict="REAL", checkpoint_sha256="b" * 64)
    failed(make_submission(name="failed.mp4", owner=bob))
    queue.enqueue(make_submission(name="waiting.mp4"))
    Review.objects.create(submission=fake, reviewer=charlie, label="REAL")
    Review.objects.create(submission=real, reviewer=charlie, label="REAL")


def names(admin_client: Client, **query: str) -> set[str]:
    page = admin_client.get(LIST, query)
    assert page.status_code == 200
    return {analysis.submission.original_name for analysis in page.context["cl"].result_list}


def act(client: Client, action: str, chosen: Iterable[Analysis], **more: str) -> Any:
    data = {"action": action, "_selected_action": [str(one.pk) for one in chosen], **more}
    return client.post(LIST, data, follow=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"verdict__exact": "FAKE"}, {"fake.mp4"}),
        ({"state__exact": "QUEUED"}, {"waiting.mp4"}),
        ({"error_code": "cannot_decode"}, {"failed.mp4"}),
        ({"checkpoint": "b" * 64}, {"real.mp4"}),
        ({"owner": "alice"}, {"fake.mp4", "real.mp4"}),
        ({"owner": ":anonymous"}, {"waiting.mp4"}),
        ({"review": "no"}, {"failed.mp4", "waiting.mp4"}),
        ({"review": "yes"}, {"fake.mp4", "real.mp4"}),
        ({"review": "REAL"}, {"fake.mp4", "real.mp4"}),
        ({"review": "differs"}, {"fake.mp4"}),
        ({"review": "yes", "owner": "ALICE", "verdict__exact": "REAL"}, {"real.mp4"}),
        ({"created_at__gte": "2020-01-01 00:00:00+00:00", "q": "fake"}, {"fake.mp4"}),
        ({"q": "bob"}, {"failed.mp4"}),
    ],
)
def test_the_list_is_narrowed(
    admin_client: Client, some: None, query: dict[str, str], expected: set[str]
) -> None:
    assert names(admin_client, **query) == expected


def test_the_owner_form_keeps_the_other_filters(admin_client: Client, some: None) -> None:
    html = admin_client.get(LIST, {"verdict__exact": "FAKE"}).content.decode()
    form = html[html.index("fv-owner-filter") :]
    assert '<input type="hidden" name="verdict__exact" value="FAKE">' in form


def test_each_analysis_is_judged_by_itself(
    admin_client: Client, alice: User, make_submission: MakeSubmission
) -> None:
    """The label differs from the earlier verdict only, so only that analysis is found."""
    submission = make_submission()
    earlier = finished(submission)
    finished(submission, verdict="REAL")
    Review.objects.create(submission=submission, reviewer=alice, label="REAL")
    page = admin_client.get(LIST, {"review": "differs"})
    assert list(page.context["cl"].result_list) == [earlier]


def test_a_row_shows_faces_badge_owner_and_labels(
    admin_client: Client, alice: User, make_submission: MakeSubmission
) -> None:
    analysis = finished(make_submission(owner=alice))
    Review.objects.create(submission=analysis.submission, reviewer=alice, label="REAL")
    html = admin_client.get(LIST).content.decode()
    row = html[html.index('id="result_list"') :]
    assert reverse("submissions:thumbnail", args=[analysis.pk, 1]) in row
    assert row.count('class="fv-thumb is-fake"') == 2
    assert "badge is-fake" in row
    assert "2 fake, 1 real" in row
    assert re.search(r"fv-quiet fv-nowrap\">alice", row)
    assert 'class="fv-label"' in row
    assert reverse("admin:submissions_analysis_change", args=[analysis.pk]) in row
    assert reverse("admin:submissions_submission_change", args=[analysis.submission_id]) in row


def test_the_page_of_an_analysis_is_named_after_its_video(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    analysis = finished(make_submission(name="interview.mp4"))
    address = reverse("admin:submissions_analysis_change", args=[analysis.pk])
    html = admin_client.get(address).content.decode()
    crumbs = html[html.index('class="breadcrumbs"') :].partition("</div>")[0]
    assert "interview.mp4" in crumbs
    assert f'href="{LIST}"' in crumbs


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows(
    admin_client: Client, make_submission: MakeSubmission, alice: User
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(LIST)
        return len(captured)

    finished(make_submission(owner=alice))
    few = queries()
    for number in range(10):
        submission = make_submission(owner=User.objects.create_user(f"owner{number}"))
        finished(submission)
        finished(submission)
        Review.objects.create(submission=submission, reviewer=alice, label="REAL")
    assert queries() == few


def test_running_again_is_once_for_a_video_with_the_newer_sampling(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    submission, busy = make_submission(), make_submission()
    analyses = [finished(submission), finished(submission), running(busy)]
    Analysis.objects.filter(pk=analyses[1].pk).update(sampling="thorough")
    page = act(admin_client, "rerun", analyses)
    assert submission.analyses.get(state=State.QUEUED).sampling == "thorough"
    assert busy.analyses.count() == 1
    assert b"1 submission was put in the queue again" in page.content
    assert b"1 submission was left alone" in page.content


def test_too_many_are_not_run_again_at_once(
    admin_client: Client, make_submission: MakeSubmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_actions, "MOST_AT_ONCE", 2)
    analyses = [finished(make_submission()) for _ in range(3)]
    page = act(admin_client, "rerun", analyses[:1], select_across="1")
    assert b"3 analyses are selected; at most 2 can be run again at once." in page.content
    assert Analysis.objects.count() == 3


def test_canceling_ends_only_what_waits_or_runs(
    admin_client: Client, make_submission: MakeSubmission
) -> None:
    chosen = [finished(make_submission()), queue.enqueue(make_submission())]
    page = act(admin_client, "cancel", chosen)
    assert b"1 analysis was canceled" in page.content
    assert set(Analysis.objects.values_list("state", flat=True)) == {"SUCCEEDED", "CANCELED"}


def test_the_export_has_a_line_for_each_chosen_analysis(
    admin_client: Client, alice: User, make_submission: MakeSubmission
) -> None:
    submission = make_submission(owner=alice, name="clip.mp4")
    chosen = [finished(submission), failed(submission)]
    finished(make_submission(name="other.mp4"))
    Review.objects.create(submission=submission, reviewer=alice, label="REAL", note="=1+1")
    answer = act(admin_client, "export_csv", chosen)
    assert "framevote-analyses-" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert {row["id"] for row in rows} == {str(analysis.pk) for analysis in chosen}
    assert {row["submission"] for row in rows} == {str(submission.pk)}
    assert {(row["state"], row["verdict"], row["error_code"]) for row in rows} == {
        ("SUCCEEDED", "FAKE", ""),
        ("FAILED", "", "cannot_decode"),
    }
    for row in rows:
        assert (row["name"], row["owner"], row["attempts"]) == ("clip.mp4", "alice", "1")
        assert row["review_labels"] == "alice: REAL"
        assert row["finished"] >= row["started"] >= row["created"]


def test_who_may_only_look_can_export_but_neither_run_again_nor_cancel(
    make_submission: MakeSubmission,
) -> None:
    looker = User.objects.create_user("looker", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename="view_analysis"))
    client = Client()
    client.force_login(looker)
    analysis = finished(make_submission())
    html = client.get(LIST).content.decode()
    assert 'value="export_csv"' in html
    assert 'value="rerun"' not in html
    assert 'value="cancel"' not in html
    act(client, "rerun", [analysis])
    assert Analysis.objects.count() == 1
