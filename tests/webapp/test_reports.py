"""The CSV export: complete, streamed, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.webapp.analyses import failed, finished
from webapp.submissions import queue
from webapp.submissions.models import Review, Submission
from webapp.submissions.reports import COLUMNS, csv_lines, harmless

MakeSubmission = Callable[..., Submission]


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(csv_lines(Submission.objects.order_by("created_at"))))


def test_a_line_has_the_verdict_the_votes_the_checkpoint_and_the_labels(
    alice: User, bob: User, charlie: User, make_submission: MakeSubmission
) -> None:
    submission = make_submission(owner=alice, name="clip.mp4")
    finished(submission)
    Review.objects.create(submission=submission, reviewer=bob, label="FAKE", note="odd, lips")
    Review.objects.create(submission=submission, reviewer=charlie, label="UNSURE")
    (row,) = rows()
    assert tuple(row) == COLUMNS
    assert row["id"] == str(submission.pk)
    assert row["name"] == "clip.mp4"
    assert row["owner"] == "alice"
    assert row["state"] == "SUCCEEDED"
    assert (row["verdict"], row["vote"]) == ("FAKE", "FAKE")
    assert (row["votes_real"], row["votes_fake"]) == ("1", "2")
    assert row["probability_fake"] == "0.75"
    assert row["checkpoint_name"] == "default"
    assert row["checkpoint_sha256"] == "a" * 64
    assert row["review_labels"] == "bob: FAKE; charlie: UNSURE"
    assert row["review_notes"] == "bob: odd, lips"


def test_the_newest_of_several_analyses_is_the_one_exported(
    make_submission: MakeSubmission,
) -> None:
    submission = make_submission()
    finished(submission)
    queue.enqueue(submission)
    (row,) = rows()
    assert (row["state"], row["verdict"], row["analyses"]) == ("QUEUED", "", "2")


def test_a_failure_has_its_code_and_no_votes(make_submission: MakeSubmission) -> None:
    failed(make_submission())
    (row,) = rows()
    assert (row["state"], row["error_code"]) == ("FAILED", "cannot_decode")
    assert (row["verdict"], row["votes_real"], row["probability_fake"]) == ("", "", "")


def test_a_submission_that_was_never_analyzed_keeps_its_columns(
    make_submission: MakeSubmission,
) -> None:
    make_submission()
    (row,) = rows()
    assert row["state"] == ""
    assert row["analyses"] == "0"
    assert row["review_labels"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "=HYPERLINK(1)",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\u00a0=1",
        "＝1",
        "＋1",
        "－1",
        "＠1",
    ],
)
def test_what_begins_like_a_formula_is_defused(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["clip.mp4", "a=b", "x-1", "", "'quoted'"])
def test_other_text_is_left_alone(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("number", [-1.5, 0, 3, None])
def test_numbers_stay_numbers(number: float | None) -> None:
    assert harmless(number) == number


def test_a_name_chosen_by_the_uploader_is_defused(make_submission: MakeSubmission) -> None:
    make_submission(name='=cmd|"/c calc"!A1.mp4')
    assert rows()[0]["name"] == '\'=cmd|"/c calc"!A1.mp4'


def test_a_note_with_commas_quotes_and_lines_survives(
    bob: User, make_submission: MakeSubmission
) -> None:
    submission = make_submission()
    Review.objects.create(
        submission=submission, reviewer=bob, label="REAL", note='He said "no",\nthen left'
    )
    assert rows()[0]["review_notes"] == 'bob: He said "no",\nthen left'


def test_the_export_is_streamed_in_a_number_of_queries_that_does_not_grow_with_rows(
    make_submission: MakeSubmission, django_assert_max_num_queries: Any
) -> None:
    for _ in range(8):
        finished(make_submission())
    with django_assert_max_num_queries(4):
        lines = csv_lines(Submission.objects.all())
        assert next(lines).startswith("id,")
        assert len(list(lines)) == 8
