"""One running site, one Chromium, and one video analyzed for real, for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests import clips
from tests.e2e.browsers import FLAGS, HOW_TO_INSTALL, find_chromium
from tests.e2e.running_site import RunningSite
from tests.graphs import share_graphs

SECONDS_FOR_A_VERDICT = 600
"""Half a minute is usual; a busy machine needs patience."""

PATIENCE_MS = 60_000
"""For everything else: a page that a worker beside it keeps waiting is no wrong page."""

expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Analyzed:
    """A submission with its verdict, and the browser session that owns it."""

    path: str
    storage: StorageState


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(HOW_TO_INSTALL)
    return {"executable_path": chromium, "args": list(FLAGS), "timeout": 2 * PATIENCE_MS}


@pytest.fixture(scope="session")
def browser(browser: Browser) -> Browser:
    """Waits on every page, in whatever context, as long as ``expect`` does."""
    browser.on("context", lambda context: context.set_default_timeout(PATIENCE_MS))
    return browser


# It and what builds on it ends with this package, not to share memory with the tests after it.
@pytest.fixture(scope="package")
def running_site(
    browser_type_launch_args: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningSite]:
    var_dir = tmp_path_factory.mktemp("site")
    share_graphs(var_dir)
    with RunningSite(
        var_dir,
        FRAMEVOTE_SAMPLING="quick",
        FRAMEVOTE_MAX_UPLOAD_MB="16",
        FRAMEVOTE_MAX_FILES_PER_UPLOAD="3",
        FRAMEVOTE_SWEEP_SECONDS="1",
    ) as site:
        yield site


@pytest.fixture(scope="session")
def two_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.two_people(tmp_path_factory.mktemp("clips") / "two people.mp4", seconds=2.0)


@pytest.fixture(scope="package")
def browser_context_args(running_site: RunningSite) -> dict[str, Any]:
    return {"base_url": running_site.url, "viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="package")
def analyzed(running_site: RunningSite, browser: Browser, two_people: Path) -> Analyzed:
    """Uploaded and read in the browser; ``test_journey`` looks at the way more closely."""
    running_site.start_worker()
    context = browser.new_context(base_url=running_site.url)
    page = context.new_page()
    analyze(page, two_people)
    found = Analyzed(page.url.removeprefix(running_site.url), context.storage_state())
    context.close()
    return found


def analyze(page: Page, clip: Path) -> None:
    """Upload a clip and wait on its page until that turns into the verdict."""
    page.goto("/")
    page.set_input_files("#video-input", clip)
    page.click("#upload-button")
    page.wait_for_url("**/submissions/*/")
    page.evaluate("window.neverReloaded = true")
    page.wait_for_selector("#verdict-heading", timeout=SECONDS_FOR_A_VERDICT * 1000)
    assert page.evaluate("window.neverReloaded"), "the verdict came by loading the page again"


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser's console complained about; a test that expects nothing fails on any."""
    found = watch(page)
    yield found
    assert found == []


def watch(page: Page) -> list[str]:
    """A list that fills with the page's console errors, warnings and uncaught exceptions."""
    found: list[str] = []
    page.on(
        "console",
        lambda message: (
            found.append(f"{page.url}: {message.type}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))
    return found
