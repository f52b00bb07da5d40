// Light, dark, or as the system has it. Runs before the page is drawn, so that a chosen theme doesn't flash;
// without scripts the page follows the system and there is no button.
(() => {
  "use strict";

  const KEY = "theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // Storage may be forbidden: the choice then lasts for the page.
  function stored() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function keep(theme) {
    try {
      if (theme) localStorage.setItem(KEY, theme);
      else localStorage.removeItem(KEY);
    } catch {
      return;
    }
  }

  function current() {
    return document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  }

  function apply(theme) {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  apply(stored());

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-theme-button]");
    if (!button) return;
    const label = () => {
      button.textContent = current() === "dark" ? "Light theme" : "Dark theme";
    };
    button.hidden = false;
    label();
    dark.addEventListener("change", label);
    button.addEventListener("click", () => {
      const wanted = current() === "dark" ? "light" : "dark";
      // What the system wants anyway isn't a choice: it goes on following the system.
      const chosen = wanted === (dark.matches ? "dark" : "light") ? null : wanted;
      keep(chosen);
      apply(chosen);
      label();
    });
  });
})();
