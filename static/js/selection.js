// Boxes in the rows of a list that belong to the form #selection: how many are ticked, and buttons to tick all or none.
// Without this script, the two links load the page with all boxes ticked or none.

const boxes = () => [...document.querySelectorAll('input[type="checkbox"][form="selection"]')];

const count = () => {
  const words = document.querySelector("#selection [data-chosen]");
  if (!words) return;
  const chosen = boxes().filter((box) => box.checked).length;
  words.textContent = words.dataset.chosen.replace("#", chosen);
  words.hidden = !chosen;
};

document.addEventListener("change", (event) => {
  if (event.target.matches('[form="selection"]')) count();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-choose]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  for (const box of boxes()) box.checked = link.dataset.choose === "all";
  count();
});

document.addEventListener("htmx:afterSettle", count);
count();
