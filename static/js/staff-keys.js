// Letters of the pages of staff: each clicks the link or button that carries it in data-staff-key. Where a page and its
// menu have the same letter, the page's own counts. They do nothing while the focus is in
// a field or a dialog is open, and a box on the page switches all letters off: those of desk-keys.js and schedule-keys.js too.

const LETTERS = "docket-letter-keys";
const box = document.querySelector("[data-letter-keys]");

if (box) {
  box.checked = localStorage.getItem(LETTERS) !== "off";
  box.addEventListener("change", () => localStorage.setItem(LETTERS, box.checked ? "on" : "off"));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat) return;
  if (event.key.length !== 1 || localStorage.getItem(LETTERS) === "off") return;
  if (event.target.closest("input, select, textarea, [contenteditable], [popover]:popover-open, dialog[open]")) return;
  const link = [...document.querySelectorAll(`[data-staff-key="${CSS.escape(event.key)}"]`)].at(-1);
  if (!link) return;
  event.preventDefault();
  link.click();
});
