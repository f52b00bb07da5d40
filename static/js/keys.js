// Keys. An element with aria-keyshortcuts="n" is pressed (a field: focused) by that key, and the help on "?"
// lists it under data-key-label or its own text. Nothing happens while someone types.
(() => {
  "use strict";

  const dialog = document.getElementById("keys");
  const opener = document.querySelector("[data-keys-button]");

  function shortcuts() {
    return [...document.querySelectorAll("[aria-keyshortcuts]")].filter(
      (element) => !element.closest("dialog") && element.checkVisibility(),
    );
  }

  function isTyping(target) {
    return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  }

  function showHelp() {
    const list = dialog.querySelector("[data-keys-list]");
    list.querySelectorAll("[data-of-page]").forEach((element) => element.remove());
    for (const element of shortcuts()) {
      const row = document.createElement("div");
      row.dataset.ofPage = "";
      row.style.display = "contents";
      const key = document.createElement("dt");
      key.append(
        Object.assign(document.createElement("kbd"), {
          textContent: element.getAttribute("aria-keyshortcuts"),
        }),
      );
      const what = document.createElement("dd");
      what.textContent =
        element.dataset.keyLabel || element.getAttribute("aria-label") || element.textContent.trim();
      row.append(key, what);
      list.append(row);
    }
    dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") {
      event.preventDefault();
      showHelp();
      return;
    }
    const element = shortcuts().find((one) => one.getAttribute("aria-keyshortcuts") === event.key);
    if (!element) return;
    event.preventDefault();
    if (isTyping(element)) {
      element.focus();
      element.select?.();
    } else {
      element.click();
    }
  });

  opener.hidden = false;
  opener.addEventListener("click", showHelp);
  // A click beside the dialog closes it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
})();
