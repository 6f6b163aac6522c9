// The board: arrow keys move over free times and appointments, one of which Tab reaches; a click on an appointment
// opens it beside the board; the now line moves on. Without this script everything is a plain link.

const WIDE = matchMedia("(min-width: 48rem)");
const board = () => document.getElementById("board");
const itemsOf = (column) => [...column.querySelectorAll("ol a")];

// -------------------------------------------------------------------------------------------------------- keys

// One item at a time can be reached by Tab: the last one that had the focus, else the first that is not over.
let current = null;

function prepare(part) {
  for (const item of part.querySelectorAll(".col ol :is(a, button)")) item.tabIndex = -1;
  const links = board()?.querySelectorAll(".col ol a") ?? [];
  const again = current && board().querySelector(`.col ol a[href="${CSS.escape(current)}"]`);
  const first = again ?? [...links].find((link) => link.checkVisibility());
  if (first) first.tabIndex = 0;
}

function focus(link) {
  if (link.closest("h2")) {
    link.focus();
    return;
  }
  board().querySelector(".col ol a[tabindex='0']")?.setAttribute("tabindex", "-1");
  link.tabIndex = 0;
  link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// The item of the nearest column on that side which is at the same height, or else nearest to it; of a heading, the next.
function beside(link, step) {
  const middle = link.getBoundingClientRect();
  const height = middle.top + Math.min(middle.height / 2, 8);
  let column = link.closest(".col");
  if (link.closest("h2")) return (step < 0 ? column.previousElementSibling : column.nextElementSibling)?.querySelector("h2 a");
  while ((column = step < 0 ? column.previousElementSibling : column.nextElementSibling)) {
    const near = itemsOf(column).filter((each) => each.checkVisibility()).map((each) => {
      const { top, bottom } = each.getBoundingClientRect();
      return [top <= height && height < bottom ? 0 : Math.min(Math.abs(top - height), Math.abs(bottom - height)), each];
    });
    if (near.length) return near.reduce((best, each) => (each[0] < best[0] ? each : best))[1];
  }
  return null;
}

document.addEventListener("keydown", (event) => {
  const link = event.target.closest?.(".col ol a, .col h2 a");
  if (!link || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const items = itemsOf(link.closest(".col"));
  const at = items.indexOf(link);
  const [back, forward] = document.dir === "rtl" ? ["ArrowRight", "ArrowLeft"] : ["ArrowLeft", "ArrowRight"];
  const target = {
    ArrowDown: () => items[at + 1],
    ArrowUp: () => items[at - 1] ?? link.closest(".col").querySelector("h2 a"),
    Home: () => items[0],
    End: () => items.at(-1),
    [back]: () => beside(link, -1),
    [forward]: () => beside(link, 1),
  }[event.key];
  if (!target) return;
  event.preventDefault();
  const found = target();
  if (found) focus(found);
});

// Without a place on the page, the arrows begin on the board.
document.addEventListener("keydown", (event) => {
  if (!event.key.startsWith("Arrow") || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (!event.target.matches("body, main, #board-title")) return;
  const link = board()?.querySelector(".col ol a[tabindex='0']");
  if (!link) return;
  event.preventDefault();
  focus(link);
});

// If the patient is on this board, or the text is a doctor's name, Enter leads there. A second Enter searches all
// records.
const folded = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
let searched = null;
document.addEventListener("submit", (event) => {
  if (!event.target.matches(".board-head .find")) return;
  const wanted = folded(document.getElementById("find-patient").value);
  if (!wanted.length || searched === wanted.join(" ")) return;
  const named = (places, name) => [...board().querySelectorAll(places)].filter((link) => {
    const words = folded(name(link));
    return wanted.every((word) => words.some((part) => part.startsWith(word)));
  });
  const links = named(".col .a > a", (link) => link.querySelector("b").textContent);
  links.sort((one, other) => other.checkVisibility() - one.checkVisibility());
  const ahead = links.find((link) => ["scheduled", "confirmed"].includes(link.parentElement.dataset.status));
  const target = ahead ?? links[0] ?? named(".col h2 a", (link) => link.textContent)[0];
  if (!target) return;
  event.preventDefault();
  searched = wanted.join(" ");
  // A phone shows the column of one doctor only: what is in another column is opened.
  if (target.checkVisibility()) focus(target);
  else target.click();
});

document.addEventListener("focusin", (event) => {
  const link = event.target.closest?.(".col ol a");
  if (link) current = link.getAttribute("href");
});

// A picked day is shown immediately; a typed one after Enter.
let typed = false;
document.addEventListener("keydown", (event) => { typed = event.target.id === "day-jump"; });
document.addEventListener("pointerdown", () => { typed = false; });
document.addEventListener("change", (event) => {
  if (event.target.id === "day-jump" && event.target.value && !typed) event.target.form.requestSubmit();
});

// ------------------------------------------------------------------------------------------------------- panel

// The appointment in the panel is marked on the board.
function mark() {
  const open = document.querySelector("#panel > .panel")?.dataset.of;
  board().querySelectorAll(".a > a[aria-current]").forEach((link) => link.removeAttribute("aria-current"));
  const link = open && document.querySelector(`#appointment-${open} > a`);
  link?.setAttribute("aria-current", "true");
  return link;
}

// Goes on when nothing typed is lost by it: see unsaved.js.
function leavePanel(go) {
  const detail = { part: document.getElementById("panel"), go };
  if (document.dispatchEvent(new CustomEvent("docket:leave", { cancelable: true, detail }))) go();
}

function closePanel() {
  const close = document.querySelector("#panel [data-close]");
  if (!close) return false;
  leavePanel(() => emptyPanel(close));
  return true;
}

function emptyPanel(close) {
  const panel = document.getElementById("panel");
  const address = close.getAttribute("href");
  panel.replaceChildren();
  mark();
  history.pushState(null, "", address.replace(/#.*/, ""));
  const back = document.querySelector(`${address.slice(address.indexOf("#"))} > a`);
  if (back) focus(back);
}

document.addEventListener("click", (event) => {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (event.target.closest("#panel [data-close]")) {
    if (closePanel()) event.preventDefault();
    return;
  }
  const arrived = event.target.closest(".col .a > button");
  const link = arrived?.previousElementSibling ?? event.target.closest(".col .a > a");
  if (!link || !WIDE.matches) return;
  event.preventDefault();
  const item = link.parentElement.id;
  if (item === `appointment-${document.querySelector("#panel > .panel")?.dataset.of}`) openPanel(item, Boolean(arrived));
  else leavePanel(() => openPanel(item, Boolean(arrived)));
});

// An appointment in the panel. Its patient may have arrived, which is noted first.
function openPanel(item, hasArrived) {
  // What was saved first may have replaced it.
  const link = document.querySelector(`#${CSS.escape(item)} > a`);
  const arrived = hasArrived && link?.parentElement.querySelector("button");
  if (!link) return;
  const address = link.getAttribute("href");
  turnPanel(link);
  if (!arrived) {
    htmx.ajax("GET", address, { source: link, target: "#panel", swap: "innerHTML" });
    return;
  }
  const values = { status: arrived.value, back: address };
  htmx.ajax("POST", arrived.getAttribute("formaction"), { source: link, target: "#panel", swap: "innerHTML", values });
}

// The panel lies over the other half of the board, so that the appointment stays in sight.
function turnPanel(link) {
  const { left, right } = board().getBoundingClientRect();
  const box = link.getBoundingClientRect();
  const isLeft = (box.left + box.right) / 2 < (left + right) / 2;
  document.getElementById("panel").dataset.side = isLeft === (document.dir !== "rtl") ? "end" : "start";
}

// The letter a on an appointment: the patient has arrived.
document.addEventListener("keydown", (event) => {
  if (event.key !== "a" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (localStorage.getItem("docket-letter-keys") === "off") return;
  const arrived = event.target.closest?.(".col .a > a")?.parentElement.querySelector("button");
  if (!arrived) return;
  event.preventDefault();
  arrived.click();
});

// Letters press the buttons of the appointment in the panel, unless the focus is on another one. They can be switched off.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat || event.key.length !== 1) return;
  if (event.target.closest("input, select, textarea, [contenteditable], [popover]:popover-open, dialog[open]")) return;
  if (event.defaultPrevented || localStorage.getItem("docket-letter-keys") === "off") return;
  if (event.target.closest(".col ol a:not([aria-current])")) return;
  const button = document.querySelector(`#panel [data-panel-key="${CSS.escape(event.key)}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.target.closest("dialog[open], [popover]:popover-open")) return;
  if (closePanel()) event.preventDefault();
});

document.addEventListener("htmx:afterSettle", (event) => {
  const part = event.detail.elt;
  if (part.id === "panel" || part.closest("#panel")) {
    const title = document.querySelector("#panel [data-focus]");
    // The focus does not leave a field in which the next patient is being typed: those letters are keys elsewhere.
    if (title && !document.activeElement?.closest("#panel, input, select, textarea, dialog")) title.focus({ preventScroll: Boolean(title.closest(".panel")) });
    mark()?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  if (part.matches(".col, #board") || part.querySelector(".col")) prepare(part);
  if (part.id === "board") {
    document.title = part.dataset.title;
    showNow();
  }
});

// The board has the changes of others.
document.addEventListener("docket:live", () => {
  if (!board()) return;
  prepare(board());
  mark();
  moveNow();
});

// --------------------------------------------------------------------------------------------------- now line

// The line is at a row of five minutes; its label is the time when the page was made, so both are moved by the time
// that has passed since.
function moveNow() {
  const line = board()?.querySelector(".now");
  if (!line) return;
  line.dataset.made ??= line.dataset.minute;
  line.dataset.since ??= performance.now();
  const passed = Math.floor((performance.now() - line.dataset.since) / 60_000);
  const minute = Number(line.dataset.made) + passed;
  const row = Math.floor((minute - 60 * Number(line.dataset.first)) / 5);
  const place = `h${Math.floor(row / 12)} r${row % 12}`;
  line.className = `now ${place}`;
  // Past time is shaded.
  const columns = line.closest(".cols");
  columns.className = columns.className.replace(/( [hr]\d+)+$/, "") + ` ${place}`;
  // The label of an hour gives way to that of the line.
  board().querySelectorAll(".clock > span").forEach((hour, at) => hour.toggleAttribute("data-near", row - 12 * at >= -1 && row - 12 * at < 4));
  line.querySelector("time").textContent =
    `${String(Math.floor(minute / 60) % 24).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

// A board that is higher than its window opens where the day is.
function showNow() {
  const line = board()?.querySelector(".now");
  const scroller = board()?.querySelector(".scroller");
  if (!line || !scroller) return;
  moveNow();
  if (scroller.scrollHeight > scroller.clientHeight) scroller.scrollTop = line.offsetTop - scroller.clientHeight / 3;
}

setInterval(moveNow, 20_000);
if (board()) {
  prepare(board());
  showNow();
  // The way back from an appointment's page leads to its place on the board.
  const asked = /^#appointment-[\w-]+$/.test(location.hash) && document.querySelector(`${location.hash} > a`);
  if (asked && asked.checkVisibility()) focus(asked);
  else if (WIDE.matches) mark()?.scrollIntoView({ block: "nearest", inline: "nearest" });
}
