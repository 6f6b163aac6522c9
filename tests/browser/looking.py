"""Looking at a page in every way: axe's rules, colours, sizes, and text of twice the size.

The page is not loaded again: the window changes its width, its theme and its text size.
"""

from __future__ import annotations

from typing import Any, Literal
from weakref import WeakSet

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, ViewportSize, expect

AXE = Axe()
HEIGHTS = {320: 640, 768: 640, 1280: 720}
# Colours are most of the work of axe, and are checked by themselves: see `FAINT`. Nothing is loaded for any rule, and
# pages in a frame are looked at by themselves.
OPTIONS = 'resultTypes: ["violations"], preload: false, iframes: false'
ALL_BUT_COLOURS = f'{{{OPTIONS}, rules: {{"color-contrast": {{enabled: false}}}}}}'
BREACHES = f"async () => (await axe.run({ALL_BUT_COLOURS})).violations"
# The rules judge elements and how they stand to each other, and leave out what is hidden. So on a narrow window they
# are asked again about what shows only there, and about what scrolls there.
REMEMBER_WHAT_SHOWS = """() => {
  window.shown = new Set([...document.querySelectorAll("body *")].filter((each) => each.checkVisibility()));
}"""
NEW_BREACHES = """async () => {
  const fresh = [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility() &&
    !window.shown.has(each) && (each.parentElement === document.body || window.shown.has(each.parentElement)));
  const found = fresh.length ? (await axe.run({include: fresh}, ALL_BUT_COLOURS)).violations : [];
  return [...found, ...(await axe.run({OPTIONS, runOnly: ["scrollable-region-focusable"]})).violations];
}""".replace("ALL_BUT_COLOURS", ALL_BUT_COLOURS).replace("OPTIONS", OPTIONS)
# Whether a text stands out depends on what is drawn at it and behind it, so on the elements around it, their classes
# and their computed colours, and on its own size. Gives each different case on the page, as a number.
PAINTED = """() => {
  const cases = window.painted = new Map();
  const walk = (element, around) => {
    if (!element.checkVisibility()) return;
    const style = getComputedStyle(element);
    const own = [element.tagName, element.getAttribute("class"), element.getAttribute("type"), element.disabled,
      style.color, style.backgroundColor, style.backgroundImage, style.opacity, style.filter].join(" ");
    let [first, second] = around;
    for (let at = 0; at < own.length; at++) {
      first = Math.imul(first ^ own.charCodeAt(at), 2654435761);
      second = Math.imul(second ^ own.charCodeAt(at), 1597334677);
    }
    const here = [first, second];
    const texts = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (texts || element.matches("input, select, textarea")) {
      const large = parseFloat(style.fontSize) >= (style.fontWeight >= 700 ? 18.66 : 24);
      const number = `${first} ${second} ${large}`;
      if (!cases.has(number)) cases.set(number, element);
    }
    for (const child of element.children) walk(child, here);
  };
  walk(document.documentElement, [1, 2]);
  return [...cases.keys()];
}"""
FAINT = f"""async (cases) => (await axe.run({{include: cases.map((number) => window.painted.get(number))}},
  {{{OPTIONS}, runOnly: ["color-contrast"]}})).violations"""
# The cases that axe has found clear, on any page: the header of every page is the same.
_clear: set[str] = set()
_with_axe: WeakSet[BrowserContext] = WeakSet()

TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > width + 1 && !each.closest(".strip, .switch, .scroller"))
    .slice(0, 5).map((each) => `${each.tagName} ${each.className} ${Math.round(each.getBoundingClientRect().right)}`)
    .concat(`scrolls to ${document.documentElement.scrollWidth}`);
}"""
# In the dense lists of staff, a mouse finds what a finger would not: there WCAG 2.2 asks for 24 px.
TOO_SMALL = """() => ["button", ".button", ".slot", ".input", "select", "summary", ".choice", ".strip label"]
  .flatMap((kind) => [...document.querySelectorAll(kind)])
  .filter((each) => each.checkVisibility() && !each.closest(".visually-hidden"))
  .map((each) => [each, each.getBoundingClientRect(),
    each.closest(".workplace") && matchMedia("(pointer: fine) and (min-width: 64rem)").matches ? 24 : 43.5])
  .filter(([, box, least]) => box.width > 0 && (box.height < least || box.width < least))
  .map(([each, box]) => `${each.tagName} ${each.className} ${each.textContent.trim()} ${box.width}×${box.height}`)"""

# What hides text: a box that clips it, a button or a title that is narrower than it, and a field that is lower.
CLIPPED = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !each.closest(".visually-hidden, .strip, .switch, .scroller, svg, .day-name .long"))
  .filter((each) => {
    const style = getComputedStyle(each), above = parseFloat(style.paddingTop), below = parseFloat(style.paddingBottom);
    if (each.matches("input:not([type=radio], [type=checkbox])"))
      return each.clientHeight - above - below < 1.15 * parseFloat(style.fontSize);
    if (each.matches("select")) return each.scrollHeight > each.clientHeight + 1;
    const hides = style.overflowX !== "visible" || each.matches(".button, .slot, .badge, h1, h2, h3, .weekdays a");
    return hides && each.clientWidth > 0 && style.display !== "inline" && each.scrollWidth > each.clientWidth + 1;
  })
  .map((each) => `${each.tagName} ${each.className} ${each.textContent.trim().slice(0, 40)}`)"""


def look(page: Page) -> None:
    """Check the page in every way."""
    expect(page.locator("h1")).to_have_count(1)
    bring_axe(page)
    resize(page, 1280)
    paint(page, "light")
    expect_none(breaches(page.evaluate(BREACHES)), page.url, 1280)
    page.evaluate(REMEMBER_WHAT_SHOWS)
    look_at_sizes(page, 1280)
    look_at_colours(page, 1280, "light")
    paint(page, "dark")
    look_at_colours(page, 1280, "dark")
    resize(page, 320)
    look_at_colours(page, 320, "dark")
    paint(page, "light")
    look_at_colours(page, 320, "light")
    expect_none(breaches(page.evaluate(NEW_BREACHES)), page.url, 320)
    look_at_sizes(page, 320)
    resize(page, 768)
    expect_none(page.evaluate(TOO_WIDE), page.url, 768)
    look_at_large_text(page)


def bring_axe(page: Page) -> None:
    """Have axe in the page. The pages that follow in its window begin with it: it is long, and sent only once."""
    if page.context not in _with_axe:
        _with_axe.add(page.context)
        page.context.add_init_script(AXE.axe_script)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)


def paint(page: Page, theme: Literal["light", "dark"]) -> None:
    """Show the page in this theme."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")


def look_at_sizes(page: Page, width: int) -> None:
    """Check that nothing scrolls sideways, and that what is pressed is large enough."""
    expect_none(page.evaluate(TOO_WIDE), page.url, width)
    expect_none(page.evaluate(TOO_SMALL), page.url, width)


def look_at_colours(page: Page, *about: object) -> None:
    """Check that every text stands out, except those of which a page before this one had the like."""
    cases = [case for case in page.evaluate(PAINTED) if case not in _clear]
    if cases:
        expect_none(breaches(page.evaluate(FAINT, cases)), page.url, *about)
        _clear.update(cases)


def look_at_large_text(page: Page) -> None:
    """Check that everything can be read when the browser's text is twice as large."""
    browser = page.context.new_cdp_session(page)
    browser.send("Page.setFontSizes", {"fontSizes": {"standard": 32}})
    try:
        for width in (768, 320, 1280):
            resize(page, width)
            expect_none(page.evaluate(TOO_WIDE), page.url, width, "large text")
            expect_none(page.evaluate(CLIPPED), page.url, width, "large text")
    finally:
        browser.send("Page.setFontSizes", {"fontSizes": {"standard": 16}})
        browser.detach()


def expect_none(faults: list[str], *about: object) -> None:
    """Fail with the faults and where they are."""
    assert not faults, "\n".join([" ".join(map(str, about)), *faults])


def resize(page: Page, width: int) -> None:
    """Make the window this wide."""
    size: ViewportSize = {"width": width, "height": HEIGHTS[width]}
    if page.viewport_size != size:
        page.set_viewport_size(size)


def breaches(found: list[dict[str, Any]]) -> list[str]:
    """The findings of axe, one line each."""
    return [f"{breach['id']}: {breach['help']} {[node['target'] for node in breach['nodes']]}" for breach in found]
