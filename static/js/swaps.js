// After HTMX replaces a part of the page, announces the change and keeps the focus near it.
// The new part carries the announcement in data-announce. HTMX keeps the focus by id;
// if the focused element is gone, the heading of the part gets the focus.

const status = document.getElementById("status");

function announce(sentence) {
  if (!status || !sentence) return;
  // Emptied first, so that a repeated sentence is read again.
  status.textContent = "";
  window.setTimeout(() => { status.textContent = sentence; }, 100);
}

document.addEventListener("htmx:afterSettle", (event) => {
  const { elt } = event.detail;
  // The announcement of an inner part says more about the change than that of the parts around it.
  const part = elt.matches("[data-announce]") ? elt : elt.querySelector("[data-announce]") ?? elt.closest("[data-announce]");
  if (!part) return;
  announce(part.dataset.announce);
  if (document.activeElement !== document.body) return;
  // Errors of a form are scrolled into view.
  const errors = part.querySelector("[data-error-summary]");
  if (errors) errors.focus();
  else part.querySelector("[data-focus]")?.focus({ preventScroll: true });
});

// Other scripts announce a sentence with this event.
document.addEventListener("docket:announce", (event) => announce(event.detail));
