// A link with data-opens-row loads a row below its own; a second press closes it again.
(() => {
  "use strict";

  document.addEventListener("htmx:confirm", (event) => {
    const link = event.detail.elt;
    if (!link.matches("[data-opens-row]") || link.getAttribute("aria-expanded") !== "true") return;
    event.preventDefault();
    const below = link.closest("tr").nextElementSibling;
    if (below?.matches("[data-opened-row]")) below.remove();
    link.setAttribute("aria-expanded", "false");
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const link = event.detail.elt;
    if (!link.matches?.("[data-opens-row]")) return;
    if (event.detail.successful) link.setAttribute("aria-expanded", "true");
    // Where the row can't be had, the page that has it may answer.
    else window.location.assign(link.href);
  });
})();
