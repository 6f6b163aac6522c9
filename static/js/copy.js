// Copies what a field holds. Markup: <button data-copy="id of the field" data-copied="words" hidden>.
// The button shows itself only where the browser lets us copy; the field can be copied by hand everywhere.

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
    document.getElementById("status").textContent = button.dataset.copied;
  });
}
