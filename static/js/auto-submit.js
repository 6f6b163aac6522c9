// Sends a form as soon as a choice in it changes: <form data-auto-submit>.
// Without this file the form's own button does the same.

document.addEventListener("change", (event) => {
  event.target.form?.matches("[data-auto-submit]") && event.target.form.requestSubmit();
});
