// Sends a form as soon as a choice in it changes: <form data-auto-submit>. What is typed is sent by Enter.
// Without this file the form's own button does the same.

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.form?.matches("[data-auto-submit]") && target.matches("select, [type=radio]")) target.form.requestSubmit();
});
