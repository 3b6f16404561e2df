"""Uploads in Chromium that are broken off, paused, or left, and go on where they were."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from tests.e2e.running_site import ADMIN, RunningSite
from tests.servers import wait_until
from tests.slow_line import SlowLine

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]

MB = 1024 * 1024
START = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


class Sent:
    """The requests of tus that a page has made."""

    def __init__(self, page: Page) -> None:
        self._requests: list[Request] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if "/api/v1/uploads/" in request.url:
            self._requests.append(request)

    def count(self, method: str) -> int:
        return len([r for r in self._requests if r.method == method])

    def offsets(self) -> list[int]:
        """Where each piece began."""
        return [int(r.headers["upload-offset"]) for r in self._requests if r.method == "PATCH"]


@pytest.fixture
def line(running_site: RunningSite) -> Iterator[SlowLine]:
    """A slow one: twelve megabytes take some seconds."""
    with SlowLine(int(running_site.url.rpartition(":")[2]), rate=3 * MB) as line:
        yield line


@pytest.fixture
def context(browser: Browser, line: SlowLine) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=line.url, viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    page = context.new_page()
    # Leaving while an upload is under way is asked about.
    page.on("dialog", lambda dialog: dialog.accept())
    return page


@pytest.fixture
def sent(page: Page) -> Sent:
    return Sent(page)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return made_up(tmp_path / "my film.mp4", 12 * MB)


def made_up(path: Path, size: int, start: bytes = START) -> Path:
    path.write_bytes(start + random.Random(path.name).randbytes(size - len(start)))
    return path


def start(page: Page, *files: Path) -> None:
    page.goto("/")
    page.set_input_files("#video-input", files)
    page.click("#upload-button")


def wait_for_percent(page: Page, least: int, row: int = 0) -> None:
    page.wait_for_function(
        "([row, least]) => document.querySelectorAll('progress')[row].value >= least",
        arg=[row, least],
    )


def arrived(page: Page, file: Path) -> bool:
    """On the page of the submission: whether the server has just these bytes."""
    id = page.url.rstrip("/").rpartition("/")[2]
    submission = page.request.get(f"/api/v1/submissions/{id}/").json()
    return bool(submission["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest())


def remembered(page: Page) -> int:
    return int(page.evaluate("Object.keys(localStorage).length"))


def test_an_upload_goes_on_when_the_network_comes_back(
    page: Page, context: BrowserContext, film: Path, sent: Sent
) -> None:
    start(page, film)
    wait_for_percent(page, 20)
    context.set_offline(True)
    note, said = page.locator(".upload-note"), page.locator("#upload-status")
    expect(note).to_contain_text("The connection is lost. Trying again in")
    expect(said).to_have_text("my film.mp4: the connection is lost. It goes on by itself.")
    context.set_offline(False)
    expect(said).to_have_text("my film.mp4 goes on.")
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 1
    assert sent.offsets()[0] == 0
    assert 0 not in sent.offsets()[1:], "it began anew"


def test_an_upload_goes_on_after_the_line_was_cut_twice(
    page: Page, line: SlowLine, film: Path, sent: Sent
) -> None:
    start(page, film)
    for percent in (20, 60):
        wait_for_percent(page, percent)
        line.cut()
        expect(page.locator(".upload-note")).to_contain_text("The connection is lost")
        line.mend()
        expect(page.locator(".upload-note")).to_contain_text("left")
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 1
    assert 0 not in sent.offsets()[1:]


def test_an_upload_goes_on_after_the_page_was_loaded_again(
    page: Page, film: Path, sent: Sent
) -> None:
    start(page, film)
    wait_for_percent(page, 50)
    page.reload()
    unfinished = page.locator("#unfinished")
    expect(unfinished).to_contain_text("my film.mp4")
    expect(unfinished).to_contain_text(re.compile(r"[1-9]\d?% of 12 MB is uploaded"))
    expect(page.locator("#upload-status")).to_have_text("Unfinished from an earlier visit: 1.")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose my film.mp4 again to go on").click()
    chooser.value.set_files(film)
    expect(unfinished).to_be_hidden()
    expect(page.locator(".upload-note")).to_have_text(
        re.compile(r"Ready\. [1-9]\d?% of 12 MB is uploaded already\.")
    )
    page.click("#upload-button")
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 1
    assert 0 not in sent.offsets()[1:]
    page.goto("/")
    assert remembered(page) == 0


def test_what_the_server_has_no_more_is_uploaded_anew(page: Page, film: Path, sent: Sent) -> None:
    start(page, film)
    wait_for_percent(page, 20)
    page.reload()
    expect(page.locator("#unfinished")).to_be_visible()
    address = page.evaluate("JSON.parse(Object.values(localStorage)[0]).address")
    # As in another tab, and when the last piece has ended.
    wait_until(lambda: status(page, "DELETE", address) == 204, "the upload was removed")
    page.reload()
    expect(page.locator("#unfinished")).to_be_hidden()
    page.set_input_files("#video-input", film)
    page.click("#upload-button")
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 2


def test_an_unfinished_upload_can_be_discarded(page: Page, film: Path) -> None:
    start(page, film)
    wait_for_percent(page, 20)
    page.reload()
    address = page.evaluate("JSON.parse(Object.values(localStorage)[0]).address")
    page.get_by_role("button", name="Discard my film.mp4").click()
    expect(page.locator("#unfinished")).to_be_hidden()
    expect(page.locator("#video-input")).to_be_focused()
    assert remembered(page) == 0
    expect_gone(page, address)


def test_an_upload_is_paused_and_resumed_by_keyboard(page: Page, film: Path, sent: Sent) -> None:
    start(page, film)
    wait_for_percent(page, 20)
    page.get_by_role("button", name="Pause my film.mp4").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".upload-note")).to_have_text(re.compile(r"Paused at \d\d%"))
    expect(page.locator("#upload-status")).to_have_text("my film.mp4 is paused.")
    resume = page.get_by_role("button", name="Resume my film.mp4")
    expect(resume).to_be_focused()
    pieces = len(sent.offsets())
    page.wait_for_timeout(1500)
    assert len(sent.offsets()) == pieces
    page.keyboard.press("Enter")
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 1


def test_a_canceled_upload_is_removed_from_the_server(page: Page, film: Path) -> None:
    start(page, film)
    wait_for_percent(page, 20)
    address = page.evaluate("JSON.parse(Object.values(localStorage)[0]).address")
    page.get_by_role("button", name="Cancel my film.mp4").click()
    expect(page.locator(".upload-row.is-refused")).to_contain_text("You canceled this upload.")
    assert remembered(page) == 0
    expect_gone(page, address)


def test_while_one_is_paused_the_next_one_goes(page: Page, film: Path, tmp_path: Path) -> None:
    second = made_up(tmp_path / "second.mp4", 2 * MB)
    start(page, film, second)
    wait_for_percent(page, 10)
    page.get_by_role("button", name="Pause my film.mp4").click()
    expect(page.locator("#upload-status")).to_have_text("1 uploaded, 0 not, 1 paused. ")
    expect(page.locator(".upload-row.is-done")).to_contain_text("second.mp4")
    page.get_by_role("button", name="Resume my film.mp4").click()
    page.wait_for_url("**/submissions/")
    expect(page.locator(".row-name")).to_have_text(["my film.mp4", "second.mp4"])


def test_progress_is_told_with_rate_and_time_left(page: Page, film: Path) -> None:
    start(page, film)
    expect(page.locator(".upload-note")).to_have_text(
        re.compile(r"\d+%, \d+\.\d MB/s, (a few seconds|about \d+ (s|min)) left")
    )
    bar = page.get_by_role("progressbar", name="Upload of my film.mp4")
    expect(bar).to_have_js_property("max", 100)
    expect(page.locator("#upload-status")).to_have_attribute("aria-live", "polite")
    expect(page.locator("#upload-status")).to_have_text("Uploading my film.mp4.")


def test_who_logs_in_in_another_tab_keeps_the_upload(
    page: Page, context: BrowserContext, film: Path, running_site: RunningSite, sent: Sent
) -> None:
    start(page, film)
    wait_for_percent(page, 10)
    tab = context.new_page()
    tab.goto("/accounts/login/")
    tab.fill("#id_username", ADMIN)
    tab.fill("#id_password", running_site.admin_password)
    tab.click("main [type=submit]")
    expect(tab.locator(".site-nav-name")).to_have_text(ADMIN)
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    expect(page.locator(".site-nav-name")).to_have_text(ADMIN)
    assert sent.count("POST") == 1


def test_what_is_no_video_is_refused_after_its_first_piece(
    page: Page, tmp_path: Path, sent: Sent
) -> None:
    start(page, made_up(tmp_path / "words.mp4", 12 * MB, start=b"These are words. "))
    expect(page.locator(".upload-row.is-refused")).to_contain_text("is not that of a video")
    expect(page.get_by_role("button", name="Remove words.mp4")).to_be_visible()
    assert sent.offsets() == [0]
    assert remembered(page) == 0


def test_what_can_be_mended_can_be_tried_again(page: Page, film: Path, sent: Sent) -> None:
    full = {"error": {"code": "disk_full", "message": "The server has no room."}}
    answers = [507]

    def once(route: Route) -> None:
        if route.request.method == "PATCH" and answers:
            route.fulfill(status=answers.pop(), json=full)
        else:
            route.continue_()

    page.route("**/api/v1/uploads/*/", once)
    start(page, film)
    expect(page.locator(".upload-row.is-refused")).to_contain_text("The server has no room.")
    page.get_by_role("button", name="Try again my film.mp4").click()
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 1


def test_a_server_that_asks_for_patience_gets_it(page: Page, film: Path, sent: Sent) -> None:
    busy = {"error": {"code": "too_many_requests", "message": "Too often."}}
    answers = [429]

    def once(route: Route) -> None:
        if route.request.method == "PATCH" and answers:
            route.fulfill(status=answers.pop(), headers={"Retry-After": "3"}, json=busy)
        else:
            route.continue_()

    page.route("**/api/v1/uploads/*/", once)
    start(page, film)
    expect(page.locator(".upload-note")).to_have_text("The server is busy. Trying again in 3 s.")
    page.wait_for_url("**/submissions/*/")
    assert arrived(page, film)
    assert sent.count("POST") == 1


def status(page: Page, method: str, address: str) -> int:
    """Of a request as the page itself would make it."""
    return int(
        page.evaluate(
            """async ([method, address]) => (await fetch(address, {
                method,
                headers: {
                    "Tus-Resumable": "1.0.0",
                    "X-CSRFToken": document.cookie.match(/csrftoken=([^;]*)/)[1],
                },
            })).status""",
            [method, address],
        )
    )


def expect_gone(page: Page, address: str) -> None:
    """The server has nothing of the upload; its last piece may take a moment to end."""
    wait_until(lambda: status(page, "HEAD", address) == 404, "the upload is gone")
