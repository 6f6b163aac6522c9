// Keys of the board: / searches, t is today, j and k are the next and the previous day, ? shows the keys. (n books: see
// staff-keys.js.) A key clicks the link with its data-key, or goes to the field. The keys do nothing while the focus is in a
// field or a modifier is held, and can be switched off in the dialog, because they disturb users of speech input.

const LETTERS = "docket-letter-keys";
const keys = { "/": "search", t: "today", j: "next", k: "previous" };
const dialog = document.getElementById("keys");

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-opens=keys]")) dialog?.showModal();
  if (event.target.closest("[data-closes]")) dialog?.close();
});

document.addEventListener("keydown", (event) => {
  // ? is typed with Shift on most keyboards.
  if (event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key !== "?")) return;
  if (event.target.closest("input, select, textarea, [contenteditable], [popover]:popover-open, dialog[open]")) return;
  if (localStorage.getItem(LETTERS) === "off") return;
  if (event.key === "?" && dialog) {
    event.preventDefault();
    dialog.showModal();
    return;
  }
  const target = document.querySelector(`[data-key="${keys[event.key]}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("input")) target.select();
  else target.click();
});
