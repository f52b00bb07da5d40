// Putting answers in order: by drag, by buttons and by keys. The selects hold the places and are what is sent.
(() => {
  "use strict";

  const form = document.querySelector("[data-rank]");
  if (!form) return;
  const list = form.querySelector("[data-rank-list]");
  const order = form.querySelector("[data-order]");
  const cards = () => [...list.children];
  const selectOf = (card) => card.querySelector("select");
  const isTied = (card) => "tied" in card.dataset;
  let isOrdered = false;

  function setTied(card, tied) {
    if (tied) card.dataset.tied = "";
    else delete card.dataset.tied;
  }

  // 1, 2, 2, 4: a tied card shares the place of the one above.
  function places() {
    const found = [];
    cards().forEach((card, index) => found.push(index && isTied(card) ? found[index - 1] : index + 1));
    return found;
  }

  function inWords() {
    const found = places();
    const groups = [];
    cards().forEach((card, index) => {
      if (index && found[index] === found[index - 1]) groups.at(-1).push(card.dataset.card);
      else groups.push([card.dataset.card]);
    });
    return groups
      .map((group) => (group.length > 1 ? `${group.join(" and ")} tied` : group[0]))
      .join(", then ");
  }

  function show(sentence) {
    const found = places();
    const all = cards();
    all.forEach((card, index) => {
      const letter = card.dataset.card;
      if (isOrdered) selectOf(card).value = found[index];
      const where = isOrdered ? `place ${found[index]} of ${all.length}` : "no place yet";
      card.querySelector("[data-name]").textContent = `Answer ${letter}, ${where}`;
      card.querySelector("[data-up]").setAttribute("aria-disabled", index === 0);
      card.querySelector("[data-down]").setAttribute("aria-disabled", index === all.length - 1);
      const tie = card.querySelector("[data-tie]");
      tie.setAttribute("aria-disabled", index === 0);
      tie.setAttribute("aria-pressed", index > 0 && isTied(card));
    });
    if (sentence) order.textContent = sentence;
    else if (isOrdered) order.textContent = `Order now: ${inWords()}.`;
  }

  // Out of its tie: whoever was tied with it from below stays where it is.
  function release(card) {
    const next = card.nextElementSibling;
    if (next && isTied(next) && !isTied(card)) setTied(next, false);
    setTied(card, false);
  }

  // The others move around the card: it stays in the document, and so keeps the focus and the pointer.
  function moveTo(card, index) {
    const target = Math.min(Math.max(index, 0), list.children.length - 1);
    if (cards().indexOf(card) === target) return false;
    release(card);
    while (cards().indexOf(card) > target) card.after(card.previousElementSibling);
    while (cards().indexOf(card) < target) card.before(card.nextElementSibling);
    setTied(list.firstElementChild, false);
    const next = card.nextElementSibling;
    // Between two that are tied it is tied with both.
    if (next && isTied(next) && target > 0) setTied(card, true);
    return true;
  }

  function move(card, index) {
    moveTo(card, index);
    isOrdered = true;
    show();
  }

  function toggleTie(card) {
    if (!card.previousElementSibling) return;
    setTied(card, !isTied(card));
    isOrdered = true;
    show();
  }

  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const card = event.target.closest("[data-card]");
    if (!button || !card) return;
    const index = cards().indexOf(card);
    if ("handle" in button.dataset) button.focus();
    else if ("up" in button.dataset) move(card, index - 1);
    else if ("down" in button.dataset) move(card, index + 1);
    else if ("tie" in button.dataset) toggleTie(card);
  });

  list.addEventListener("change", (event) => {
    const card = event.target.closest("[data-card]");
    if (!card || event.target !== selectOf(card)) return;
    if (event.target.value) move(card, Number(event.target.value) - 1);
    else show();
  });

  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select")) return;
    const card = event.target.closest("[data-card]");
    if (!card) return;
    const index = cards().indexOf(card);
    const isOnControl = event.target.closest("button") !== null;
    if (/^[1-9]$/.test(event.key)) {
      if (Number(event.key) > list.children.length) return;
      move(card, Number(event.key) - 1);
    } else if (event.key === "=") toggleTie(card);
    // Elsewhere in the card the arrows scroll its text.
    else if (event.key === "ArrowUp" && isOnControl) move(card, index - 1);
    else if (event.key === "ArrowDown" && isOnControl) move(card, index + 1);
    else return;
    event.preventDefault();
    card.querySelector(".rank-head").scrollIntoView({ block: "nearest" });
  });

  list.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest("[data-handle]");
    if (!handle || event.button !== 0) return;
    const card = handle.closest("[data-card]");
    let isDragging = false;
    let hasMoved = false;
    handle.setPointerCapture(event.pointerId);

    function drag(moved) {
      if (!isDragging && Math.abs(moved.clientY - event.clientY) < 6) return;
      if (!isDragging) {
        isDragging = true;
        const before = card.getBoundingClientRect().top;
        list.classList.add("is-dragging");
        card.classList.add("is-dragged");
        // The texts are folded away: keep the card under the pointer.
        window.scrollBy({ top: card.getBoundingClientRect().top - before, behavior: "instant" });
      }
      // Towards what lies beyond the window.
      const edge = Math.min(120, window.innerHeight / 6);
      if (moved.clientY > window.innerHeight - edge) window.scrollBy({ top: 12, behavior: "instant" });
      else if (moved.clientY < edge) window.scrollBy({ top: -12, behavior: "instant" });
      const others = cards().filter((other) => other !== card);
      const above = others.filter((other) => {
        const { top, height } = other.getBoundingClientRect();
        return top + height / 2 < moved.clientY;
      });
      if (moveTo(card, above.length)) {
        hasMoved = true;
        isOrdered = true;
        show();
      }
    }

    function drop() {
      handle.removeEventListener("pointermove", drag);
      handle.removeEventListener("pointerup", drop);
      handle.removeEventListener("pointercancel", drop);
      if (!isDragging) return;
      list.classList.remove("is-dragging");
      card.classList.remove("is-dragged");
      card.querySelector(".rank-head").scrollIntoView({ block: "nearest" });
      // Dropped where it was, all the same it was put there.
      if (!hasMoved) {
        isOrdered = true;
        show();
      }
    }

    handle.addEventListener("pointermove", drag);
    handle.addEventListener("pointerup", drop);
    handle.addEventListener("pointercancel", drop);
  });

  // A thumb on a handle drags and does nothing else: Chromium takes a quick drag for the start of a fling, and
  // the next tap for its end, even where touch-action is none.
  list.addEventListener(
    "touchmove",
    (event) => event.target.closest("[data-handle]") && event.preventDefault(),
    { passive: false },
  );

  // The order in which answers happen to be shown is nobody's judgement until somebody says so.
  form.addEventListener("submit", (event) => {
    if (isOrdered || event.submitter?.value !== "rank") return;
    event.preventDefault();
    isOrdered = true;
    show(`You haven’t moved anything. If your order is ${inWords()}, send it once more.`);
  });

  // What was chosen before, when the page comes back with it.
  function takeOver() {
    const chosen = cards().map((card) => [Number(selectOf(card).value) || 99, card]);
    if (chosen.every(([place]) => place === 99)) return;
    chosen.sort(([one], [other]) => one - other);
    chosen.forEach(([place, card], index) => {
      list.append(card);
      setTied(card, index > 0 && place < 99 && place === chosen[index - 1][0]);
    });
    isOrdered = chosen.every(([place]) => place < 99);
  }

  for (const element of form.querySelectorAll("[data-handle], [data-tools], [data-how], [data-order]")) {
    element.hidden = false;
  }
  form.querySelector("[data-without-rank-script]").hidden = true;
  takeOver();
  show();
})();
