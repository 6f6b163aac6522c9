"""A fault is found in whatever theme and width it shows, also after pages that are like it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from tests.browser.looking import check_similar_pages, look

pytestmark = pytest.mark.browser
CLEAR = """<html lang="en"><title>Docket</title><meta name="viewport" content="width=device-width">
<style>body { color: #111; background: #fff } a, p { font-size: 16px }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #111 } } %s</style>
<main><h1>Docket</h1><section class="card"><p class="hint">A text</p></section>%s</main></html>"""
FAULTS = {
    "": "",
    ".hint { color: #bbb }": "color-contrast",
    "@media (prefers-color-scheme: dark) { .hint { color: #555 } }": "color-contrast",
    "@media (min-width: 1000px) and (prefers-color-scheme: dark) { .card { background: #ccc } }": "color-contrast",
    ".card { opacity: .3 }": "color-contrast",
    ".hint { background: #777 }": "color-contrast",
    ".hint { width: 900px }": "scrolls to",
    ".hint { overflow: hidden; width: 50px; white-space: nowrap; font-size: 1rem }": "hint",
}
# What shows only on a narrow window, and what scrolls only there.
NARROW = {
    """<style>.narrow { display: none } @media (max-width: 400px) { .narrow { display: block } }</style>
    <div class="narrow"><b><img src='data:,'></b></div>""": "image-alt",
    f"<div style='overflow-x: auto; white-space: nowrap'>{'A long text. ' * 9}</div>": "scrollable-region-focusable",
}


def test_each_kind_of_fault_is_found(browser: Browser) -> None:
    page = browser.new_page()
    for style, fault in FAULTS.items():
        page.set_content(CLEAR % (style, ""))
        if not fault:
            look(page)
            continue
        with pytest.raises(AssertionError, match=fault):
            look(page)
    page.set_content(CLEAR % ("", "<button class='button'>Go</button>"))
    with pytest.raises(AssertionError, match="BUTTON"):
        look(page)
    page.set_content(CLEAR % ("", "<img src='data:,'>"))
    with pytest.raises(AssertionError, match="image-alt"):
        look(page)
    for part, fault in NARROW.items():
        page.set_content(CLEAR % ("", part))
        with pytest.raises(AssertionError, match=f" 320\n{fault}"):
            look(page)
    page.close()


def test_similar_pages_must_fit_a_phone_and_new_elements_are_looked_at(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(CLEAR % ("", ""))
    look(page)

    def like_it(text: str) -> str:
        return "data:text/html," + quote(CLEAR % ("", text))

    check_similar_pages(page, like_it(""), like_it("<p class='hint'>Another text</p>"))
    with pytest.raises(AssertionError, match="scrolls to"):
        check_similar_pages(page, like_it(""), like_it(f"<p class='hint'>{'W' * 90}</p>"))
    page.set_content(CLEAR % ("", ""))
    with pytest.raises(AssertionError, match="color-contrast"):
        check_similar_pages(page, like_it("<p class='new' style='color: #bbb'>A text</p>"))
    page.close()
