"""What all pages share: error pages, the models page, words for every code, no inline code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client

import detector.errors
from detector.domain import Reason
from tests.webapp.checkpoints import measured
from tests.webapp.evidence import a_video, fail, finish, run
from webapp.submissions import model_cards, wording
from webapp.submissions.timeline import build
from webapp.submissions.uploads import receive

pytestmark = pytest.mark.django_db

METADATA = {
    "name": "default",
    "version": "3",
    "sha256": "d" * 64,
    "created": "2026-11-22",
    "architecture": {"sequence": "rows", "backbone_cut": "block35_10_ac", "image_size": 160},
    "preprocessing": {"margin": 0.3},
    "calibration": None,
    "summary": "Measured on unseen, it sees FaceSwap.",
    "data": {"description": "Faces of paid actors.", "licence": "research"},
    "metrics": [measured()],
    "limits": ["Not proof: weigh it.", "Knows one family of face swaps only."],
}


@pytest.fixture
def checkpoints(settings: Any, tmp_path: Path) -> Path:
    settings.BASE_DIR = tmp_path
    folder = tmp_path / "detector" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_the_models_page_shows_what_was_measured(client: Client, checkpoints: Path) -> None:
    _install(checkpoints, METADATA)
    page = client.get("/models/").content.decode()
    for words in (
        "Measured on faces of unseen, part test",
        "900 real and 1100 fake faces in 1000 groups",
        "ROC AUC",
        "0.861",
        "0.840 to 0.880",
        "python -m detector evaluate default unseen:test",
        "Measured on unseen, it sees FaceSwap.",
        "Faces of paid actors.",
        "block35_10_ac",
        "Knows one family of face swaps only.",
        "uncalibrated",
        "in use",
        "d" * 64,
    ):
        assert words in page
    assert "weigh it" not in page, "said twice"


def test_each_measured_set_has_its_methods_and_damages(client: Client, checkpoints: Path) -> None:
    videos = measured(name="films", part="", level="video", auc=None, robustness=[], matched=None)
    _install(checkpoints, {**METADATA, "metrics": [measured(), videos]})
    page = client.get("/models/").content.decode()
    faces, films = page.split("<h3>Measured on videos of films</h3>")
    for words in (
        '<th scope="row">FaceSwap</th><td class="number">600</td><td class="number">600</td>',
        "In the other groups, which are only genuine or only fake",
        '<td class="number">40</td><td class="number">7</td>',
        '<td class="number">0.774 <span class="muted">0.467 to 0.938</span></td>',
        '<td class="number">0.912 <span class="muted">0.900 to 0.930</span></td>',
        '<td class="number">0.500 <span class="muted">–</span></td>',
        "Fakes detected",
        '<th scope="row">Studio</th><td class="number">25</td><td class="number">6</td>',
        '<td class="number">0.781 <span class="muted">0.716 to 1.000</span></td>',
        '<th scope="row">blur</th><td class="number">1990</td>',
        '<td class="number">-0.050 <span class="muted">-0.060 to -0.040</span></td>',
        "Change of ROC AUC",
    ):
        assert words in faces, words
    assert '<th scope="row">ROC AUC</th><td class="number">–</td><td class="number">–</td>' in films
    assert "0.5 is guessing" not in films
    assert "After damage" not in films
    assert "In the other groups" not in films
    assert "Log loss" not in page, "a data set has four figures"


@pytest.mark.parametrize(
    ("metrics", "headline"),
    [
        (
            [
                measured(),
                measured(name="fakes", level="video", auc=None),
                measured(name="films", level="video"),
            ],
            "films",
        ),
        ([measured(name="fakes", level="video", auc=None), measured()], "unseen"),
        ([measured(auc=None)], None),
        ({"validation_auc": {"value": 0.8}}, None),
    ],
)
def test_the_headline_is_of_whole_videos_if_there_are_any(
    checkpoints: Path, metrics: Any, headline: str | None
) -> None:
    _install(checkpoints, {**METADATA, "metrics": metrics})
    [card] = model_cards.installed()
    assert (card.headline and card.headline.name) == headline


def test_the_api_gives_the_figures_of_each_set(client: Client, checkpoints: Path) -> None:
    _install(checkpoints, METADATA)
    [model] = client.get("/api/v1/models/").json()
    [one] = model["metrics"]
    assert (one["set"], one["part"], one["level"]) == ("unseen", "test", "frame")
    assert (one["n"], one["real"], one["fake"], one["groups"]) == (2000, 900, 1100, 1000)
    assert one["figures"][0] == {"key": "roc_auc", "value": 0.861, "low": 0.84, "high": 0.88}
    assert [(row["name"], row["n"]) for row in one["by_method"]] == [
        ("FaceSwap", 600),
        ("unknown", 500),
    ]
    assert [figure["key"] for figure in one["by_method"][0]["figures"]] == [
        "roc_auc",
        "detection_rate",
    ]
    assert one["robustness"][0]["figures"][-1]["value"] == -0.05
    [studio] = one["by_dataset"]
    assert (studio["name"], studio["n"]) == ("Studio", 25)
    assert [figure["key"] for figure in studio["figures"]] == ["roc_auc"]
    assert one["matched"] == {
        "name": "groups with both genuine and fake examples",
        "n": 40,
        "groups": 7,
        "figures": [{"key": "roc_auc", "value": 0.774, "low": 0.467, "high": 0.938}],
    }
    assert [row["groups"] for row in (*one["by_method"], *one["robustness"])] == [600, 1, None]
    assert model["summary"] == METADATA["summary"]


def test_the_model_in_use_comes_first(client: Client, checkpoints: Path, settings: Any) -> None:
    settings.FRAMEVOTE_CHECKPOINT = "zebra"
    _install(checkpoints, {**METADATA, "name": "aardvark"})
    _install(checkpoints, {**METADATA, "name": "zebra", "calibration": {"temperature": 1.5}})
    cards = client.get("/models/").context["cards"]
    assert [(card.name, card.calibrated) for card in cards] == [
        ("zebra", True),
        ("aardvark", False),
    ]


def test_a_model_in_use_may_lie_in_a_folder_of_its_own(
    client: Client, checkpoints: Path, tmp_path: Path, settings: Any
) -> None:
    _install(checkpoints, METADATA)
    elsewhere = tmp_path / "trained"
    elsewhere.mkdir()
    _install(elsewhere, {**METADATA, "name": "mine", "sha256": "e" * 64})
    settings.FRAMEVOTE_CHECKPOINT = str(elsewhere / "mine")
    cards = client.get("/models/").context["cards"]
    assert [(card.name, card.in_use) for card in cards] == [("mine", True), ("default", False)]
    assert model_cards.find("mine", "e" * 64) == cards[0]
    listed = client.get("/api/v1/models/").json()
    assert [model["in_use"] for model in listed] == [True, False]


def test_an_installed_model_named_by_its_path_is_shown_once(
    client: Client, checkpoints: Path, settings: Any
) -> None:
    _install(checkpoints, METADATA)
    settings.FRAMEVOTE_CHECKPOINT = str(checkpoints / "default")
    (card,) = client.get("/models/").context["cards"]
    assert card.in_use


def test_without_a_model_the_page_says_so(client: Client, checkpoints: Path) -> None:
    assert b"No model is installed" in client.get("/models/").content


def test_unreadable_metadata_do_not_break_the_page(client: Client, checkpoints: Path) -> None:
    (checkpoints / "broken").mkdir()
    (checkpoints / "broken" / "metadata.json").write_text("{")
    _install(checkpoints, METADATA)
    assert [card.name for card in client.get("/models/").context["cards"]] == ["default"]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    assert wording.reason_sentence(reason.value).endswith(".")


@pytest.mark.parametrize(
    "code",
    [error.code for error in vars(detector.errors).values() if hasattr(error, "code")],
)
def test_every_error_has_a_remedy(code: str) -> None:
    if code in ("detector_error", "stopped"):
        assert wording.remedy(code) == wording.REMEDIES["internal"]
    else:
        assert code in wording.REMEDIES


@pytest.mark.parametrize("code", ["gave_up", "timed_out", "internal"])
def test_every_error_of_the_queue_has_a_remedy(code: str) -> None:
    assert code in wording.REMEDIES


@pytest.mark.parametrize(
    ("probability", "text"),
    [(None, "–"), (0.0, "<1%"), (0.004, "<1%"), (0.5, "50%"), (0.994, ">99%"), (1.0, ">99%")],
)
def test_a_percentage_never_claims_certainty(probability: float | None, text: str) -> None:
    assert wording.percent(probability) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (3.24, "0:03.2"), (59.96, "1:00.0"), (754, "12:34.0"), (3723, "1:02:03")],
)
def test_moments_read_like_a_clock(seconds: float, text: str) -> None:
    assert wording.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3, "a few seconds"),
        (42, "about 40 s"),
        (89, "about 90 s"),
        (150, "about 2 min"),
        (5399, "about 90 min"),
        (9000, "about 2 h"),
    ],
)
def test_waiting_times_are_round(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize("length", [0.0, 0.04, 1.0, 12.5, 61.0, 1800.0, 36000.0])
def test_a_timeline_has_few_and_ordered_ticks(length: float) -> None:
    ticks = [float(tick.x.rstrip("%")) for tick in build([], [], length).ticks]
    assert 1 <= len(ticks) <= 12
    assert ticks == sorted(ticks)
    assert all(0 <= x <= 100 for x in ticks)


def test_a_missing_page_is_styled_and_leads_on(client: Client) -> None:
    answer = client.get("/no/such/page/")
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "There is nothing here" in page
    assert 'href="/submissions/"' in page


def test_a_failed_form_key_is_explained() -> None:
    answer = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert answer.status_code == 403
    assert b"The form was too old" in answer.content


@pytest.mark.parametrize("name", ["400", "403", "404", "500", "403_csrf"])
def test_error_pages_need_nothing_of_the_site(name: str) -> None:
    """They are rendered without a request, and when the database is down."""
    page = render_to_string(f"{name}.html")
    assert "<h1>" in page
    assert "</html>" in page


def test_no_page_has_inline_code_or_style(client: Client, alice: User) -> None:
    pages = [client.get(address) for address in ("/", "/accounts/login/", "/accounts/signup/")]
    client.force_login(alice)
    done = finish(receive(a_video(), owner=alice, visitor=None)).submission
    finish(done)
    busy = run(receive(a_video(), owner=alice, visitor=None)).submission
    failed = fail(receive(a_video(), owner=alice, visitor=None), "internal", "Broken.").submission
    for submission in (done, busy, failed):
        pages.append(client.get(submission.get_absolute_url()))
    pages.append(client.get(f"/submissions/{done.pk}/delete/"))
    pages += [
        client.get(address)
        for address in ("/submissions/", "/models/", "/accounts/", "/accounts/password/", "/x/")
    ]
    for page in pages:
        html = page.content.decode()
        assert " style=" not in html
        assert "<style" not in html
        assert "javascript:" not in html
        assert not [tag for tag in html.split("<script")[1:] if ' src="' not in tag.split(">")[0]]
        assert " onclick=" not in html
        assert "'self'" in page["Content-Security-Policy"]
        assert "unsafe-inline" not in page["Content-Security-Policy"]
        assert '<html lang="en">' in html
        assert html.count("<h1") == 1
        assert 'class="skip-link"' in html


def test_pages_about_people_are_not_kept_by_caches(client: Client, alice: User) -> None:
    client.force_login(alice)
    submission = receive(a_video(), owner=alice, visitor=None)
    for address in ("/submissions/", submission.get_absolute_url(), "/accounts/"):
        assert "no-store" in client.get(address)["Cache-Control"]


def test_static_files_named_in_templates_exist() -> None:
    templates = Path(django_settings.BASE_DIR) / "templates"
    named = {
        part.split("'")[0]
        for template in templates.rglob("*.html")
        for part in template.read_text().split("{% static '")[1:]
    }
    static = Path(django_settings.BASE_DIR) / "static"
    own = {name for name in named if not name.startswith(("drf_spectacular", "admin/"))}
    assert own
    assert [name for name in own if not (static / name).exists()] == []


def _install(checkpoints: Path, metadata: dict[str, Any]) -> None:
    folder = checkpoints / str(metadata["name"])
    folder.mkdir()
    (folder / "metadata.json").write_text(json.dumps(metadata))
