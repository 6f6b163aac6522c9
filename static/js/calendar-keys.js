// Arrow keys move between the free times of the week: up and down within a day,
// left and right to the nearest time of the day beside it. Tab works as usual.

function visibleTimes(day) {
  return [...day.querySelectorAll(".slot")].filter((time) => time.offsetParent !== null);
}

function beside(day, step, position) {
  const next = step < 0 ? day.previousElementSibling : day.nextElementSibling;
  if (!next) return null;
  const times = visibleTimes(next);
  return times[Math.min(position, times.length - 1)] ?? beside(next, step, position);
}

document.addEventListener("keydown", (event) => {
  const day = event.target.closest?.(".slot")?.closest(".week > li");
  if (!day || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const times = visibleTimes(day);
  const position = times.indexOf(event.target);
  const forward = document.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
  const back = document.dir === "rtl" ? "ArrowRight" : "ArrowLeft";
  const target = {
    ArrowDown: () => times[position + 1],
    ArrowUp: () => times[position - 1],
    [forward]: () => beside(day, 1, position),
    [back]: () => beside(day, -1, position),
  }[event.key]?.();
  if (!target) return;
  event.preventDefault();
  target.focus();
});

// Staff who move an appointment come for the times: the first has the focus. Patients read the page from its top.
if (document.querySelector("[data-choose-time]") && !document.querySelector("[data-error-summary]")) {
  document.querySelector(".week .slot[href]")?.focus();
}
