"""What a browser calls a downloaded video: the uploader's name, and nothing of a header in it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.webapp.evidence import MP4

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("Ferien – “1”.mp4", "Ferien – “1”.mp4"),
        # A form is sent with %22 in the place of a quotation mark.
        ('a"; filename="evil.exe.mp4', "a%22; filename=%22evil.exe.mp4"),
        ("100%41.mp4", "100%41.mp4"),
        ("..\\..\\up.mp4", "up.mp4"),
        ("gp\u202e4pm.mp4", "gp4pm.mp4"),
        ("gp%E2%80%AE4pm.mp4", "gp%E2%80%AE4pm.mp4"),
    ],
)
def test_a_download_keeps_its_name(page: Page, name: str, saved: str) -> None:
    page.goto("/")
    token = page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    answer = page.request.post(
        "/",
        multipart={
            "csrfmiddlewaretoken": token,
            "video": {"name": name, "mimeType": "video/mp4", "buffer": MP4},
        },
    )
    address = answer.url  # The new submission's page, which the form leads to.
    with page.expect_download() as download:
        page.evaluate("address => { location = address }", f"{address}video/?download")
    assert download.value.suggested_filename == saved
    assert download.value.path().read_bytes() == MP4
