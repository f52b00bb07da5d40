// The vote: the next ballot lies ready before it is asked for, both answers scroll together, a swipe changes sides.
(() => {
  "use strict";

  const stage = document.getElementById("stage");
  const upcoming = document.getElementById("upcoming");

  // Both answers scroll by the same share of their length.
  function scrollTogether(ballot) {
    const outputs = [...ballot.querySelectorAll("[data-output]")];
    let leader = null;
    let released = 0;
    for (const output of outputs) {
      output.addEventListener(
        "scroll",
        () => {
          if (leader && leader !== output) return;
          leader = output;
          clearTimeout(released);
          released = setTimeout(() => (leader = null), 120);
          const range = output.scrollHeight - output.clientHeight;
          const share = range > 0 ? output.scrollTop / range : 0;
          for (const other of outputs) {
            if (other !== output) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
          }
        },
        { passive: true },
      );
    }
  }

  function swipeBetweenSides(ballot) {
    const answers = ballot.querySelector("[data-answers]");
    const tabs = [...answers.querySelectorAll("input.tab")];
    let start = null;
    answers.addEventListener(
      "touchstart",
      (event) => {
        // What scrolls sideways by itself keeps its own gesture.
        const inTable = event.target.closest(".md-table");
        const touch = event.touches.length === 1 && !inTable ? event.touches[0] : null;
        start = touch && { x: touch.clientX, y: touch.clientY };
      },
      { passive: true },
    );
    answers.addEventListener(
      "touchend",
      (event) => {
        if (!start) return;
        const { clientX, clientY } = event.changedTouches[0];
        const [dx, dy] = [clientX - start.x, clientY - start.y];
        start = null;
        if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) tabs[dx < 0 ? 1 : 0].checked = true;
      },
      { passive: true },
    );
  }

  function sayCertainty(ballot) {
    const slider = ballot.querySelector('input[name="certainty"]');
    if (!slider) return;
    const said = ballot.querySelector("[data-certainty]");
    const say = () => (said.textContent = slider.value === slider.min ? "not stated" : `${slider.value} %`);
    slider.addEventListener("input", say);
    say();
  }

  // What now stands on the stage: a ballot begins to be read, anything else gets the focus.
  function show() {
    const ballot = stage.querySelector("[data-ballot]");
    if (ballot) {
      scrollTogether(ballot);
      swipeBetweenSides(ballot);
      sayCertainty(ballot);
      htmx.trigger(ballot, "shown");
    }
    const focus = stage.querySelector("[data-focus]");
    if (focus) focus.focus({ preventScroll: true });
  }

  // The ballot that was fetched meanwhile, without asking the server again.
  function next(event) {
    const ready = upcoming.firstElementChild;
    if (!ready) return;
    event.preventDefault();
    stage.replaceChildren(...upcoming.childNodes);
    htmx.process(stage);
    window.scrollTo({ top: 0 });
    stage.focus({ preventScroll: true });
    show();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-next]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) next(event);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.closest("a, button, input, textarea, select, summary")) return;
    stage.querySelector("[data-next]")?.click();
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== stage) return;
    // A ballot that was put on the stage directly doesn't wait in the wings as well.
    if (stage.querySelector("[data-ballot], [data-vote-end]")) upcoming.replaceChildren();
    // htmx would take the new forms over some milliseconds later: a quick key would load a whole page.
    htmx.process(stage);
    window.scrollTo({ top: 0 });
    show();
  });
  // A vote that didn't reach the server stays on the page, and can be sent again.
  for (const name of ["htmx:sendError", "htmx:responseError"]) {
    document.body.addEventListener(name, (event) => {
      if (event.detail.target !== stage) return;
      stage.querySelector("[data-lost]")?.remove();
      const notice = document.createElement("p");
      notice.className = "notice bad";
      notice.setAttribute("role", "alert");
      notice.dataset.lost = "";
      notice.textContent = "That didn't reach the server. Nothing is lost: press the same button again.";
      stage.prepend(notice);
    });
  }

  // htmx listens from DOMContentLoaded on, and this script runs before.
  document.addEventListener("DOMContentLoaded", show);
})();
