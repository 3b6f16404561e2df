"""From the verdict back to every face: reading a result in Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import clips
from tests.e2e.conftest import Analyzed, analyze

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]


@pytest.fixture
def browser_context_args(
    browser_context_args: dict[str, Any], analyzed: Analyzed
) -> dict[str, Any]:
    """The browser of the person who uploaded the video."""
    return {**browser_context_args, "storage_state": analyzed.storage}


def test_the_verdict_is_read_with_a_count(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    expect(page.locator("#verdict-heading")).to_have_text(re.compile("Fake|Real|Undecided"))
    expect(page.locator(".verdict .lead")).to_contain_text("voting faces")
    expect(page.locator("#trust")).to_contain_text("genuine videos")
    expect(page.locator("#trust")).to_contain_text("blind to methods it was not trained on")
    expect(page.locator("#trust")).to_contain_text("not proof")


def test_both_people_are_shown_with_their_faces(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    assert page.locator(".person").count() >= 2
    faces = page.locator(".face")
    assert faces.count() >= 20
    assert faces.count() == page.locator(".mark").count()
    for face in faces.all()[:10]:
        face.scroll_into_view_if_needed()
        picture = face.locator("img")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("img => img.naturalWidth") > 50
        vote = face.locator(".face-vote").inner_text()
        assert f"is-{vote}" in str(face.get_attribute("class"))
        expect(face.locator(f".sign-svg.is-{vote}")).to_be_visible()


def test_a_click_on_a_face_seeks_the_player(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    _wait_for_video(page)
    face = page.locator(".face a").nth(5)
    face.click()
    _expect_time(page, face.get_attribute("data-seek"))
    expect(face).to_have_class(re.compile("is-here"))
    assert page.url.endswith(analyzed.path), "the link itself was not followed"


def test_a_click_on_a_timeline_seeks_to_its_place(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    _wait_for_video(page)
    timeline = page.locator(".timeline-svg").first
    timeline.scroll_into_view_if_needed()
    box = timeline.bounding_box()
    assert box is not None
    # High up in the middle, where this clip has no mark.
    timeline.click(position={"x": box["width"] / 2, "y": 3})
    length = float(timeline.get_attribute("data-length") or "nan")
    _expect_time(page, str(length / 2))
    lines = page.locator(".playhead")
    for line in lines.all():
        expect(line).to_have_attribute("x1", re.compile(r"^(49|50)"))
    assert lines.count() == page.locator(".person").count()


def test_the_player_lights_up_everybody_of_its_moment(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    _wait_for_video(page)
    face = page.locator(".person").nth(1).locator(".face a").nth(4)
    moment = face.get_attribute("data-seek")
    face.click()
    _expect_time(page, moment)
    page.wait_for_timeout(400)  # The player's own report of its time comes later.
    expect(face).to_have_class(re.compile("is-here"))
    for lit in page.locator(".is-here").all():
        expect(lit).to_have_attribute("data-seek", str(moment))


def test_the_keyboard_seeks_along_the_timeline(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    _wait_for_video(page)
    marks = page.locator(".timeline-svg").first.locator("a.mark")
    assert marks.count() > 5
    expect(marks.nth(0)).to_have_attribute("tabindex", "0")
    expect(marks.nth(1)).to_have_attribute("tabindex", "-1")
    marks.nth(0).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(marks.nth(3)).to_be_focused()
    page.keyboard.press("Enter")
    _expect_time(page, marks.nth(3).get_attribute("data-seek"))
    page.keyboard.press("End")
    expect(marks.last).to_be_focused()


def test_tab_reaches_the_content_by_the_skip_link(
    page: Page, analyzed: Analyzed, complaints: list[str]
) -> None:
    page.goto(analyzed.path)
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_file_the_browser_cannot_play_is_offered_as_a_download(
    page: Page, analyzed: Analyzed
) -> None:
    page.route("**/video/", lambda route: route.fulfill(status=200, body=b"not a video"))
    page.goto(analyzed.path)
    expect(page.locator("#player-failed")).to_be_visible()
    expect(page.locator("#player")).to_be_hidden()
    page.locator(".face a").last.click()
    expect(page.locator("#player-failed")).to_be_in_viewport()
    assert page.url.endswith(analyzed.path), "a click led to a file that cannot be played"


def test_without_javascript_everything_can_be_read(
    browser: Browser, browser_context_args: dict[str, Any], analyzed: Analyzed
) -> None:
    context = browser.new_context(**browser_context_args, java_script_enabled=False)
    page = context.new_page()
    page.goto(analyzed.path)
    expect(page.locator("#verdict-heading")).to_be_visible()
    link = page.locator(".face a").nth(3)
    assert re.search(r"/video/#t=[\d.]+$", str(link.get_attribute("href")))
    page.locator("a.mark").nth(2).click()
    expect(page).to_have_url(re.compile(r"#face-\d+$"))
    context.close()


def test_nobody_else_sees_it(
    browser: Browser, browser_context_args: dict[str, Any], analyzed: Analyzed
) -> None:
    stranger = browser.new_context(base_url=browser_context_args["base_url"])
    page = stranger.new_page()
    answer = page.goto(analyzed.path)
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1")).to_have_text("There is nothing here")
    stranger.close()


def test_another_analysis_can_be_asked_for_and_canceled(
    page: Page, tmp_path: Path, complaints: list[str]
) -> None:
    # Every fifth frame of so long a video takes longer than a person needs to cancel.
    analyze(page, clips.one_person(tmp_path / "once more.mp4", seconds=150))
    page.select_option("#rerun-sampling", "thorough")
    page.click("text=Analyze again >> nth=-1")
    expect(page.locator("#live-heading")).to_be_visible()
    expect(page.locator(".comparison tbody tr")).to_have_count(2)
    page.click("#cancel-analysis")
    expect(page.locator("#ended-heading")).to_contain_text("canceled")
    page.locator(".comparison a").last.click()
    expect(page.locator("#verdict-heading")).to_be_visible()


def _wait_for_video(page: Page) -> None:
    page.wait_for_function("() => document.getElementById('player').readyState >= 1")


def _expect_time(page: Page, seconds: str | None) -> None:
    assert seconds is not None
    page.wait_for_function(
        "wanted => Math.abs(document.getElementById('player').currentTime - wanted) < 0.05",
        arg=float(seconds),
    )
