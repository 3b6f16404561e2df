"""Uploading in Chromium: with the script, without it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, JSHandle, Page, Route, expect

from tests import clips
from tests.e2e.running_site import RunningSite

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(1500),
    pytest.mark.usefixtures("running_site"),
]


def test_a_bad_file_is_refused_beside_a_good_one(
    page: Page, tmp_path: Path, two_people: Path, complaints: list[str]
) -> None:
    page.goto("/")
    page.set_input_files("#video-input", [two_people, clips.text_file(tmp_path / "words.mp4")])
    expect(page.locator(".upload-row")).to_have_count(2)
    page.click("#upload-button")
    refused = page.locator(".upload-row.is-refused")
    expect(refused).to_contain_text("its content is not that of a video")
    expect(page.locator(".upload-row.is-done a")).to_have_text("Uploaded. Follow the analysis")
    expect(page.locator("#upload-status")).to_contain_text("1 uploaded, 1 not. words.mp4 not")
    expect(page.locator("#upload-done")).to_be_visible()
    # The refusal is an answer with status 400, which the browser mentions.
    assert [c for c in complaints if "status of 400" not in c] == []
    complaints.clear()


def test_a_file_that_is_too_large_is_not_even_sent(
    page: Page, tmp_path: Path, complaints: list[str]
) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(17 * 1024 * 1024))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto("/")
    page.set_input_files("#video-input", large)
    expect(page.locator(".upload-row.is-refused")).to_contain_text("larger than the 16 MB allowed")
    page.click("#upload-button")
    expect(page.locator("#upload-status")).to_have_text("Choose at least one video first.")
    assert "POST" not in sent


def test_several_videos_lead_to_the_list(
    page: Page, two_people: Path, tmp_path: Path, complaints: list[str]
) -> None:
    second = tmp_path / "second.mp4"
    second.write_bytes(two_people.read_bytes())
    page.goto("/")
    page.set_input_files("#video-input", two_people)
    page.set_input_files("#video-input", second)
    page.click("#upload-button")
    page.wait_for_url("**/submissions/")
    expect(page.locator(".row-name")).to_have_text(["second.mp4", "two people.mp4"])


def test_a_dropped_video_is_taken(page: Page, two_people: Path, complaints: list[str]) -> None:
    page.goto("/")
    data = _dragged(page, two_people)
    page.dispatch_event("#drop-zone", "drop", {"dataTransfer": data})
    expect(page.locator(".upload-name")).to_have_text("dropped.mp4")
    page.click("#upload-button")
    page.wait_for_url("**/submissions/*/")
    expect(page.locator("h1")).to_have_text("dropped.mp4")


def test_a_video_dropped_beside_the_zone_does_not_replace_the_page(
    page: Page, two_people: Path, complaints: list[str]
) -> None:
    page.goto("/")
    data = _dragged(page, two_people)
    for kind in ("dragover", "drop"):
        let_the_browser = page.locator("h1").evaluate(
            """(element, [kind, dataTransfer]) => element.dispatchEvent(
                new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }))""",
            [kind, data],
        )
        assert not let_the_browser, f"{kind}: the browser would open the file"
    expect(page.locator(".upload-row")).to_have_count(0)


def test_names_and_reasons_are_told_to_who_cannot_see_them(
    page: Page, tmp_path: Path, two_people: Path, complaints: list[str]
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("These are words.")
    page.goto("/")
    page.set_input_files("#video-input", [two_people, words])
    expect(page.get_by_role("progressbar", name="Upload of two people.mp4")).to_have_count(1)
    expect(page.get_by_role("button", name="Remove two people.mp4")).to_be_visible()
    expect(page.get_by_role("button", name="Remove words.txt")).to_be_visible()
    said = page.locator("#upload-status")
    expect(said).to_contain_text("1 ready to upload.")
    expect(said).to_contain_text("words.txt not uploaded: This is not a video")


def test_what_was_sent_whole_cannot_be_canceled_any_more(
    page: Page, two_people: Path, complaints: list[str]
) -> None:
    # Playwright holds the request before it is sent, so the event that it was is made here.
    page.add_init_script(
        """const send = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (body) {
            window.sentWhole = () => this.upload.dispatchEvent(new ProgressEvent("load"));
            send.call(this, body);
        };"""
    )
    held: list[Route] = []
    page.goto("/")
    page.route("**/api/v1/uploads/*/", lambda route: held.append(route))
    page.set_input_files("#video-input", two_people)
    page.click("#upload-button")
    cancel = page.locator(".upload-cancel")
    expect(cancel).to_have_text("Cancel")
    expect(cancel).to_be_enabled()
    for _ in range(600):
        if held:
            break
        page.wait_for_timeout(100)  # The piece follows the answer to the beginning.
    page.evaluate("window.sentWhole()")
    expect(page.locator(".upload-note")).to_have_text("Checking the file…")
    expect(cancel).to_be_disabled()
    held[0].fulfill(status=400, json={"error": {"code": "x", "message": "No video."}})
    expect(page.locator(".upload-row.is-refused")).to_contain_text("Not uploaded. No video.")
    expect(cancel).to_be_enabled()
    expect(cancel).to_have_text("Remove")
    assert [c for c in complaints if "status of 400" not in c] == []
    complaints.clear()


def test_a_chosen_file_can_be_removed_again(
    page: Page, two_people: Path, complaints: list[str]
) -> None:
    page.goto("/")
    page.set_input_files("#video-input", two_people)
    page.click(".upload-cancel")
    expect(page.locator(".upload-row")).to_have_count(0)
    expect(page.locator("#upload-list")).to_be_hidden()


def test_the_form_works_without_javascript(
    browser: Browser, running_site: RunningSite, two_people: Path, tmp_path: Path
) -> None:
    context = browser.new_context(base_url=running_site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_text("Drop videos here")).to_be_hidden()
    expect(page.locator("#video-input")).to_be_visible()
    page.set_input_files("#video-input", [two_people, clips.text_file(tmp_path / "words.mp4")])
    page.check("input[value=standard]")
    page.click("#upload-button")
    page.wait_for_url("**/submissions/")
    expect(page.locator(".row-name")).to_have_text(["two people.mp4"])
    expect(page.locator(".message.is-error")).to_contain_text("words.mp4 was refused.")
    page.click(".row-name")
    expect(page.get_by_text("This page cannot refresh itself")).to_be_visible()
    page.click("text=Delete…")
    page.click("text=Delete for good")
    expect(page.locator(".row-name")).to_have_count(0)
    context.close()


def _dragged(page: Page, clip: Path) -> JSHandle:
    """What a person drags who drags the clip."""
    return page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.mp4"));
            return data;
        }""",
        list(clip.read_bytes()),
    )
