// After HTMX replaced a part of the page: say what changed, and keep the focus near it.
// The new part carries its own sentence in data-announce. HTMX keeps the focus by id;
// only when the focused element is gone does the part's heading take it.

const status = document.getElementById("status");

function announce(sentence) {
  if (!status || !sentence) return;
  // Emptied first, so that the same sentence twice is read twice.
  status.textContent = "";
  window.setTimeout(() => { status.textContent = sentence; }, 100);
}

document.addEventListener("htmx:afterSettle", (event) => {
  const part = event.detail.elt.closest("[data-announce]") ?? event.detail.elt.querySelector("[data-announce]");
  if (!part) return;
  announce(part.dataset.announce);
  if (document.activeElement === document.body) {
    part.querySelector("[data-focus]")?.focus({ preventScroll: true });
  }
});

document.addEventListener("htmx:sendError", () => announce(status?.dataset.offline));
