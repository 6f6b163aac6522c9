// Left and right lead to the previous and next day or week, as k and j do, and t to today, by clicking the links.
// The letters are those of editors and mail programs: j goes on, k goes back.
// The letters can be switched off, and keys do nothing while the focus is in a field.

const LETTERS = "docket-letter-keys";
const keys = { ArrowLeft: "previous", ArrowRight: "next", j: "next", k: "previous", t: "today" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable], [popover]:popover-open")) return;
  if (event.key.length === 1 && localStorage.getItem(LETTERS) === "off") return;
  const link = document.querySelector(`[data-key="${keys[event.key]}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});

// A menu closes when the user clicks elsewhere.
document.addEventListener("click", (event) => {
  document.querySelectorAll(".more[open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest(".more[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// The swapped part of the page carries the title of the whole page.
document.addEventListener("htmx:afterSettle", (event) => {
  const part = event.detail.elt.closest("[data-title]");
  if (part) document.title = part.dataset.title;
});
