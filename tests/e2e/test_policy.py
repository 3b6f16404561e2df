"""No page in Chromium breaks the policy against foreign and inline code, or complains otherwise.

The pages are those of the table that says who gets what; a page that is new is looked at
as soon as it has its row there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from tests.e2e.conftest import Analyzed, watch
from tests.e2e.running_site import ADMIN, RunningSite
from tests.webapp.access_table import Row, expected, filled, to_look_at

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]

ONE_OF_EACH = """
import json, django
django.setup()
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from webapp.accounts.models import ApiToken
from webapp.submissions.models import Submission
user = User.objects.create_user("somebody")
attempt = {"username": "somebody", "ip_address": "192.0.2.1", "path_info": "/"}
print(json.dumps({
    "user": user.pk,
    "apitoken": ApiToken.objects.issue(user, "one")[0].pk,
    "group": Group.objects.create(name="reviewers").pk,
    "submission_type": ContentType.objects.get_for_model(Submission).pk,
    "accessattempt": AccessAttempt.objects.create(**attempt, failures_since_start=1).pk,
    "accesslog": AccessLog.objects.create(**attempt).pk,
    "accessfailurelog": AccessFailureLog.objects.create(**attempt).pk,
}))
"""

VIOLATIONS = """
window.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""

HANDLERS = """[...document.querySelectorAll("*")].flatMap((element) =>
  element.getAttributeNames().filter((name) => name.startsWith("on")))"""
"""Chromium says nothing of an inline handler until its event comes."""


@pytest.fixture(scope="module")
def staff(browser: Browser, running_site: RunningSite) -> Iterator[BrowserContext]:
    """A context in which the administrator is logged in."""
    context = browser.new_context(base_url=running_site.url)
    page = context.new_page()
    page.goto("/accounts/login/?next=/admin/")
    page.fill("#id_username", ADMIN)
    page.fill("#id_password", running_site.admin_password)
    page.click("main button[type=submit]")
    expect(page).to_have_url(f"{running_site.url}/admin/")
    yield context
    context.close()


@pytest.fixture(scope="module")
def visitor(
    browser: Browser, running_site: RunningSite, analyzed: Analyzed
) -> Iterator[BrowserContext]:
    """The anonymous owner of the analyzed video."""
    context = browser.new_context(base_url=running_site.url, storage_state=analyzed.storage)
    yield context
    context.close()


@pytest.fixture(scope="module")
def ids(running_site: RunningSite, visitor: BrowserContext, analyzed: Analyzed) -> dict[str, Any]:
    """One of everything that has a page."""
    submission = analyzed.path.split("/")[2]
    answer = visitor.request.get(f"/api/v1/submissions/{submission}/").json()
    analysis = answer["analyses"][0]["id"]
    found: dict[str, Any] = json.loads(running_site.run(ONE_OF_EACH))
    return {**found, "submission": submission, "analysis": analysis}


@pytest.mark.parametrize(
    ("row", "who"),
    [
        pytest.param(row, who, id=f"{row.route or '/'}-{who}")
        for row in to_look_at()
        for who in ("visitor", "admin")
        # All others in the admin send a visitor to its log-in page.
        if who == "admin" or not row.route.startswith("admin/") or row.route == "admin/login/"
    ],
)
def test_no_page_breaks_the_policy(
    staff: BrowserContext, visitor: BrowserContext, ids: Mapping[str, object], row: Row, who: str
) -> None:
    page = (staff if who == "admin" else visitor).new_page()
    complaints = _watch_closely(page)
    answer = page.goto(filled(row, ids))
    page.wait_for_load_state("networkidle")
    wanted = expected(row.rule("GET"), who, owner="visitor")
    _check(page, answer, wanted, complaints)
    page.close()


@pytest.mark.parametrize(
    "address", ["/no/such/page/", "/admin/no/such/page/", "/submissions/?q=%00"]
)
def test_no_page_that_refuses_breaks_it(staff: BrowserContext, address: str) -> None:
    page = staff.new_page()
    complaints = _watch_closely(page)
    answer = page.goto(address)
    _check(page, answer, 400 if "%00" in address else 404, complaints)
    page.close()


def test_no_page_that_answers_a_form_breaks_it(
    browser: Browser, running_site: RunningSite, tmp_path: Path
) -> None:
    context = browser.new_context(base_url=running_site.url, java_script_enabled=False)
    page = context.new_page()
    complaints = _watch_closely(page)

    def send(address: str, button: str, wanted: int, **fields: str) -> None:
        page.goto(address)
        for field, text in fields.items():
            page.fill(f"#id_{field}", text)
        with page.expect_navigation() as navigation:
            page.click(button)
        _check(page, navigation.value, wanted, complaints)

    button = "main button[type=submit]"
    new = {"username": "dora", "password1": "long enough 77", "password2": "long enough 77"}
    send("/accounts/signup/", button, 400, **{**new, "password2": "something else 77"})
    for attempt in range(8):
        wanted = 429 if attempt == 7 else 200
        send("/accounts/login/", button, wanted, username="nobody", password="guess")
    expect(page.locator("h1")).to_have_text("Too many attempts")

    text = tmp_path / "text.mp4"
    text.write_text("no video")
    page.goto("/")
    page.set_input_files("#video-input", text)
    with page.expect_navigation() as navigation:
        page.click("#upload-button")
    _check(page, navigation.value, 400, complaints)

    page.context.clear_cookies(name="csrftoken")
    page.goto("/models/")
    page.set_content('<form method="post" action="/accounts/login/"><button>Send</button></form>')
    with page.expect_navigation() as navigation:
        page.click("button")
    _check(page, navigation.value, 403, complaints)
    context.close()


def test_a_video_and_a_face_by_themselves_run_nothing(
    visitor: BrowserContext, ids: Mapping[str, object]
) -> None:
    """Chromium makes a page of its own around both, styled inline; the policy forbids even that."""
    page = visitor.new_page()
    complaints = _watch_closely(page)
    page.goto(f"/submissions/{ids['submission']}/video/")
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    assert complaints == []
    page.goto(f"/analyses/{ids['analysis']}/faces/1.jpg")
    assert page.evaluate("document.images[0].naturalWidth") > 50
    # It also asks for /favicon.ico, as a page of ours does not.
    known = ("inline style", "policy: style", "Failed to load resource")
    assert not [text for text in complaints if not any(part in text for part in known)]
    page.close()


def _watch_closely(page: Page) -> list[str]:
    page.add_init_script(VIOLATIONS)
    return watch(page)


def _check(page: Page, answer: Response | None, wanted: int, complaints: list[str]) -> None:
    assert answer is not None
    first = answer
    while first.request.redirected_from:
        before = first.request.redirected_from.response()
        assert before is not None
        first = before
    assert first.status == wanted
    assert "unsafe" not in answer.headers["content-security-policy"]
    # Of a page that is refused the browser says that it was.
    rest = [text for text in complaints if "Failed to load resource" not in text or answer.ok]
    assert rest == []
    assert page.evaluate(HANDLERS) == []
    complaints.clear()
