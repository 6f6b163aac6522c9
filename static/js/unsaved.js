// Text that is typed beside the board, or into contact details, is not lost without a question. Markup: a form, or a part
// with a form in it, that has an id and
//   data-typed="the address of the panel or page around it"
// and so has what stands in its place when it is closed. The link with data-discards in it gives the text up.
// A request from the same panel brings the part again: the text stays in it. Before anything else takes it away, its user
// is asked, in the dialog #unsaved. Scripts that remove such a part ask with the event `docket:leave` (detail: part, go).

const dialog = document.getElementById("unsaved");
// Their text is given up, or on its way to the server.
const settled = new WeakSet();

const formOf = (part) => (part.matches("form") ? part : part.querySelector("form"));

function filledIn(place) {
  const parts = [...place.querySelectorAll("[data-typed]")];
  if (place.matches?.("[data-typed]")) parts.push(place);
  return parts.filter((part) => formOf(part) && !settled.has(part) && globalThis.docketIsBeingFilled(formOf(part)));
}

const changedField = (part) => [...(formOf(part)?.elements ?? [])].find(globalThis.docketIsChanged);

// A focus alone is no text. What was refused was typed.
const unsavedIn = (place) => filledIn(place).filter((part) => changedField(part) || part.querySelector("[data-error-summary]"));

// Whether a request brings the same part again: it comes from the panel around it, or leads back to that panel.
function comesAgain(part, elt, addresses) {
  return part.closest("[data-live]")?.contains(elt) || addresses.includes(part.dataset.typed);
}

document.addEventListener("input", ({ target }) => {
  const part = target.closest("[data-typed]");
  if (part) settled.delete(part);
});

document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-discards]")) settled.add(target.closest("[data-typed]"));
}, true);

// ------------------------------------------------------------------------------------------------------- asking

function ask(part, go) {
  const field = changedField(part) ?? formOf(part).querySelector("textarea, input:not([type=hidden])");
  dialog.querySelector("[data-field]").textContent = field.labels[0]?.firstChild.textContent.trim() ?? "";
  dialog.querySelector("[data-text]").textContent = field.value;
  dialog.onclose = () => answer(part, field, dialog.returnValue, go);
  dialog.returnValue = "";
  dialog.showModal();
}

dialog?.addEventListener("click", ({ target }) => {
  if (target.value) dialog.close(target.value);
});

function answer(part, field, choice, go) {
  if (choice === "discard") {
    settled.add(part);
    go();
  } else if (choice === "save") {
    save(formOf(part), go);
  } else {
    field.focus();
  }
}

function save(form, go) {
  const goOn = ({ detail }) => {
    if (detail.requestConfig.elt !== form) return;
    document.removeEventListener("htmx:afterRequest", goOn);
    // HTMX drops a request of the same part until this one has ended.
    if (detail.xhr.status > 0 && detail.xhr.status < 400) window.setTimeout(go);
  };
  document.addEventListener("htmx:afterRequest", goOn);
  form.requestSubmit();
}

// Goes on when all parts that would be lost are saved or given up.
function leave(lost, go) {
  const [first] = lost();
  if (first) ask(first, () => leave(lost, go));
  else go();
}

document.addEventListener("docket:leave", (event) => {
  const { part, go } = event.detail;
  if (!unsavedIn(part).length) return;
  event.preventDefault();
  leave(() => unsavedIn(part), go);
});

document.addEventListener("htmx:confirm", (event) => {
  const { elt, target, path, verb, etc, issueRequest } = event.detail;
  const id = target.id;
  const lost = () => unsavedIn(document.getElementById(id) ?? target).filter(
    (part) => !part.contains(elt) && !comesAgain(part, elt, [path, etc.values?.back]));
  if (!lost().length) return;
  event.preventDefault();
  // What was saved meanwhile may have replaced the element that asked.
  const again = () => htmx.ajax(verb, path, { source: `#${id}`, target: `#${id}`, swap: etc.swapOverride, values: etc.values });
  leave(lost, () => (elt.isConnected ? issueRequest(true) : again()));
});

window.addEventListener("beforeunload", (event) => {
  if (unsavedIn(document).length) event.preventDefault();
});

// --------------------------------------------------------------------------------------------- keeping the text

document.addEventListener("submit", ({ target, defaultPrevented }) => {
  if (!defaultPrevented && target.closest("[data-typed]")) settled.add(target.closest("[data-typed]"));
});
document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
  if (elt.matches("form") && elt.closest("[data-typed]")) settled.add(elt.closest("[data-typed]"));
});

let held = [];
let focused = null;

document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig: { elt, path, parameters }, target, xhr } = event.detail;
  const sent = elt.closest("[data-typed]");
  // After the end of the session, the form is filled in again when its user has signed in.
  if (sent && xhr.status >= 400 && xhr.status !== 401) settled.delete(sent);
  held = filledIn(target).map((part) => [part, formOf(part)]);
  focused = held.some(([part]) => part.contains(document.activeElement)) ? document.activeElement : null;
  // It was typed while the answer was on its way.
  const lost = unsavedIn(target).filter((part) => part !== sent && !comesAgain(part, elt, [path, parameters?.back]));
  if (lost.length) event.detail.shouldSwap = false;
  if (lost.length) held = [];
});

document.addEventListener("htmx:afterSwap", ({ detail: { requestConfig: { elt }, target } }) => {
  for (const [part, form] of held) {
    const made = document.getElementById(part.id);
    const isSent = form.contains(elt);
    // An error stands in its place, or in the place of all around it.
    if (made === part && !part.contains(form)) part.append(form);
    else if (!made && (isSent || changedField(part))) target.append(part);
    else if (made && made !== part && !isSent && made.dataset.typed === part.dataset.typed) made.replaceWith(part);
    else continue;
    htmx.process(part);
    if (part.contains(focused)) focused.focus({ preventScroll: true });
  }
  held = [];
  focused = null;
});

document.addEventListener("htmx:afterRequest", ({ detail: { elt, successful } }) => {
  const part = elt.closest("[data-typed]");
  if (part && !successful) settled.delete(part);
});
