// What every page does by itself: the tab one is on is in view, and filters don't wait for their button.
(() => {
  "use strict";

  // On a phone the tabs are wider than the screen.
  const tabs = document.querySelector(".arena-nav .frame");
  const current = tabs?.querySelector("[aria-current]");
  if (current) {
    const hidden = current.offsetLeft + current.offsetWidth - tabs.offsetLeft - tabs.clientWidth;
    if (hidden > 0) tabs.scrollLeft = hidden + 24;
  }

  // An address names only what was chosen.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get" || !event.detail.elt.matches("form")) return;
    for (const [name, value] of [...event.detail.formData]) {
      if (value === "") event.detail.formData.delete(name);
    }
  });

  // The button of a filter form is for those without scripts.
  for (const button of document.querySelectorAll("form[hx-get] [data-without-scripts]")) {
    button.hidden = true;
  }
})();
