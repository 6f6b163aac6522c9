// Booking for a caller by keyboard. Enter in the search picks the first patient that was found, a click picks any.
// With a patient chosen, the focus is on the first free time, or on the button that adds a walk-in. Arrows move over the
// times and patients.
// Without this script, the form's buttons do the same.

const form = document.getElementById("call");
const search = document.getElementById("q");
let waiting = false;

const found = () => document.getElementById("found");

function choose(radio) {
  radio.checked = true;
  form.requestSubmit();
}

// The answer may be on its way: the patient is picked when it matches the typed text.
function pickFirst() {
  const answered = found().dataset.for.trim() === search.value.trim();
  const first = found().querySelector("[data-first]");
  if (!answered) return false;
  if (first) choose(first);
  else addNew();
  return true;
}

// No patient was found, so the typed text is the name of a new one.
function addNew() {
  const details = document.getElementById("new-patient");
  const name = details.querySelector("[name=name]");
  details.open = true;
  if (!name.value && !/[\d@]/.test(search.value)) name.value = search.value.trim();
  details.querySelector(name.value ? "[name=birth_date]" : "[name=name]").focus();
}

// The next field after the patient: the queue, if the page was opened to add a walk-in, else the first time.
function nextStep() {
  return document.querySelector("#queue [data-next]") ?? document.querySelector("[data-first-time]");
}

search?.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && found().querySelector("[type=radio]")) {
    event.preventDefault();
    found().querySelector("[type=radio]").focus();
  }
  if (event.key !== "Enter" || !search.value.trim()) return;
  // A second Enter sends the form as it is, should the answer not come.
  if (!waiting || event.repeat) event.preventDefault();
  if (event.repeat) return;
  waiting = !pickFirst();
});
document.addEventListener("htmx:afterSettle", (event) => {
  if (waiting && event.detail.elt.id === "found") waiting = !pickFirst();
});

document.addEventListener("click", (event) => {
  // The keyboard moves over the choices without picking one; its clicks have no detail.
  const radio = event.detail && event.target.closest("#found label")?.querySelector("[type=radio]");
  if (radio) choose(radio);
});

document.addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.key === "Enter" && target.matches("#found [type=radio]")) {
    event.preventDefault();
    choose(target);
  }
  if (event.key === "Enter" && ["override_reason", "squeeze_reason"].includes(target.name)) {
    event.preventDefault();
    form.requestSubmit(target.closest("section").querySelector("[name=time], [name=squeeze]"));
  }
  // The new patient is typed: the time, or the queue, comes next.
  const typed = target.closest("#new-patient input");
  const next = nextStep();
  if (event.key === "Enter" && typed && next && form.elements.name.value.trim()) {
    event.preventDefault();
    if (!event.repeat) next.focus();
  }
  // Enter that is held down must not book what the next page shows.
  if (event.key === "Enter" && event.repeat && target.matches("[name=time], [name=queue]")) event.preventDefault();
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !target.matches(".offer")) return;
  const times = [...document.querySelectorAll(".offer")];
  const beside = times[times.indexOf(target) + step];
  if (!beside) return;
  event.preventDefault();
  beside.focus();
});

// The button that adds a walk-in shows for which doctor the patient waits, which is chosen elsewhere on the page. A
// browser that comes back to the page sets the choice after this script ran.
function showQueue() {
  const place = document.getElementById("waits-for");
  if (!place) return;
  place.querySelector("output").textContent = form.elements.doctor.selectedOptions[0]?.text ?? "";
  place.hidden = false;
}
form.elements.doctor.addEventListener("change", showQueue);
window.addEventListener("pageshow", showQueue);
showQueue();

// The page opens on the next step: the problem, which another script shows, then the patient, then the time. Rules that
// refuse the time in the address come later, as long as the patient is missing.
if (search && document.querySelector(".slip [data-error-summary]") && !search.value) search.focus();
else if (!document.querySelector("[data-error-summary]")) {
  const first = found()?.querySelector("[data-first]");
  if (first) first.focus();
  else if (!search) nextStep()?.focus();
}
