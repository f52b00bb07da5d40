// Draws a figure of plotly.js where a page has <figure data-chart="address of the figure as JSON">, once it
// comes into view. plotly.js is loaded with the first of them. Where that fails, the figure's own table is
// opened instead: it holds the same numbers.
(() => {
  "use strict";

  const library = document.currentScript.dataset.plotly;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const narrow = matchMedia("(max-width: 640px)");
  const drawn = new Map(); // place of a chart → its figure as it was sent
  let loading = null;

  function loadLibrary() {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = library;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => {
        script.remove();
        loading = null;
        reject(new Error("The chart library could not be loaded."));
      };
      document.head.append(script);
    });
    return loading;
  }

  async function loadFigure(address) {
    const response = await fetch(address, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`The figure could not be loaded (${response.status}).`);
    return response.json();
  }

  // Plotly reads few notations of colour; a painted pixel says what any of them looks like.
  const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const probe = document.createElement("span");
  probe.hidden = true;

  function colour(name) {
    probe.style.color = name;
    const brush = pixel.getContext("2d", { willReadFrequently: true });
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = getComputedStyle(probe).color;
    brush.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
    return `rgba(${red},${green},${blue},${alpha / 255})`;
  }

  // A copy of a figure, with the colours of the theme that is on.
  function inTheme(part, known) {
    if (typeof part === "string") {
      if (!part.startsWith("var(--")) return part;
      if (!known.has(part)) known.set(part, colour(part));
      return known.get(part);
    }
    if (Array.isArray(part)) return part.map((item) => inTheme(item, known));
    if (part === null || typeof part !== "object") return part;
    return Object.fromEntries(
      Object.entries(part).map(([key, value]) => [key, inTheme(value, known)]),
    );
  }

  function draw(place) {
    document.body.append(probe);
    const figure = inTheme(drawn.get(place), new Map());
    figure.layout.font.family = getComputedStyle(probe).fontFamily;
    probe.remove();
    figure.layout.transition = { duration: still.matches ? 0 : 150 };
    // On a phone a finger on the chart scrolls the page.
    figure.layout.dragmode = narrow.matches ? false : "zoom";
    if (narrow.matches) {
      figure.layout.margin = { ...figure.layout.margin, l: 8, r: 8 };
      for (const [path, value] of Object.entries(figure.layout.meta.narrow)) {
        const names = path.split(".");
        const last = names.pop();
        names.reduce((part, name) => part[name], figure.layout)[last] = value;
      }
    }
    return window.Plotly.react(place, figure.data, figure.layout, {
      responsive: true,
      displaylogo: false,
      displayModeBar: narrow.matches ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      showTips: false,
    });
  }

  async function show(chart) {
    const place = chart.querySelector("[data-chart-place]");
    try {
      const [figure] = await Promise.all([loadFigure(chart.dataset.chart), loadLibrary()]);
      drawn.set(place, figure);
      await draw(place);
      chart.dataset.chartState = "drawn";
      place.style.minHeight = "";
    } catch (error) {
      drawn.delete(place);
      place.hidden = true;
      chart.dataset.chartState = "failed";
      const table = chart.querySelector("details");
      if (table) table.open = true;
      const note = chart.querySelector("[data-chart-problem]");
      note.textContent = `${error.message} ${table ? "The table below holds its numbers." : ""}`;
      note.hidden = false;
    }
  }

  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        seen.unobserve(entry.target);
        show(entry.target);
      }
    },
    { rootMargin: "300px" },
  );

  function watch(root) {
    for (const chart of root.querySelectorAll("figure[data-chart]:not([data-chart-state])")) {
      const place = chart.querySelector("[data-chart-place]");
      chart.dataset.chartState = "waiting";
      place.hidden = false;
      // The page doesn't jump when the chart arrives.
      place.style.minHeight = `${chart.dataset.chartHeight || 420}px`;
      seen.observe(chart);
    }
  }

  function redraw() {
    for (const place of drawn.keys()) {
      if (place.isConnected) draw(place);
      else drawn.delete(place);
    }
  }

  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", redraw);
  }
  new MutationObserver(redraw).observe(document.documentElement, {
    attributes: true,
    attributeFilter: ["data-theme", "class"],
  });
  document.addEventListener("htmx:load", (event) => watch(event.detail.elt));
  watch(document);
})();
