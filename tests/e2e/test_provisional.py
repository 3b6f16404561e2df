"""The page of a running analysis in Chromium: votes and faces before there is a verdict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import clips
from tests.e2e.conftest import SECONDS_FOR_A_VERDICT, Analyzed

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred and fifty faces: the page asks several times while they are judged."""
    return clips.two_people(tmp_path_factory.mktemp("clips") / "long.mp4", seconds=15)


def test_votes_and_faces_are_shown_before_the_verdict(
    page: Page, analyzed: Analyzed, long_clip: Path, complaints: list[str]
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/")
    page.set_input_files("#video-input", long_clip)
    page.locator("input[name=sampling][value=thorough]").check(force=True)
    page.click("#upload-button")
    page.wait_for_url("**/submissions/*/")
    block = page.locator(".provisional")
    expect(block).to_contain_text("provisional", timeout=SECONDS_FOR_A_VERDICT * 1000)
    expect(block).to_contain_text(re.compile(r"faces? voted real and [\d,]+ fake in \d+ of 75"))
    assert page.locator("#verdict-heading").count() == 0
    face = block.locator(".provisional-face").first
    expect(face).to_contain_text(re.compile("real|fake"))
    # The page may swap the block at any moment, so one look at all pictures.
    widths = page.evaluate(
        "[...document.querySelectorAll('.provisional-face img')].map(i => i.naturalWidth)"
    )
    assert set(widths) == {64}
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    expect(page.locator("#announcement")).to_contain_text("Provisional:")
    page.wait_for_selector("#verdict-heading", timeout=SECONDS_FOR_A_VERDICT * 1000)
    assert block.count() == 0
