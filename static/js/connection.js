// When a part of the page cannot be replaced (offline, a timeout, an error of the server), the page stays as it is,
// with the focus and everything typed, and a bar offers to repeat the request. Other scripts report their lost parts
// with the event `docket:lost` (detail: key, words, retry) and take it back with `docket:found` (detail: key). Markup:
// <section id="connection" hidden data-offline="words" data-slow="words" data-busy="words" data-broken="words"> with a
// <p> for the words and a <button>. The words come from the page, so that they can be translated.

const bar = document.getElementById("connection");
const button = bar?.querySelector("button");
// The last failed request for each part of the page. A newer request for the same part takes its place.
const failed = new Map();

const partOf = ({ target, elt }) => target?.id || target || elt;

function fail({ detail }, kind) {
  const { elt, target, requestConfig } = detail;
  failed.set(partOf(detail), { elt, target, ...requestConfig });
  say(bar.dataset[kind]);
}

function say(words) {
  button.removeAttribute("aria-busy");
  bar.querySelector("p").textContent = words;
  bar.hidden = false;
  document.dispatchEvent(new CustomEvent("docket:announce", { detail: words }));
}

// A form sends what it says now, because its user may have gone on typing; everything else is sent as it was.
function repeat({ elt, target, verb, path, formData, triggeringEvent }) {
  const isForm = elt.isConnected && elt.matches("form");
  const pressed = triggeringEvent?.submitter;
  const values = isForm ? (pressed?.name ? { [pressed.name]: pressed.value } : {}) : formData;
  htmx.ajax(verb, path, { source: elt.isConnected ? elt : target, target, values });
}

function succeed({ detail }) {
  const request = failed.get(partOf(detail));
  if (!request || !detail.successful) return;
  clear(partOf(detail), request);
}

function clear(key, request) {
  failed.delete(key);
  if (failed.size) return;
  // When the bar disappears, its focus returns to the element that was used before, or to the new part.
  const hadFocus = bar.contains(document.activeElement);
  bar.hidden = true;
  button.removeAttribute("aria-busy");
  if (!hadFocus) return;
  const link = request.elt?.id ? document.getElementById(request.elt.id) : request.elt;
  const part = request.target?.id ? document.getElementById(request.target.id) : request.target;
  [link, part?.querySelector("[data-focus]"), document.getElementById("main")]
    .find((each) => each?.isConnected && each.checkVisibility())?.focus();
}

if (bar) {
  document.addEventListener("htmx:sendError", (event) => fail(event, "offline"));
  document.addEventListener("htmx:timeout", (event) => fail(event, "slow"));
  document.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    // Any other error has replaced the part and says there what to do.
    if (status >= 500 || status === 429) fail(event, status === 500 ? "broken" : "busy");
  });
  document.addEventListener("htmx:afterSettle", succeed);
  document.addEventListener("htmx:afterRequest", succeed);
  document.addEventListener("docket:lost", ({ detail: { key, words, retry } }) => {
    const isKnown = failed.has(key);
    failed.set(key, { retry });
    // It is announced again only after a press, because the page retries automatically.
    if (!isKnown || button.hasAttribute("aria-busy")) say(words);
  });
  document.addEventListener("docket:found", ({ detail: { key } }) => {
    if (failed.has(key)) clear(key, failed.get(key));
  });
  button.addEventListener("click", () => {
    button.setAttribute("aria-busy", "true");
    for (const request of failed.values()) {
      if (request.retry) request.retry();
      else repeat(request);
    }
  });
}
