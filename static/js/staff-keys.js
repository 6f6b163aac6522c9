// Letters of the pages of staff: each clicks the link or button that carries it in data-staff-key. Where a page and its
// menu have the same letter, the page's own counts. They do nothing while the focus is in
// a field or a dialog is open, and a box on the page switches all letters off: those of desk-keys.js and schedule-keys.js too.
// ? lists the keys of the page, in the page's own dialog (#keys) or in one that is made of the links and buttons that
// carry keys. The words are those of the button that opens it:
//   <button type="button" hidden data-opens="keys" data-title="…" data-show="…" data-letters="…" data-close="…">

const LETTERS = "docket-letter-keys";
// The keys of links with data-key: see desk-keys.js and schedule-keys.js.
const TURNING = { search: "/", today: "t", previous: "k", next: "j" };
const FIELDS = "input, select, textarea, [contenteditable], [popover]:popover-open, dialog[open]";
const opener = document.querySelector("[data-opens=keys]");

function followBoxes() {
  for (const box of document.querySelectorAll("[data-letter-keys]")) box.checked = localStorage.getItem(LETTERS) !== "off";
}

function onPage() {
  const found = new Map();
  for (const each of document.querySelectorAll("[data-key], [data-staff-key]")) {
    const key = each.dataset.staffKey ?? TURNING[each.dataset.key];
    const words = each.getAttribute("aria-label") ?? each.getAttribute("placeholder") ?? each.textContent;
    if (key && !each.hidden) found.set(key, words.trim());
  }
  return found;
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function listed(keys) {
  const words = opener.dataset;
  const list = element("dl", "", { class: "keylist" });
  for (const [key, meaning] of [...keys, ["?", words.show]]) {
    const line = element("div");
    const term = element("dt");
    term.append(element("kbd", key));
    line.append(term, element("dd", meaning));
    list.append(line);
  }
  const label = element("label");
  label.append(element("input", "", { type: "checkbox", "data-letter-keys": "" }), " ", element("span", words.letters));
  const ticks = element("div", "", { class: "ticks small" });
  ticks.append(label);
  const inner = element("div", "", { class: "stack snug" });
  inner.append(
    element("h2", words.title, { class: "title", id: "keys-title", tabindex: "-1", autofocus: "" }), list, ticks,
    element("button", words.close, { class: "button", type: "button", "data-closes": "" }),
  );
  const dialog = element("dialog", "", { id: "keys", class: "card padded no-print", "aria-labelledby": "keys-title", "data-listed": "" });
  dialog.append(inner);
  return dialog;
}

function showKeys() {
  // The page may have got other links since the list was made.
  document.querySelector("#keys[data-listed]")?.remove();
  if (!document.getElementById("keys")) document.body.append(listed(onPage()));
  followBoxes();
  document.getElementById("keys").showModal();
}

followBoxes();
if (opener && (document.getElementById("keys") || onPage().size)) opener.hidden = false;

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-letter-keys]")) localStorage.setItem(LETTERS, event.target.checked ? "on" : "off");
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-opens=keys]")) showKeys();
  if (event.target.closest("[data-closes]")) event.target.closest("dialog")?.close();
});

document.addEventListener("keydown", (event) => {
  // ? is typed with Shift on most keyboards.
  if (event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key !== "?") || event.repeat) return;
  if (event.key.length !== 1 || localStorage.getItem(LETTERS) === "off") return;
  if (event.target.closest(FIELDS)) return;
  if (event.key === "?" && opener && !opener.hidden) {
    event.preventDefault();
    showKeys();
    return;
  }
  const link = [...document.querySelectorAll(`[data-staff-key="${CSS.escape(event.key)}"]`)].at(-1);
  if (!link) return;
  event.preventDefault();
  link.click();
});
