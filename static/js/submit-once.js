// A form that is being sent is not sent twice. The buttons are marked, not disabled:
// a disabled button would drop its value from the form and lose the focus.

const sending = new Set();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (sending.has(form)) {
    event.preventDefault();
    return;
  }
  sending.add(form);
  event.submitter?.setAttribute("aria-busy", "true");
});

// When a page returns from the browser's cache, its forms can be sent again.
window.addEventListener("pageshow", () => {
  sending.clear();
  document.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
});
