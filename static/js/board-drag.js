// An extra on the board for a mouse or a pen: dragging an appointment to another time or doctor opens the page that
// moves it, filled in. Nothing is moved before that page is sent. By touch the board scrolls. The link "Move" in the
// panel and the key m do the same. Changes of others are shown afterwards: see live.js.

const FAR = 6;
const EDGE = 48;
const ROW = 5;
let drag = null;
// Escape was pressed while the button of the mouse is still down.
let isGivenUp = false;

document.addEventListener("pointerdown", (event) => {
  const link = event.target.closest?.('.col .a:is([data-status="scheduled"], [data-status="confirmed"]) > a');
  if (!link || event.button || event.pointerType === "touch" || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const item = link.parentElement;
  drag = { link, item, x: event.clientX, y: event.clientY, held: event.clientY - item.getBoundingClientRect().top, ghost: null };
});

// The browser's own dragging of links.
document.addEventListener("dragstart", (event) => {
  if (event.target.closest?.(".col .a > a")) event.preventDefault();
});

document.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (!drag.ghost) {
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < FAR) return;
    begin(event.pointerId);
  }
  [drag.x, drag.y] = [event.clientX, event.clientY];
  place();
});

function begin(pointer) {
  const { link, item } = drag;
  link.setPointerCapture(pointer);
  const board = item.closest(".board");
  drag.scroller = board.querySelector(".scroller");
  drag.first = 60 * Number.parseInt(board.querySelector(".clock > span").textContent, 10);
  drag.rows = 12 * board.querySelectorAll(".clock > span").length;
  drag.day = board.dataset.liveUrl.match(/\d{4}-\d\d-\d\d/)[0];
  drag.length = [...item.classList].filter((name) => /^[uv]\d+$/.test(name)).join(" ");
  drag.from = link.querySelector("time").textContent;
  drag.home = item.closest(".col");
  drag.ghost = document.createElement("li");
  drag.ghost.ariaHidden = "true";
  drag.ghost.append(document.createElement("b"), ` ${link.querySelector("b").textContent}`);
  item.classList.add("dragged");
  document.body.classList.add("dragging");
  scroll();
}

// The doctor's time that is nearest to the upper edge of the dragged appointment; none beside the columns.
function place() {
  const column = document.elementFromPoint(drag.x, drag.y)?.closest(".col");
  drag.column = column;
  if (!column) {
    drag.ghost.remove();
    return;
  }
  const { top, height } = column.querySelector(".track").getBoundingClientRect();
  const step = Number(column.dataset.step);
  const minute = Math.round((drag.first + ((drag.y - drag.held - top) / height) * drag.rows * ROW) / step) * step;
  const last = drag.first + drag.rows * ROW - step;
  drag.minute = Math.min(Math.max(minute, Math.ceil(drag.first / step) * step), Math.floor(last / step) * step);
  const row = Math.floor((drag.minute - drag.first) / ROW);
  drag.ghost.className = `ghost h${Math.floor(row / 12)} r${row % 12} ${drag.length}`;
  drag.ghost.firstChild.textContent = clock(drag.minute);
  column.querySelector(".track > ol").append(drag.ghost);
}

const clock = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

// At an edge, the board scrolls.
function scroll() {
  if (!drag?.ghost) return;
  const { left, right, top, bottom } = drag.scroller.getBoundingClientRect();
  const by = (at, low, high) => (at < low + EDGE ? -12 : at > high - EDGE ? 12 : 0);
  const [across, down] = [by(drag.x, left, right), by(drag.y, top, bottom)];
  if (across || down) {
    drag.scroller.scrollBy(across, down);
    place();
  }
  requestAnimationFrame(scroll);
}

function end() {
  const over = drag;
  drag = null;
  if (!over?.ghost) return null;
  over.ghost.remove();
  over.item.classList.remove("dragged");
  document.body.classList.remove("dragging");
  return over;
}

// The click that follows a drag would open the appointment.
function swallowClick() {
  const swallow = (event) => { event.preventDefault(); event.stopImmediatePropagation(); };
  window.addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => window.removeEventListener("click", swallow, true));
}

document.addEventListener("pointerup", () => {
  const over = end();
  if (over || isGivenUp) swallowClick();
  isGivenUp = false;
  if (!over?.column) return;
  const time = clock(over.minute);
  if (over.column === over.home && time === over.from) return;
  const where = new URLSearchParams({ doctor: over.column.dataset.doctor, date: over.day, time });
  window.location.assign(`/appointments/${over.item.id.replace("appointment-", "")}/reschedule?${where}`);
});
document.addEventListener("pointercancel", end);
window.addEventListener("blur", end);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !drag?.ghost) return;
  // It closes no panel.
  event.stopImmediatePropagation();
  event.preventDefault();
  isGivenUp = Boolean(end());
}, true);
