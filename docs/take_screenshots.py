"""Takes ``docs/screenshots/*.png`` from a real running site; run by ``script/screenshots``.

A rendered clip (the NASA portrait of scikit-image and its mirror image) goes
through upload, queue and detector; nothing on the pictures is made up.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, StorageState, sync_playwright

from tests import clips
from tests.e2e.browsers import FLAGS, HOW_TO_INSTALL, find_chromium
from tests.e2e.running_site import ADMIN, RunningSite

TARGET = Path(__file__).resolve().parent / "screenshots"
WIDTHS = {"wide": 1280, "narrow": 390}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TALLEST = {"wide": 2000, "narrow": 2000}
PATIENCE_MS = 900_000
RESERVED = 30


def main() -> int:
    chromium = find_chromium()
    if chromium is None:
        print(HOW_TO_INSTALL, file=sys.stderr)
        return 1
    TARGET.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="framevote-screenshots-") as folder,
        sync_playwright() as playwright,
    ):
        var_dir = Path(folder) / "var"
        var_dir.mkdir()
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        with RunningSite(var_dir) as site:
            _take_all(browser, site, Path(folder))
        browser.close()
    return 0


def _take_all(browser: Browser, site: RunningSite, folder: Path) -> None:
    admin = _log_in(browser, site)
    interview = clips.two_people(folder / "street interview.mp4", seconds=3.0)
    greeting = clips.one_person(folder / "birthday greeting.mp4", size=(640, 360), seconds=4.0)
    landscape = clips.no_face(folder / "landscape.mp4", seconds=2.0)
    # Long enough that all four pictures are taken before its verdict.
    debate = clips.two_people(folder / "panel debate.mp4", seconds=240.0)

    _shoot(browser, site, "upload", "/", None, showing="#video-input")
    running = _upload(browser, site, admin, debate, "thorough")
    site.start_worker()
    _wait_for_faces(browser, site, admin, running)
    _shoot(browser, site, "progress", running, admin, showing=".stage.is-current")
    _cancel(browser, site, admin, running)
    result = _upload(browser, site, admin, interview, "standard")
    _wait_for_verdict(browser, site, admin, result)
    for clip in (greeting, landscape):
        _wait_for_verdict(browser, site, admin, _upload(browser, site, admin, clip, "quick"))
    _shoot(browser, site, "result", result, admin, showing="#verdict-heading")
    for clip in (debate, greeting):  # So that the list has rows that run and wait.
        _upload(browser, site, admin, clip, "thorough")
    _shoot(browser, site, "list", "/submissions/", admin, showing=".badge.is-queued")
    _shoot(browser, site, "models", "/models/", None, showing=".model-card")
    _shoot(browser, site, "admin", "/admin/submissions/submission/", admin, showing="#result_list")
    review = f"/admin/submissions/submission/{result.split('/')[2]}/change/"
    _shoot(browser, site, "review", review, admin, showing="#submission_form")


def _shoot(
    browser: Browser,
    site: RunningSite,
    name: str,
    path: str,
    storage: StorageState | None,
    *,
    showing: str,
) -> None:
    """One page in both widths and both color schemes; each must be ``showing`` what it is for."""
    for width_name, width in WIDTHS.items():
        for scheme in SCHEMES:
            context = browser.new_context(
                base_url=site.url,
                storage_state=storage,
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(path)
            _load_pictures(page)
            picture = _small(page.screenshot(full_page=True), TALLEST[width_name])
            if not page.locator(showing).first.is_visible():
                raise RuntimeError(f"{name}: the page does not show {showing!r} any more")
            file = TARGET / f"{name}-{width_name}-{scheme}.png"
            file.write_bytes(picture)
            print(f"{file.name}: {len(picture) // 1024} KB", flush=True)
            context.close()


def _log_in(browser: Browser, site: RunningSite) -> StorageState:
    with _page(browser, site, None) as page:
        page.goto("/accounts/login/")
        page.fill("#id_username", ADMIN)
        page.fill("#id_password", site.admin_password)
        page.click("main button[type=submit]")
        page.wait_for_url("**/submissions/")
        return page.context.storage_state()


def _upload(
    browser: Browser, site: RunningSite, storage: StorageState, clip: Path, sampling: str
) -> str:
    with _page(browser, site, storage) as page:
        page.goto("/")
        page.set_input_files("#video-input", clip)
        page.check(f"input[value={sampling}]")
        page.click("#upload-button")
        page.wait_for_url("**/submissions/*/")
        return page.url.removeprefix(site.url)


def _wait_for_faces(browser: Browser, site: RunningSite, storage: StorageState, path: str) -> None:
    """Until the analysis is well into finding faces, the longest stage."""
    with _page(browser, site, storage) as page:
        page.goto(path)
        page.wait_for_function(
            "() => document.querySelector('.stage.is-current')?.innerText.includes('Find faces')"
            " && document.querySelector('.big-progress').value >= 20",
            timeout=PATIENCE_MS,
        )


def _cancel(browser: Browser, site: RunningSite, storage: StorageState, path: str) -> None:
    with _page(browser, site, storage) as page:
        page.goto(path)
        page.click("#cancel-analysis")
        page.wait_for_selector(".ended.is-canceled", timeout=PATIENCE_MS)


def _wait_for_verdict(
    browser: Browser, site: RunningSite, storage: StorageState, path: str
) -> None:
    with _page(browser, site, storage) as page:
        page.goto(path)
        page.wait_for_selector("#verdict-heading", timeout=PATIENCE_MS)


@contextmanager
def _page(browser: Browser, site: RunningSite, storage: StorageState | None) -> Iterator[Page]:
    context = browser.new_context(base_url=site.url, storage_state=storage)
    try:
        yield context.new_page()
    finally:
        context.close()


def _load_pictures(page: Page) -> None:
    """Pictures load when they come into view, and a player shows its first frame late."""
    page.evaluate("document.querySelectorAll('img').forEach(img => { img.loading = 'eager'; })")
    page.wait_for_function("() => [...document.images].every(img => img.complete)")
    page.wait_for_function(
        "() => [...document.querySelectorAll('video')].every(v => v.readyState >= 2 || v.error)"
    )
    # A player turns its ring for a moment longer.
    page.wait_for_timeout(2000 if page.locator("video").count() else 300)


def _small(png: bytes, tallest: int) -> bytes:
    """Cut what is too tall and keep 256 colors, which is a third of the size.

    Photographs would take all 256 for themselves, so the page's own most frequent
    and most vivid colors get their places first.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, tallest)))
    counted = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)
    colors = [color for _, color in counted if isinstance(color, tuple)]
    vivid = [color for color in colors if max(color) - min(color) > 60]
    reserved = dict.fromkeys((*colors[:RESERVED], *vivid[:RESERVED]))
    others = picture.quantize(256 - len(reserved)).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for color in reserved for part in color), *others][: 3 * 256])
    dithered = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    places = np.array(dithered)
    # Pillow looks colors up only roughly; plain surfaces have to stay exact.
    pixels = np.asarray(picture)
    for place, color in enumerate(reserved):
        places[(pixels == color).all(axis=2)] = place
    small = Image.fromarray(places)
    small.putpalette(dithered.getpalette() or [])
    packed = io.BytesIO()
    small.save(packed, "PNG", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    sys.exit(main())
