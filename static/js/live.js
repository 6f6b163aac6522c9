// Pages of staff show what others change. One tab of a browser listens to /live for all of them; a change says which
// day of which doctor, and the pages that show it ask for their own part again. Nothing that is read or typed moves.
// Markup (templates/macros/live.html):
//   <section id="…" data-live="UTC days, or nothing for all" data-live-doctors="ids, or nothing for all"
//            data-live-version="…" [data-live-every="seconds"] [data-live-url="address"]
//            [data-live-whole]: taken from the whole page, where HTMX would get something else at its address>
//   in it, what is marked and announced when it changes: <article id="…" data-version="…">, by its first h3 or b
//   and where the page says how new it is: <span data-as-of="As of {time}" data-live-words="Live">
// After a swap the region gets the event `docket:live`.

// There is a message at least every 15 seconds.
const SILENT_MS = 40_000;
// A connection that comes back within this time is not missed.
const GRACE_MS = 3_000;
const MARKED_MS = 6_000;

const words = document.getElementById("connection")?.dataset ?? {};
const regions = () => [...document.querySelectorAll("[data-live][id]")];

// ----------------------------------------------------------------------------------------- what this tab knows

// "new" until something was heard, then "live" or "lost"; "off" where nothing is to be heard.
let state = "new";
let latest = { version: "", time: "", streams: 1 };
let lostTimer = 0;

function hear(message) {
  latest = { ...latest, ...message };
  switch (message.kind) {
    case "hello":
      setState("live");
      for (const region of regions()) if (region.dataset.liveVersion !== message.version) want(region, message.version);
      break;
    case "change":
      setState("live");
      for (const region of regions()) if (concerns(region, message)) want(region, message.version);
      break;
    case "beat":
      setState("live");
      break;
    case "ending":
      showWarning();
      break;
    case "staying":
      hideWarning();
      break;
    default:
      setState(message.kind);
  }
}

function concerns(region, { version, changes }) {
  if (region.dataset.liveVersion === version) return false;
  const days = region.dataset.live.split(" ").filter(Boolean);
  const doctors = (region.dataset.liveDoctors ?? "").split(" ").filter(Boolean);
  return changes.some(([doctor, day]) =>
    (!day || !days.length || days.includes(day)) && (!doctor || !doctors.length || doctors.includes(String(doctor))));
}

function setState(next) {
  const was = state;
  if (next === "lost" && was !== "live") return;
  state = next;
  showAge();
  window.clearTimeout(lostTimer);
  if (next === "live") found("stream");
  if (next === "lost") {
    const grace = navigator.onLine ? GRACE_MS : 0;
    lostTimer = window.setTimeout(() => lose("stream", words.liveLost, listenNow), grace);
  }
  if (next === "ended") hideWarning();
  if (next === "ended") lose("stream", words.liveEnded, () => window.location.reload());
}

function showAge() {
  for (const each of document.querySelectorAll("[data-as-of]")) {
    if (state === "live") each.textContent = each.dataset.liveWords;
    else if (latest.time) each.textContent = each.dataset.asOf.replace("{time}", latest.time);
  }
}

function lose(key, sentence, retry) {
  const detail = { key, words: (sentence ?? "").replace("{time}", latest.time), retry };
  document.dispatchEvent(new CustomEvent("docket:lost", { detail }));
}

// Users who only watch are signed out after a while: automatic requests of a page are no sign of a person.
function showWarning() {
  const bar = document.getElementById("connection");
  if (!bar || document.getElementById("ending")) return;
  const copy = bar.cloneNode(true);
  copy.id = "ending";
  copy.hidden = false;
  copy.querySelector("p").textContent = words.liveEnding;
  const button = copy.querySelector("button");
  button.textContent = words.liveStay;
  button.addEventListener("click", stay);
  bar.after(copy);
  document.dispatchEvent(new CustomEvent("docket:announce", { detail: words.liveEnding }));
}

function hideWarning() {
  const bar = document.getElementById("ending");
  if (bar?.contains(document.activeElement)) document.getElementById("main").focus({ preventScroll: true });
  bar?.remove();
}

async function stay() {
  const answer = await fetch("/live", { method: "POST" }).catch(() => null);
  if (answer?.ok) tell({ kind: "staying" });
  else if (answer && isSignedOut(answer)) tell({ kind: "ended" });
  else lose("part", answer ? words.busy : words.offline, stay);
}

function found(key) {
  document.dispatchEvent(new CustomEvent("docket:found", { detail: { key } }));
}

// ------------------------------------------------------------------------------------------- asking for it again

// By the id of the region: the version that it lacks, or "" where only time has passed.
const wanted = new Map();
const askedAt = new Map();
const openedAt = Date.now();
let askTimer = 0;
let failures = 0;
let isPressed = false;

function want(region, version = "") {
  wanted.set(region.id, version);
  // Many pages that hear of one change ask one after another.
  plan(30 + Math.random() * Math.min(1_200, 8 * latest.streams));
}

function plan(milliseconds) {
  if (!askTimer) askTimer = window.setTimeout(ask, milliseconds);
}

async function ask() {
  askTimer = 0;
  if (document.hidden || !wanted.size || state === "ended") return;
  // An element that is being pressed, or replaced by the user, stays where it is.
  if (isPressed || document.querySelector("[data-live] .htmx-request, [data-live].htmx-request")) {
    plan(300);
    return;
  }
  for (const [id, version] of [...wanted]) {
    wanted.delete(id);
    const region = document.getElementById(id);
    // The user's own action has brought it already.
    if (!region || (version && region.dataset.liveVersion === version)) continue;
    if (!(await renew(region)) && !wanted.has(id)) wanted.set(id, version);
  }
  // Several changes within a second are shown together.
  if (wanted.size) plan(failures ? 2_000 * Math.min(failures, 5) + Math.random() * 2_000 : 1_000);
}

async function renew(region) {
  const address = region.dataset.liveUrl ?? window.location.href;
  askedAt.set(region.id, Date.now());
  let answer;
  try {
    const headers = { "Docket-Live": "1" };
    if (!("liveWhole" in region.dataset)) Object.assign(headers, { "HX-Request": "true", "HX-Target": region.id });
    answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
    if (isSignedOut(answer)) hear({ kind: "ended" });
    // An element that is gone, or elsewhere now, stays as it was until the user goes on.
    if (state === "ended" || answer.headers.has("hx-redirect") || answer.status === 404) return true;
    if (!answer.ok) throw new Error(String(answer.status));
    const made = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(region.id);
    const stays = region.isConnected && (region.dataset.liveUrl ?? window.location.href) === address;
    if (made && stays && !isPressed) show(region, made);
    else if (made && stays) return false;
  } catch {
    failures += 1;
    if (failures > 1) lose("part", answer ? words.busy : words.offline, () => plan(0));
    return false;
  }
  failures = 0;
  found("part");
  return true;
}

function isSignedOut(answer) {
  const onward = answer.headers.get("hx-redirect") ?? (answer.redirected ? new URL(answer.url).pathname : "");
  return onward.startsWith("/login") || answer.status === 401 || answer.status === 403;
}

const labelOf = (item) => item.querySelector("h3 a, b")?.textContent ?? "";
const itemsOf = (region) => new Map([...region.querySelectorAll("[data-version][id]")].map((each) => [each.id, each]));

function show(region, made) {
  const before = new Map([...itemsOf(region)].map(([id, item]) => [id, [item.dataset.version, labelOf(item)]]));
  const fixed = inSight(region);
  const held = region.contains(document.activeElement) ? ancestorsOf(document.activeElement, region) : [];
  const top = fixed?.getBoundingClientRect().top;
  // A page of today shows the next day after midnight.
  const isNextDay = made.dataset.title && made.dataset.title !== region.dataset.title;
  if (isNextDay) document.title = made.dataset.title;
  globalThis.docketMorph(region, made);
  globalThis.htmx?.process(region);
  if (held.length && document.activeElement === document.body) focusNear(held);
  if (fixed?.isConnected) window.scrollBy({ top: fixed.getBoundingClientRect().top - top, behavior: "instant" });
  showAge();
  const after = itemsOf(region);
  const changed = [...after.values()].filter(({ id, dataset }) => before.get(id)?.[0] !== dataset.version);
  const gone = [...before].filter(([id]) => !after.has(id)).map(([, [, label]]) => label);
  changed.forEach(mark);
  if (isNextDay) document.dispatchEvent(new CustomEvent("docket:announce", { detail: made.dataset.announce }));
  else announce([...changed.map(labelOf), ...gone]);
  region.dispatchEvent(new CustomEvent("docket:live", { bubbles: true }));
}

// The element that must not move: the one with the focus if it is in sight, else the first visible one.
function inSight(region) {
  const focused = document.activeElement;
  const seen = ({ top, bottom }) => bottom > 0 && top < window.innerHeight;
  if (region.contains(focused) && seen(focused.getBoundingClientRect())) return focused;
  return [...region.querySelectorAll("[id]")].find((each) => {
    const { top, height } = each.getBoundingClientRect();
    return height && top >= 0 && top < window.innerHeight;
  });
}

function ancestorsOf(element, region) {
  const found = [];
  for (let each = element; each !== region; each = each.parentElement) found.push(each);
  return [...found, region];
}

// If the focused element is gone, its nearest remaining ancestor gets the focus.
function focusNear(held) {
  const around = held.find((each) => each.isConnected);
  const next = around?.querySelector("a[href], button, summary") ?? document.getElementById("main");
  next.focus({ preventScroll: true });
}

function mark(item) {
  item.dataset.liveChanged = "";
  window.setTimeout(() => delete item.dataset.liveChanged, MARKED_MS);
}

function announce(labels) {
  if (!labels.length) return;
  const sentence = labels.length === 1 && labels[0]
    ? words.liveOne?.replace("{label}", labels[0])
    : words.liveMany?.replace("{number}", labels.length);
  document.dispatchEvent(new CustomEvent("docket:announce", { detail: sentence }));
}

// ------------------------------------------------------------------------------------------------- listening

let listening = null;
let lastHeard = 0;
let silence = 0;
let attempts = 0;
let wakeUp = () => {};

async function listen() {
  listening = new AbortController();
  const answer = await fetch("/live", {
    headers: { accept: "text/event-stream" }, cache: "no-store", signal: listening.signal,
  });
  if (answer.status === 204) return "off";
  if (isSignedOut(answer)) return "ended";
  if (!answer.ok) return "lost";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return "lost";
    noteMessage();
    const messages = (text + value).split("\n\n");
    text = messages.pop();
    for (const each of messages) pass(each);
  }
}

function noteMessage() {
  lastHeard = Date.now();
  attempts = 0;
  window.clearTimeout(silence);
  silence = window.setTimeout(() => listening?.abort(), SILENT_MS);
}

function pass(text) {
  const kind = /^event: (.*)$/m.exec(text)?.[1];
  const data = /^data: (.*)$/m.exec(text)?.[1];
  if (kind && data) tell({ kind, ...JSON.parse(data) });
}

async function keepListening() {
  for (;;) {
    const end = await listen().catch(() => "lost");
    window.clearTimeout(silence);
    tell({ kind: end });
    if (end === "off" || end === "ended") return;
    // All browsers lose a server that stops at the same moment, and come back one after another.
    const pause = Math.min(500 * 2 ** attempts, 5_000) * (0.5 + Math.random());
    attempts += 1;
    await new Promise((resolve) => {
      wakeUp = resolve;
      window.setTimeout(resolve, pause);
    });
  }
}

function listenNow() {
  attempts = 0;
  channel?.postMessage({ kind: "retry" });
  if (listening && Date.now() - lastHeard > SILENT_MS) listening.abort();
  wakeUp();
}

// ------------------------------------------------------------------------------------------------ all the tabs

let leads = false;
const channel = "BroadcastChannel" in window && navigator.locks ? new BroadcastChannel("docket-live") : null;

function tell(message) {
  hear(message);
  if (leads) channel?.postMessage(message);
}

function onMessage({ data }) {
  if (data.kind === "ask") {
    if (leads && state === "live") channel.postMessage({ ...latest, kind: "hello" });
  } else if (data.kind === "retry") {
    if (leads) {
      attempts = 0;
      wakeUp();
    }
  } else if (!leads) {
    hear(data);
  }
}

function start() {
  if (!channel) {
    // Without https a tab cannot know of the others: each listens for itself.
    keepListening();
    return;
  }
  channel.addEventListener("message", onMessage);
  channel.postMessage({ kind: "ask" });
  // The lock is held until the tab is closed or leaves the page; then the next one gets it.
  navigator.locks.request("docket-live", () => {
    leads = true;
    return keepListening();
  });
}

if (regions().length) {
  start();
  document.addEventListener("pointerdown", () => { isPressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { isPressed = false; }, true);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    if (leads && Date.now() - lastHeard > SILENT_MS) listenNow();
    plan(0);
  });
  window.addEventListener("online", listenNow);
  window.addEventListener("offline", () => listening?.abort());
  document.addEventListener("htmx:afterSettle", showAge);
  // Parts that depend on the time, such as the now line.
  window.setInterval(() => {
    for (const region of regions()) {
      const every = 1_000 * Number(region.dataset.liveEvery ?? Infinity);
      if (Date.now() - (askedAt.get(region.id) ?? openedAt) >= every) want(region);
    }
  }, 5_000);
}
