// On a page with errors the focus starts at their summary, so that users do not have to search for it.

document.querySelector("[data-error-summary]")?.focus();
