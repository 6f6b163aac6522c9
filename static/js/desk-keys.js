// Keys of the board: / searches, t is today, j and k are the next and the previous day. (n books, ? shows the keys: see
// staff-keys.js.) A key clicks the link with its data-key, or goes to the field. The keys do nothing while the focus is in a
// field or a modifier is held, and can be switched off in the dialog, because they disturb users of speech input.

const LETTERS = "docket-letter-keys";
const keys = { "/": "search", t: "today", j: "next", k: "previous" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable], [popover]:popover-open, dialog[open]")) return;
  if (localStorage.getItem(LETTERS) === "off") return;
  const target = document.querySelector(`[data-key="${keys[event.key]}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("input")) target.select();
  else target.click();
});
