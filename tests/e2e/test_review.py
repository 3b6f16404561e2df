"""A reviewer's way in Chromium: find, look, label, export; and a program's token.

Every page is used, not only opened, while the console is watched: the policy
against inline scripts and styles breaks an admin page silently.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Analyzed, watch
from tests.e2e.running_site import ADMIN, RunningSite

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]

LIST = "/admin/submissions/submission/"


@pytest.fixture
def staff(browser: Browser, running_site: RunningSite) -> Any:
    """A page of the administrator's; nothing may be complained about on it."""
    context = browser.new_context(base_url=running_site.url, accept_downloads=True)
    page = context.new_page()
    complaints = watch(page)
    page.goto("/admin/login/")
    page.fill("#id_username", ADMIN)
    page.fill("#id_password", running_site.admin_password)
    page.click("[type=submit]")
    expect(page.locator("#user-tools")).to_contain_text("Log out")
    yield page
    assert complaints == []
    context.close()


@pytest.fixture
def review_page(analyzed: Analyzed) -> str:
    return f"{LIST}{analyzed.path.split('/')[2]}/change/"


def rows(page: Page) -> int:
    return page.locator("#result_list tbody tr").count()


def test_a_reviewer_finds_a_video_by_filters_and_search(staff: Page, analyzed: Analyzed) -> None:
    staff.goto(LIST)
    everything = rows(staff)
    assert everything >= 1
    for filter_name, choice in (("state", "done"), ("upload date", "Today"), ("review", "not rev")):
        staff.locator(f'details[data-filter-title="{filter_name}"] a', has_text=choice).click()
        expect(staff.locator("#changelist-filter-extra-actions")).to_contain_text("Clear all")
    assert 1 <= rows(staff) <= everything
    staff.fill("#fv-owner", "nobody-of-this-name")
    staff.press("#fv-owner", "Enter")
    staff.wait_for_url("**owner=nobody-of-this-name**")
    assert rows(staff) == 0
    assert "state=SUCCEEDED" in staff.url
    staff.goto(LIST)
    staff.fill("#searchbar", "two people")
    staff.press("#searchbar", "Enter")
    staff.wait_for_url("**q=two+people**")
    assert rows(staff) >= 1
    expect(staff.locator(".fv-thumb img").first).to_be_visible()
    assert staff.locator(".fv-thumb img").first.evaluate("image => image.decode().then(() => true)")


def test_a_reviewer_labels_a_video_and_sees_it_in_the_list(staff: Page, review_page: str) -> None:
    staff.goto(review_page)
    staff.check("input[name=reviews-0-label][value=FAKE]")
    staff.fill("#id_reviews-0-note", "Rendered for a test.")
    staff.click("[name=_save]")
    expect(staff.locator(".messagelist")).to_contain_text("changed successfully")
    expect(staff.locator("#result_list .fv-label").first).to_contain_text("fake")


def test_a_click_on_a_face_shows_its_moment(staff: Page, review_page: str) -> None:
    staff.goto(review_page)
    face = staff.locator(".fv-face a").last
    moment = float(face.get_attribute("data-seek") or "nan")
    assert moment > 0
    staff.wait_for_function("document.getElementById('player').readyState >= 1")
    face.click()
    staff.wait_for_function(
        "moment => Math.abs(document.getElementById('player').currentTime - moment) < 0.05",
        arg=moment,
    )
    assert staff.url.endswith(review_page)


def test_a_video_the_browser_cannot_play_is_offered_as_a_download(
    staff: Page, review_page: str
) -> None:
    staff.route("**/video/", lambda route: route.fulfill(status=200, body=b"not a video"))
    staff.goto(review_page)
    notice = staff.locator("#player-failed")
    expect(notice.get_by_role("link")).to_have_attribute("href", re.compile(r"\?download$"))
    expect(staff.locator("#player")).to_be_hidden()
    staff.locator(".fv-face a").last.click()
    expect(notice).to_be_in_viewport()
    assert staff.url.endswith(review_page)


def test_a_reviewer_exports_and_is_asked_before_deleting(staff: Page, analyzed: Analyzed) -> None:
    staff.goto(LIST)
    staff.locator("#action-toggle").check()
    staff.select_option("[name=action]", "export_csv")
    with staff.expect_download() as download:
        staff.click("button[name=index]")
    assert download.value.suggested_filename.endswith(".csv")
    assert download.value.path().read_text().startswith("id,uploaded,name,")
    staff.select_option("[name=action]", "delete_selected")
    staff.click("button[name=index]")
    expect(staff.locator("h1")).to_contain_text("Delete multiple objects")
    staff.go_back()


def test_the_theme_switch_works(staff: Page, review_page: str) -> None:
    staff.goto(review_page)
    staff.locator(".theme-toggle").first.click()
    theme = staff.evaluate("document.documentElement.dataset.theme")
    assert theme in ("light", "dark")


def test_a_token_from_the_account_page_works_in_the_documentation(staff: Page) -> None:
    staff.goto("/accounts/")
    staff.fill("#token-name", "browser test")
    staff.get_by_role("button", name="Make a token").click()
    secret = staff.input_value("#token-secret")
    staff.get_by_role("link", name="Done").click()
    expect(staff.locator("#tokens")).to_contain_text("browser test")
    assert secret not in staff.content()

    staff.context.clear_cookies()
    staff.goto("/api/docs/")
    staff.locator(".authorize").first.click()
    staff.locator("#auth-bearer-value").fill(secret)
    staff.locator(".auth-btn-wrapper .authorize").first.click()
    staff.locator(".btn-done").first.click()
    operation = staff.locator("#operations-submissions-submissions_list")
    operation.locator(".opblock-summary-control").click()
    operation.locator(".try-out__btn").click()
    operation.locator(".execute").click()
    answer = operation.locator(".live-responses-table tbody .response-col_status").first
    expect(answer).to_contain_text("200")
