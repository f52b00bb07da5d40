// An open leaderboard follows its publication: rows are changed where they stand, and what changed is said.
(() => {
  "use strict";

  const bar = document.querySelector("[data-live]");
  if (!bar) return;
  const button = bar.querySelector("button");
  const said = bar.querySelector("[role=status]");
  const SOONEST = 3000;
  const QUIET = 10000;
  const LATEST = 60000;
  const MARKED = 6000;
  let wait = SOONEST;
  let timer = 0;
  let asking = false;
  let paused = false;

  const results = () => document.getElementById("results");
  const rowsOf = (place) => [...place.querySelectorAll("tr[data-system]")];

  bar.querySelector("[data-without-scripts]").hidden = true;
  button.hidden = false;

  function plan() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(ask, wait);
  }

  async function ask() {
    const place = results();
    const seen = place?.dataset.snapshot;
    if (asking) return;
    if (!seen) return plan();
    asking = true;
    try {
      const here = location.href;
      const url = new URL(here);
      url.hash = "";
      url.searchParams.set("part", "live");
      url.searchParams.set("seen", seen);
      const response = await fetch(url, { cache: "no-store" });
      if (response.status === 200) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.getElementById("results");
        // Whoever sorts, filters or pauses meanwhile has said what is to be seen.
        const isWanted = !paused && results() === place && location.href === here;
        if (fresh?.dataset.snapshot && isWanted) update(place, fresh);
        wait = SOONEST;
      } else {
        wait = response.ok ? Math.min(wait * 1.15, QUIET) : Math.min(wait * 2, LATEST);
      }
    } catch {
      wait = Math.min(wait * 2, LATEST);
    }
    asking = false;
    plan();
  }

  function movement(old, row) {
    const [low, high] = [Number(old.lower), Number(old.upper)];
    const [lower, upper] = [Number(row.lower), Number(row.upper)];
    if (low === lower && high === upper) return "";
    const was = low === high ? `${low}` : `${low}–${high}`;
    if (lower <= low && upper <= high) return `up from ${was}`;
    if (lower >= low && upper >= high) return `down from ${was}`;
    return `was ${was}`;
  }

  function changeCells(row, next) {
    [...next.cells].forEach((cell, i) => {
      // The name and the link to the opponents stay: they may have the focus.
      if (cell.matches(".system") || cell.querySelector("[data-opens-row]")) return;
      const mine = row.cells[i];
      mine.querySelector(".moved")?.remove();
      if (mine.innerHTML === cell.innerHTML) return;
      mine.innerHTML = cell.innerHTML;
      if (!cell.matches(".scale")) mark(mine);
    });
  }

  function mark(cell) {
    cell.classList.add("just-changed");
    setTimeout(() => cell.classList.remove("just-changed"), MARKED);
  }

  function update(place, fresh) {
    const focus = document.activeElement;
    const [old, next] = [rowsOf(place), rowsOf(fresh)];
    const known = new Map(old.map((row) => [row.dataset.system, row]));
    let moved = 0;

    const body = old[0]?.parentElement;
    if (body && next.length) {
      let last = null;
      for (const row of next) {
        let mine = known.get(row.dataset.system);
        if (mine) {
          known.delete(row.dataset.system);
          const words = movement(mine.dataset, row.dataset);
          changeCells(mine, row);
          mine.className = row.className;
          Object.assign(mine.dataset, row.dataset);
          if (words) {
            // A range that only became wider or narrower is no movement.
            if (!words.startsWith("was")) moved += 1;
            const note = document.createElement("span");
            note.className = "moved";
            note.textContent = words;
            mine.querySelector(".rank").append(note);
          }
        } else {
          mine = document.importNode(row, true);
          htmx.process(mine);
        }
        const stands = last ? last.nextElementSibling : body.firstElementChild;
        const opened = mine.nextElementSibling?.matches("[data-opened-row]")
          ? mine.nextElementSibling
          : null;
        if (stands !== mine) body.insertBefore(mine, stands);
        if (opened && mine.nextElementSibling !== opened) mine.after(opened);
        last = opened ?? mine;
      }
      for (const gone of known.values()) {
        if (gone.nextElementSibling?.matches("[data-opened-row]")) gone.nextElementSibling.remove();
        gone.remove();
      }
      const axis = place.querySelector("thead th.scale");
      axis.innerHTML = fresh.querySelector("thead th.scale").innerHTML;
    }
    // What stands around the table; a page that got or lost a table is taken as it is.
    const [mine, theirs] = [[...place.children], [...fresh.children]];
    const isAlike = mine.length === theirs.length && Boolean(body) === Boolean(next.length);
    if (isAlike) {
      mine.forEach((part, i) => {
        if (part.querySelector("tr[data-system]") || part.outerHTML === theirs[i].outerHTML) return;
        exchange(part, theirs[i]);
      });
    } else {
      const table = Boolean(body) && place.querySelector(".scroll");
      const theirTable = fresh.querySelector("tr[data-system]")?.closest(".scroll");
      if (table && theirTable) theirTable.replaceWith(table);
      place.replaceChildren(...fresh.childNodes);
      htmx.process(place);
    }
    if (focus !== document.activeElement && focus?.isConnected) focus.focus({ preventScroll: true });

    const more = Number(fresh.dataset.verdicts) - Number(place.dataset.verdicts);
    const verdicts = more > 0 ? `${more} new verdict${more === 1 ? "" : "s"}, ` : "";
    said.textContent = `Updated: ${verdicts}${moved} system${moved === 1 ? "" : "s"} moved.`;
    Object.assign(place.dataset, fresh.dataset);
  }

  function exchange(part, other) {
    const open = [part, ...part.querySelectorAll("*")].filter((each) => each.matches("details"));
    const others = [other, ...other.querySelectorAll("*")].filter((each) => each.matches("details"));
    others.forEach((each, i) => { each.open = open[i]?.open ?? each.open; });
    // Whoever reads a list by keyboard isn't thrown out of it.
    if (part.contains(document.activeElement)) return;
    part.replaceWith(other);
    htmx.process(other);
  }

  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    clearTimeout(timer);
    if (!paused) ask();
  });

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden || paused) return;
    wait = SOONEST;
    ask();
  });

  // What htmx asks for by the clock waits too while nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.id === "freshness") event.preventDefault();
  });
  // Where rows follow by themselves, nobody has to be told that newer ones are to be had.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, serverResponse } = event.detail;
    if (paused || target.id !== "freshness" || !serverResponse.includes("data-newer")) return;
    event.detail.shouldSwap = false;
    wait = SOONEST;
    ask();
  });

  plan();
})();
