// Shows how many characters are left in a field.
// Markup: <textarea maxlength="500" data-count="reason-count"> and <p id="reason-count" data-left="%n characters left">.
// The text comes from the page, so that it can be translated.

function update(field) {
  const output = document.getElementById(field.dataset.count);
  if (!output) return;
  output.textContent = output.dataset.left.replace("%n", field.maxLength - field.value.length);
}

document.addEventListener("input", (event) => {
  if (event.target.dataset?.count) update(event.target);
});
const updateAll = () => document.querySelectorAll("[data-count]").forEach(update);
updateAll();
// Also in a part of the page that came later.
document.addEventListener("htmx:afterSettle", updateAll);
