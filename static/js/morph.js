// Makes a part of the page like a newer one and leaves everything else in it alone: equal elements are kept, so that
// the focus, typed text, open parts and scroll positions stay as they are. Elements with an id are found by it within
// the same parent; others by their place. [data-live-keep] stays as it is, also where the newer part has it no more;
// data-live-own="class" names attributes that stay as they are.

// Attributes that users and scripts change, and the server does not know.
const OWN = new Set(["open", "tabindex", "data-live-changed"]);

function likeAttributes(old, made) {
  const own = new Set([...OWN, ...(old.dataset?.liveOwn?.split(" ") ?? [])]);
  for (const { name, value } of made.attributes) {
    if (!own.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!own.has(name) && !made.hasAttribute(name)) old.removeAttribute(name);
  }
}

function isSame(old, made) {
  return old.nodeType === made.nodeType && old.nodeName === made.nodeName && (old.id ?? "") === (made.id ?? "");
}

// The next old node that may become `made`: for an id the one with it, else the first that no id claims.
function find(next, made, byId) {
  if (made.id) {
    const own = byId.get(made.id);
    // A kept element may have another tag now, such as a form in place of details.
    return own && (isSame(own, made) || isKept(own)) ? own : null;
  }
  for (let node = next; node; node = node.nextSibling) {
    if (node.id || node.nodeType !== made.nodeType || isKept(node)) continue;
    return isSame(node, made) ? node : null;
  }
  return null;
}

const isKept = (node) => node.nodeType === Node.ELEMENT_NODE && node.hasAttribute("data-live-keep");

function likeChildren(old, made) {
  const byId = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  const wanted = new Set([...made.children].map((each) => each.id).filter(Boolean));
  let next = old.firstChild;
  const skipGone = () => {
    while (next?.id && !wanted.has(next.id)) {
      const gone = next;
      next = next.nextSibling;
      if (!isKept(gone)) gone.remove();
    }
  };
  for (const each of [...made.childNodes]) {
    skipGone();
    const found = find(next, each, byId);
    if (!found) {
      old.insertBefore(document.importNode(each, true), next);
    } else {
      while (next !== found && next?.nodeType === Node.TEXT_NODE) {
        const gone = next;
        next = next.nextSibling;
        gone.remove();
      }
      if (found === next) next = next.nextSibling;
      else move(old, found, next);
      morph(found, each);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    if (!isKept(gone)) gone.remove();
  }
}

function move(parent, node, before) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  // Newer browsers move an element without resetting it.
  if (parent.moveBefore) parent.moveBefore(node, before);
  else parent.insertBefore(node, before);
  if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

function isChanged(element) {
  if (element.matches("select")) return [...element.options].some((each) => each.selected !== each.defaultSelected);
  return element.matches("input, textarea") && element.value !== element.defaultValue;
}

const isTyped = (element) => isChanged(element) || (element === document.activeElement && element.matches("input, textarea"));

// A form in which something is typed, or was refused, stays whole: the hidden fields say which state its user saw, so that
// the server can tell whether another user has changed it since.
function isBeingFilled(form) {
  return form.matches("form") && ([...form.elements].some(isTyped) || form.querySelector("[data-error-summary]") !== null);
}

function morph(old, made) {
  if (old.isEqualNode(made)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== made.nodeValue) old.nodeValue = made.nodeValue;
    return;
  }
  if (isKept(old) || isTyped(old) || isBeingFilled(old)) return;
  likeAttributes(old, made);
  likeChildren(old, made);
}

globalThis.docketMorph = morph;
globalThis.docketIsChanged = isChanged;
globalThis.docketIsBeingFilled = isBeingFilled;
