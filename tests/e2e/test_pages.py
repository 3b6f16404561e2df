"""The pages in Chromium: nothing runs out of the screen, all can be read.

That nothing is complained about, ``test_policy.py`` looks at.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import Analyzed
from tests.e2e.running_site import RunningSite

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]

FOR_ALL = ("/", "/submissions/", "/models/", "/accounts/login/", "/accounts/signup/")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_runs_out_of_a_narrow_screen(
    browser: Browser, running_site: RunningSite, analyzed: Analyzed, width: int
) -> None:
    context = browser.new_context(
        base_url=running_site.url,
        storage_state=analyzed.storage,
        viewport={"width": width, "height": 800},
    )
    page = context.new_page()
    for address in (*FOR_ALL, analyzed.path, f"{analyzed.path}delete/", "/no/such/page/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
    context.close()


def test_text_can_be_read_on_every_ground(
    browser: Browser, running_site: RunningSite, analyzed: Analyzed
) -> None:
    """WCAG AA: 4.5 to 1 for text, in light and in dark."""
    for scheme in ("light", "dark"):
        context = browser.new_context(
            base_url=running_site.url,
            storage_state=analyzed.storage,
            color_scheme=scheme,
        )
        page = context.new_page()
        for address in ("/", "/submissions/", "/models/", "/accounts/signup/", analyzed.path):
            page.goto(address)
            assert page.evaluate(POOR_CONTRAST) == [], (scheme, address)
        context.close()


POOR_CONTRAST = """() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const luminance = ([r, g, b]) => {
    const part = [r, g, b].map((v) => {
      const s = v / 255;
      return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const hidden = !element.checkVisibility() || element.closest(".visually-hidden, svg, script");
    if (!walker.currentNode.data.trim() || hidden || element.closest("[aria-hidden]")) continue;
    const [a, b] = [parse(getComputedStyle(element).color), ground(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.add(`${walker.currentNode.data.trim().slice(0, 30)}: ${ratio}`);
  }
  return [...poor];
}"""
