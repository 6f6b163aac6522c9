// Copies the value of a field. Markup: <button data-copy="id of the field" data-copied="words" hidden>.
// The button appears only if the browser lets scripts copy; the field can always be copied by hand.

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
    document.getElementById("status").textContent = button.dataset.copied;
  });
}
