// Makes and uses passkeys. Markup: <form data-passkey="register, sign-in or prove" hidden> with a hidden field
// "passkey", a button, and <p data-problem hidden>. Our server answers what the browser needs, the
// device signs it, and the form carries the answer back. Browsers that cannot do this never show the form.

const known = window.PublicKeyCredential;
// Passkeys belong to a name: browsers refuse them for an address of numbers, such as 127.0.0.1.
const named = !/^[\d.]+$|:/.test(location.hostname);
const able = window.isSecureContext && named && known?.parseCreationOptionsFromJSON && known?.parseRequestOptionsFromJSON;

async function ask(purpose) {
  const answer = await fetch("/passkeys/options", { method: "POST", body: new URLSearchParams({ purpose }) });
  // The last proof of who this is may be too old: that page asks for it, and leads back here.
  if (answer.redirected) return location.assign(answer.url);
  if (!answer.ok) throw new Error(`Answered ${answer.status}`);
  const options = await answer.json();
  return purpose === "register"
    ? navigator.credentials.create({ publicKey: known.parseCreationOptionsFromJSON(options) })
    : navigator.credentials.get({ publicKey: known.parseRequestOptionsFromJSON(options) });
}

for (const form of able ? document.querySelectorAll("form[data-passkey]") : []) {
  const button = form.querySelector("button"), problem = form.querySelector("[data-problem]");
  form.hidden = false;
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    button.setAttribute("aria-busy", "true");
    try {
      const made = await ask(form.dataset.passkey);
      if (!made) return;
      form.elements.passkey.value = JSON.stringify(made);
      form.requestSubmit();
    } catch {
      // It was cancelled, took too long, or this device has no passkey for us.
      button.removeAttribute("aria-busy");
      problem.hidden = false;
    }
  });
}
