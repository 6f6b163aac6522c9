// Letters that lead to a page from every page of staff, by clicking the link that carries the letter: data-staff-key.
// They can be switched off (see schedule-keys.js), and do nothing while the focus is in a field.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat) return;
  if (event.key.length !== 1 || localStorage.getItem("docket-letter-keys") === "off") return;
  if (event.target.closest("input, select, textarea, [contenteditable], [popover]:popover-open")) return;
  const link = document.querySelector(`[data-staff-key="${CSS.escape(event.key)}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});
