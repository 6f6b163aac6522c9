// Submits a form as soon as a choice in it changes: <form data-auto-submit>. Text fields are submitted by Enter.
// Without this script the form's button does the same.

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.form?.matches("[data-auto-submit]") && target.matches("select, [type=radio]")) target.form.requestSubmit();
});
