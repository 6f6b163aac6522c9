"""Looking at a page in every way: axe's rules, colours, sizes, and text of twice the size.

The page is not loaded again: the window changes its width, its theme and its text size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal
from weakref import WeakSet

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

AXE = Axe()
HEIGHTS = {320: 640, 768: 640, 1280: 720}
# Colours are most of the work of axe, and are checked by themselves: see `FAINT`. Nothing is loaded for any rule, and
# pages in a frame are looked at by themselves.
OPTIONS = 'resultTypes: ["violations"], preload: false, iframes: false'
ALL_BUT_COLOURS = f'{{{OPTIONS}, rules: {{"color-contrast": {{enabled: false}}}}}}'
BREACHES = f"async () => told((await axe.run({ALL_BUT_COLOURS})).violations)"
TOLD = """const told = (violations) => violations.map(({id, help, nodes}) =>
  `${id}: ${help} ${JSON.stringify(nodes.map(({target}) => target))}`);"""
# The rules judge elements and how they stand to each other, and leave out what is hidden. So on a narrow window they
# are asked again about what shows only there, and about what scrolls there.
REMEMBER_WHAT_SHOWS = """() => {
  window.shown = new Set([...document.querySelectorAll("body *")].filter((each) => each.checkVisibility()));
  return [];
}"""
NEW_BREACHES = f"""async () => {{
  const all = [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility());
  const fresh = all.filter((each) => !window.shown.has(each) &&
    (each.parentElement === document.body || window.shown.has(each.parentElement)));
  const found = fresh.length ? (await axe.run({{include: fresh}}, {ALL_BUT_COLOURS})).violations : [];
  const scrolls = all.filter((each) => (each.scrollWidth > each.clientWidth || each.scrollHeight > each.clientHeight) &&
    /auto|scroll/.test(getComputedStyle(each).overflow));
  const only = {{{OPTIONS}, runOnly: ["scrollable-region-focusable"]}};
  if (scrolls.length) found.push(...(await axe.run({{include: scrolls}}, only)).violations);
  return told(found);
}}"""
# The contrast of a text depends on its colour, its size and its background, which the elements around it determine,
# up to the first opaque one. These values are the text's kind. For texts outside of the flow or on top of another
# element, the class is part of the kind. Axe checks one text of each kind. If axe cannot decide, or skips a hidden
# text, the classes of all elements around it are part of the kind, too.
FAINT = f"""async (known) => {{
  {TOLD}
  if (known) [window.clear, window.clearAlone] = known.map((each) => new Set(each));
  const {{clear, clearAlone}} = window;
  const mix = ([first, second], text) => {{
    for (let at = 0; at < text.length; at++) {{
      first = Math.imul(first ^ text.charCodeAt(at), 2654435761);
      second = Math.imul(second ^ text.charCodeAt(at), 1597334677);
    }}
    return [first, second];
  }};
  const texts = new Map();
  const walk = (element, around, behind, veiled) => {{
    if (!element.checkVisibility()) return;
    const style = getComputedStyle(element);
    const name = [element.tagName, element.classList, element.type, element.disabled].join(" ");
    const drawn = [style.backgroundColor, style.backgroundImage, style.opacity, style.filter].join(" ");
    around = mix(around, `${{name}} ${{style.color}} ${{drawn}}`);
    veiled ||= style.opacity !== "1" || style.filter !== "none" || style.mixBlendMode !== "normal";
    const solid = /^rgb\\(/.test(style.backgroundColor) && style.backgroundImage === "none" && !veiled;
    if (solid || drawn !== "rgba(0, 0, 0, 0) none 1 none") behind = mix(solid ? [3, 4] : behind, drawn);
    const onTop = style.position !== "static" || style.translate !== "none" || style.transform !== "none" ||
      style.gridRowStart !== "auto" || style.gridColumnStart !== "auto" || style.margin.includes("-");
    const field = element.matches("input, select, textarea");
    if (onTop || field) behind = mix(behind, `${{style.position}} ${{name}}`);
    if (field || [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) {{
      const large = parseFloat(style.fontSize) >= (style.fontWeight >= 700 ? 18.66 : 24);
      const kind = `${{mix(behind, `${{style.color}} ${{style.textShadow}}`)}} ${{large}}`;
      const alone = `${{around}} ${{large}}`;
      if (!clear.has(kind) && !clearAlone.has(alone)) texts.set(alone, [element, kind]);
    }}
    for (const child of element.children) walk(child, around, behind, veiled);
  }};
  walk(document.documentElement, [1, 2], [3, 4], false);
  const kinds = new Map([...texts.values()].map(([element, kind]) => [element, kind]));
  const found = [], fresh = [], ask = async (some) => {{
    const answer = await axe.run({{include: some}}, {{{OPTIONS}, runOnly: ["color-contrast"], elementRef: true,
      resultTypes: ["violations", "passes"]}});
    const passed = answer.passes.flatMap((each) => each.nodes.map((node) => kinds.get(node.element)));
    fresh.push(...passed.filter((kind) => kind));
    found.push(...told(answer.violations));
  }};
  if (texts.size) await ask([...new Map([...kinds].map(([element, kind]) => [kind, element])).values()]);
  const unsaid = [...kinds].filter(([, kind]) => !fresh.includes(kind)).map(([element]) => element);
  if (unsaid.length && !found.length) await ask(unsaid);
  for (const kind of fresh) clear.add(kind);
  if (!found.length) for (const alone of texts.keys()) clearAlone.add(alone);
  return {{found, fresh, alone: [...texts.keys()]}};
}}"""
# The kinds of elements of a page. A page with a new kind may look different from earlier pages. A kind is a tag and its
# classes, the attributes that our style sheets know, colours, size and position. Hidden elements count too, because
# another width may show them.
KINDS = """() => {
  const known = /^(data-(status|kind|tint|tone|past|side)|aria-(current|invalid|pressed|disabled)|type|role|disabled)$/;
  const coarse = matchMedia("(pointer: coarse)").matches, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const about = [coarse, ...document.querySelectorAll("style")]
    .map((each) => each.textContent ?? each).join(" ");
  const kinds = [...document.querySelectorAll("body *")].filter((each) => !each.closest("svg, option")).map((each) => {
    const {color, backgroundColor, display, position, fontSize} = getComputedStyle(each);
    const names = each.getAttributeNames().filter((name) => known.test(name)).sort();
    const attributes = names.map((name) => name + each.getAttribute(name));
    const drawn = [color, backgroundColor, display, position, fontSize];
    return [about, each.tagName, ...[...each.classList].sort(), ...attributes, ...drawn].join("|");
  });
  const hashed = [...new Set(kinds)].map((text) => {
    let hash = 0;
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 2654435761) ^ hash >>> 13;
    return hash;
  });
  return {coarse, dark, kinds: hashed};
}"""
# The texts whose contrast axe has passed, on any page: the header of every page is the same.
_clear: set[str] = set()
_clear_alone: set[str] = set()
# The kinds of elements of the pages that were looked at in every way.
_known: set[int] = set()
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

# Replace the shown page's <main> by those of other pages, without scripts: the first script returns the kinds of their
# elements, and the second measures them in a narrow window.
SIMILAR_PAGES = f"""async (paths) => {{
  window.others = [];
  const told = [];
  for (const path of paths) {{
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${{answer.status}} at ${{path}}`);
    const main = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    others.push(main);
    document.querySelector("main").replaceWith(main);
    told.push(({KINDS})().kinds);
  }}
  return told;
}}"""
SIMILAR_PAGES_NARROW = f"""() => others.map((main) => {{
  document.querySelector("main").replaceWith(main);
  return [{TOO_WIDE}, {TOO_SMALL}].flatMap((fault) => fault());
}})"""


def look(page: Page) -> None:
    """Check the page in every way, and leave its window wide.

    A page that has only kinds of elements of earlier pages is checked in fewer ways.
    """
    expect(page.locator("h1")).to_have_count(1)
    bring_axe(page)
    if page.viewport_size != {"width": 1280, "height": HEIGHTS[1280]}:
        page.set_viewport_size({"width": 1280, "height": HEIGHTS[1280]})
    told = page.evaluate(KINDS)
    if told["dark"]:
        paint(page, "light")
        told = page.evaluate(KINDS)
    window = page.context.new_cdp_session(page)
    # A page for touch screens stays one.
    resize = partial(_resize, window, mobile=told["coarse"])
    try:
        if _known.issuperset(told["kinds"]):
            _look_briefly(page, resize)
            resize(1280)
        else:
            _look(page, resize)
            window.send("Page.setFontSizes", {"fontSizes": {"standard": 32}})
            look_at_large_text(page, resize)
            window.send("Page.setFontSizes", {"fontSizes": {"standard": 16}})
            _known.update(told["kinds"])
    except AssertionError:
        window.send("Page.setFontSizes", {"fontSizes": {"standard": 16}})
        resize(1280)
        raise
    finally:
        window.detach()


def check_similar_pages(page: Page, *paths: str) -> None:
    """Check that pages with the elements of earlier pages fit a phone; call `look` for those that have new elements.

    The browser must show a page that was looked at and has the same style sheets. `tests.test_links` checks the
    headings, the ids, and the names of fields and buttons.
    """
    kinds = page.evaluate(SIMILAR_PAGES, paths)
    window = page.context.new_cdp_session(page)
    _resize(window, 320, mobile=False)
    for path, faults in zip(paths, page.evaluate(SIMILAR_PAGES_NARROW), strict=True):
        expect_none(faults, path, "320")
    window.detach()
    for path, found in zip(paths, kinds, strict=True):
        if not _known.issuperset(found):
            page.goto(path)
            look(page)


def _look_briefly(page: Page, resize: Callable[[int], None]) -> None:
    """Check a page without new kinds of elements: only its texts, names and labels are new."""
    check(page, "1280", BREACHES, REMEMBER_WHAT_SHOWS, TOO_WIDE, TOO_SMALL)
    resize(320)
    check(page, "320", NEW_BREACHES, TOO_WIDE, TOO_SMALL)


def _look(page: Page, resize: Callable[[int], None]) -> None:
    """Check the page with text of the usual size, in both themes."""
    check(page, "1280", BREACHES, REMEMBER_WHAT_SHOWS, TOO_WIDE, TOO_SMALL)
    look_at_colours(page, "1280 light", begins=True)
    paint(page, "dark")
    look_at_colours(page, "1280 dark")
    resize(320)
    look_at_colours(page, "320 dark")
    paint(page, "light")
    look_at_colours(page, "320 light")
    check(page, "320", NEW_BREACHES, TOO_WIDE, TOO_SMALL)
    resize(768)
    check(page, "768", TOO_WIDE)


def look_at_large_text(page: Page, resize: Callable[[int], None]) -> None:
    """Check that everything can be read when the browser's text is twice as large."""
    # With text of twice the size, a narrow window has the page of a phone at any width.
    for width in (320, 1280):
        resize(width)
        check(page, f"{width} large text", TOO_WIDE, CLIPPED)


def bring_axe(page: Page) -> None:
    """Load axe into the page, and into the later pages of its window: the script is long, so it is sent only once."""
    if page.context not in _with_axe:
        _with_axe.add(page.context)
        page.context.add_init_script(AXE.axe_script)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)


def paint(page: Page, theme: Literal["light", "dark"]) -> None:
    """Show the page in this theme."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")


def check(page: Page, about: str, *scripts: str) -> None:
    """Run the scripts one after the other; fail with the faults that they find, and where those are."""
    found = "".join(f"found.push(...await ({script})());" for script in scripts)
    expect_none(page.evaluate(f"async () => {{ {TOLD} const found = []; {found} return found; }}"), page.url, about)


def look_at_colours(page: Page, about: str, *, begins: bool = False) -> None:
    """Check the contrast of every text, except for kinds of text that passed on an earlier page.

    Args:
        begins: whether to send the page the kinds of text that have passed; that list is long.
    """
    told = page.evaluate(FAINT, [list(_clear), list(_clear_alone)] if begins else None)
    expect_none(told["found"], page.url, about)
    _clear.update(told["fresh"])
    _clear_alone.update(told["alone"])


def expect_none(faults: list[str], *about: str) -> None:
    """Fail with the faults and where they are."""
    assert not faults, "\n".join([" ".join(about), *faults])


def _resize(window: CDPSession, width: int, *, mobile: bool) -> None:
    """Make the page this wide. The browser's window keeps its size: resizing it would take as long again."""
    size = {"width": width, "height": HEIGHTS[width]}
    window.send("Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": 1, "mobile": mobile})
