"""One submission with its result: the verdict and all its evidence, a failure, deleting."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.checkpoints import measured
from tests.webapp.evidence import a_video, fail, finish, run
from tests.webapp.outcomes import a_face
from webapp.submissions import queue
from webapp.submissions.models import State, Submission, VerdictChoice, VoteChoice
from webapp.submissions.outcomes import PersonOutcome
from webapp.submissions.uploads import receive


def test_the_verdict_is_in_words_with_its_count(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    page = _page(signed_in, submission)
    assert "The detector takes this video for a fake: 2 of 3 voting faces voted fake." in page
    assert "2 of 3 faces voted fake" in page
    assert ">75%<" in page


def test_each_face_is_marked_by_its_own_vote(signed_in: Client, submission: Submission) -> None:
    """The video is FAKE; the first face was voted REAL and has to look so."""
    finish(submission)
    page = _page(signed_in, submission)
    marks = re.findall(r'href="#face-(\d+)" class="mark is-(\w+)" data-seek="([\d.]+)"', page)
    assert re.findall(r'<li class="face is-(\w+)" id="face-(\d+)"', page) == [
        ("real", "1"),
        ("fake", "2"),
        ("fake", "3"),
    ]
    assert marks == [("1", "real", "0.000"), ("2", "fake", "0.200"), ("3", "fake", "0.400")]
    for number, vote, probability in ((1, "real", "19%"), (2, "fake", "62%"), (3, "fake", "88%")):
        face = re.search(rf'id="face-{number}".*?</li>', page, re.DOTALL)
        assert face is not None
        assert f'<span class="face-vote">{vote}</span>' in face.group()
        assert f'<span class="face-probability">{probability}</span>' in face.group()
        assert f'class="sign-svg is-{vote}"' in face.group()


def test_each_person_has_a_verdict_and_votes(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    page = _page(signed_in, submission)
    first, second = re.findall(r'class="person-head">(.*?)</div>', page, re.DOTALL)
    assert "Real</span>" in first
    assert "0 of 1 face voted fake" in first
    assert "Fake</span>" in second
    assert "2 of 2 faces voted fake" in second


def test_faces_that_do_not_count_are_marked_so(signed_in: Client, submission: Submission) -> None:
    faces = (a_face(1, 1, VoteChoice.REAL, 0.1), a_face(2, 2, VoteChoice.FAKE, 0.9))
    brief = dataclasses.replace(faces[1], counts=False)
    people = (
        PersonOutcome(1, VerdictChoice.REAL, 0.1, 1, 0, True),
        PersonOutcome(2, VerdictChoice.FAKE, 0.9, 0, 1, False),
    )
    finish(submission, faces=(faces[0], brief), people=people, votes_fake=0, votes_real=1)
    page = _page(signed_in, submission)
    assert 'class="face is-fake is-ghost" id="face-2"' in page
    assert page.count("not counted") == 1
    assert "without a vote in the verdict" in page


def test_reasons_are_sentences(signed_in: Client, submission: Submission) -> None:
    finish(submission, reasons=("person_differs",), votes_fake=1, votes_real=2)
    page = _page(signed_in, submission)
    assert "one fake person makes the video fake." in page
    assert "although only 1 of 3 voting faces voted fake" in page


def test_a_video_without_a_face_is_undecided_and_says_so(
    signed_in: Client, submission: Submission
) -> None:
    finish(
        submission,
        verdict=VerdictChoice.UNDECIDED,
        vote=None,
        reasons=("no_face",),
        probability_fake=None,
        votes_real=0,
        votes_fake=0,
        people=(),
        faces=(),
    )
    page = _page(signed_in, submission)
    assert "Undecided" in page
    assert "No face was found" in page
    assert "3 frames were looked at; none has a face in it." in page
    assert "Probability of being fake" not in page


def test_the_page_says_how_far_to_trust_it(
    signed_in: Client, submission: Submission, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_DIR = _checkpoint(tmp_path, sha256="a" * 64)
    finish(submission)
    page = _page(signed_in, submission)
    assert "0.861" in page
    assert "0.840 to 0.880" in page
    assert "measured on 2000 faces of unseen, part test." in page
    assert "86 times in 100" in page
    for words in ("uncalibrated", "blind to methods it was not trained on", "not proof"):
        assert words in page
    assert "Never seen profile faces." in page


def test_the_page_says_how_many_genuine_faces_were_called_fake_in_the_test(
    signed_in: Client, submission: Submission, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_DIR = _checkpoint(tmp_path, sha256="a" * 64)
    path = tmp_path / "detector/checkpoints/default/metadata.json"
    metadata = json.loads(path.read_text())
    figures = metadata["metrics"][0]["figures"]
    figures["false_positive_rate"] = {"value": 0.001, "low": 0.0, "high": 0.01}
    path.write_text(json.dumps(metadata))
    finish(submission)
    page = _page(signed_in, submission)
    assert "In that test 1 of 900 genuine faces was called fake." in page

    metadata["calibration"] = {"temperature": 1.5}
    figures["false_positive_rate"]["value"] = 0.032
    figures["coverage"] = {"value": 0.78, "low": 0.75, "high": 0.8}
    path.write_text(json.dumps(metadata))
    page = _page(signed_in, submission)
    assert (
        "In that test 29 of 900 genuine faces were called fake, "
        "and 440 of all 2000 were left undecided." in page
    )
    assert "uncalibrated" not in page


def test_the_page_says_which_probabilities_are_too_close_for_a_verdict(
    signed_in: Client, submission: Submission, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_DIR = _checkpoint(tmp_path, sha256="a" * 64)
    finish(submission)
    assert "too close for a verdict" not in _page(signed_in, submission)
    path = tmp_path / "detector/checkpoints/default/metadata.json"
    metadata = json.loads(path.read_text())
    metadata["thresholds"] = {"abstention_band": [0.4477, 0.9074]}
    path.write_text(json.dumps(metadata))
    assert "From 45% to 91% is too close for a verdict." in _page(signed_in, submission)


def test_the_warning_stands_without_the_model_card_too(
    signed_in: Client, submission: Submission, settings: Any, tmp_path: Path
) -> None:
    settings.BASE_DIR = _checkpoint(tmp_path, sha256="b" * 64)
    finish(submission)
    page = _page(signed_in, submission)
    assert "0.861" not in page
    for words in ("uncalibrated", "blind to methods it was not trained on", "not proof"):
        assert words in page


def test_facts_of_file_and_analysis_are_there(signed_in: Client, submission: Submission) -> None:
    finish(submission)
    page = _page(signed_in, submission)
    for fact in ("h264", "640 × 360", "standard (64 frames)", "a" * 12, "2.00"):
        assert fact in page


def test_a_file_browsers_cannot_play_is_offered_as_a_download(
    signed_in: Client, alice: User
) -> None:
    avi = receive(a_video("old.avi"), owner=alice, visitor=None)
    finish(avi)
    page = _page(signed_in, avi)
    assert "<video" not in page
    assert f'href="/submissions/{avi.pk}/video/?download"' in page


def test_a_failure_says_what_to_do(signed_in: Client, submission: Submission) -> None:
    fail(submission, "cannot_decode", "The video is damaged.")
    page = _page(signed_in, submission)
    assert "The video is damaged." in page
    assert "Check that the file plays on your own machine." in page
    assert "<code>cannot_decode</code>" in page


def test_a_canceled_analysis_can_be_run_again(signed_in: Client, submission: Submission) -> None:
    queue.cancel(submission.analyses.get().pk)
    page = _page(signed_in, submission)
    assert "The analysis was canceled" in page
    answer = signed_in.post(f"/submissions/{submission.pk}/rerun/", {"sampling": "thorough"})
    assert answer["Location"] == submission.get_absolute_url()
    assert [a.sampling for a in submission.analyses.order_by("created_at")] == [
        "standard",
        "thorough",
    ]


def test_a_busy_submission_is_not_enqueued_twice(signed_in: Client, submission: Submission) -> None:
    signed_in.post(f"/submissions/{submission.pk}/rerun/", {"sampling": "quick"})
    assert submission.analyses.count() == 1
    assert "Analyze again" not in _page(signed_in, submission)


def test_a_sampling_level_that_does_not_exist_is_not_run(
    signed_in: Client, submission: Submission
) -> None:
    queue.cancel(submission.analyses.get().pk)
    signed_in.post(f"/submissions/{submission.pk}/rerun/", {"sampling": "psychic"})
    assert submission.analyses.count() == 1


def test_analyses_stand_side_by_side(signed_in: Client, submission: Submission) -> None:
    earlier = finish(submission)
    assert "Analyses side by side" not in _page(signed_in, submission)
    finish(submission, verdict=VerdictChoice.REAL, checkpoint_sha256="c" * 64)
    page = _page(signed_in, submission)
    assert "Analyses side by side" in page
    assert "aaaaaaaaaaaa" in page
    assert "cccccccccccc" in page
    older = signed_in.get(f"{submission.get_absolute_url()}?analysis={earlier.pk}").content.decode()
    assert re.search(r'class="verdict-title">.*?Fake</h2>', older, re.DOTALL)


def test_deleting_asks_first(signed_in: Client, submission: Submission) -> None:
    address = f"/submissions/{submission.pk}/delete/"
    assert b"Delete this video?" in signed_in.get(address).content
    assert Submission.objects.exists()
    page = signed_in.post(address, follow=True)
    assert b"were deleted" in page.content
    assert not Submission.objects.exists()


def test_deleting_while_it_runs_says_that_it_stops(
    signed_in: Client, submission: Submission
) -> None:
    analysis = run(submission)
    address = f"/submissions/{submission.pk}/delete/"
    assert b"An analysis is running. It is stopped" in signed_in.get(address).content
    signed_in.post(address)
    assert not Submission.objects.exists()
    assert queue.cancel(analysis.pk) is False


def test_canceling_what_has_ended_says_so(signed_in: Client, submission: Submission) -> None:
    analysis = finish(submission)
    page = signed_in.post(f"/analyses/{analysis.pk}/cancel/", follow=True)
    assert b"had ended before it could be canceled" in page.content
    analysis.refresh_from_db()
    assert analysis.state == State.SUCCEEDED


def _page(signed_in: Client, submission: Submission) -> str:
    answer = signed_in.get(submission.get_absolute_url())
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "style=" not in page
    return page


def _checkpoint(folder: Path, sha256: str) -> Path:
    checkpoint = folder / "detector" / "checkpoints" / "default"
    checkpoint.mkdir(parents=True)
    metadata = {
        "name": "default",
        "version": "1",
        "sha256": sha256,
        "calibration": None,
        "metrics": [measured()],
        "data": {"description": "Faces of actors.", "licence": "to be asked for"},
        "limits": ["Never seen profile faces."],
    }
    (checkpoint / "metadata.json").write_text(json.dumps(metadata))
    return folder
