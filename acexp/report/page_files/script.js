"use strict";

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (each) => each.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

// Runs Plotly and returns the charts; both are compressed in the page.
async function unpackedCharts() {
  const [plotly, data] = await Promise.all(["plotly", "charts"].map(unpacked));
  const script = document.createElement("script");
  script.textContent = plotly;
  document.head.append(script);
  return JSON.parse(data);
}

// Charts are drawn when they come into view: a study of hundreds of runs has many.
const charts = unpackedCharts();
const places = [...document.querySelectorAll("[data-chart]")];
const drawn = new Set();
const hidden = new Set();

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { tickfont: { color: colour("--text") }, gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--text"), size: 12 },
    margin: { t: 10, r: 10, b: 40, l: 50, ...layout.margin },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, xanchor: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--faint"), activecolor: colour("--accent") },
    hoverlabel: { namelength: -1 },
    xaxis: { ...axis, ...layout.xaxis, title: { ...layout.xaxis?.title, font: { size: 11 } } },
    yaxis: { ...axis, ...layout.yaxis, title: { ...layout.yaxis?.title, font: { size: 11 } } },
  };
}

// Outliers are outside of the axis until the reader asks for its full range.
function inFull(layout, axis) {
  const { range, ...rest } = layout[axis];
  return { ...layout, [axis]: rest };
}

async function draw(place) {
  const chart = (await charts)[Number(place.dataset.chart)];
  const full = place.dataset.full ?? "";
  const data = chart.data.map((trace) => ({ ...trace, visible: !hidden.has(trace.legendgroup) }));
  const layout = { ...(full ? inFull(chart.layout, full) : chart.layout), uirevision: full };
  drawn.add(place);
  return Plotly.react(place, data, themed(layout), {
    responsive: true,
    displaylogo: false,
    displayModeBar: "hover",
    toImageButtonOptions: { format: "svg", filename: place.getAttribute("aria-label") },
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  });
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    }
  },
  { rootMargin: "600px" },
);
places.forEach((place) => watcher.observe(place));
charts.catch((error) => {
  watcher.disconnect();
  places.forEach((place) => {
    place.textContent = `This browser cannot unpack the charts (${error.message}); a newer one can.`;
  });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
addEventListener("beforeprint", () => places.forEach(draw));

for (const button of document.querySelectorAll("[data-cut]")) {
  const place = button.closest("figure").querySelector("[data-chart]");
  button.addEventListener("click", () => {
    place.dataset.full = place.dataset.full ? "" : button.dataset.cut;
    button.setAttribute("aria-pressed", String(Boolean(place.dataset.full)));
    button.textContent = place.dataset.full ? "leave them out" : "show the full range";
    draw(place);
  });
}

// A click on an experiment hides it in every chart, a double click shows it alone.
const cells = [...document.querySelectorAll("[data-cell]")];
const names = new Set(cells.map((button) => button.dataset.cell));

function hide(chosen) {
  hidden.clear();
  chosen.forEach((name) => hidden.add(name));
  cells.forEach((button) => button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.cell))));
  drawn.forEach(draw);
}

for (const button of cells) {
  const name = button.dataset.cell;
  button.addEventListener("click", () => {
    const others = [...hidden].filter((each) => each !== name);
    hide(hidden.has(name) ? others : [...others, name]);
  });
  button.addEventListener("dblclick", () => {
    const others = [...names].filter((each) => each !== name);
    const isAlone = !hidden.has(name) && hidden.size === others.length;
    hide(isAlone ? [] : others);
  });
}

// The cue appears where a table is wider than its place.
function cue() {
  for (const place of document.querySelectorAll(".scroll")) {
    place.previousElementSibling.hidden = place.scrollWidth <= place.clientWidth + 1;
  }
}
cue();
addEventListener("resize", cue);

// While runs are watched the page is written anew, and loaded anew where the reader was; the last one stays.
const seconds = Number(document.body.dataset.watch);
const scrolled = `acexp-scroll:${location.pathname}`;
if (sessionStorage.getItem(scrolled) !== null) {
  scrollTo(0, Number(sessionStorage.getItem(scrolled)));
  sessionStorage.removeItem(scrolled);
}
if (seconds) {
  history.scrollRestoration = "manual";
  setTimeout(() => {
    sessionStorage.setItem(scrolled, String(scrollY));
    location.reload();
  }, 1000 * seconds);
}

// Tables are sorted by a click on a heading, and filtered by words that a row must contain.
const keyOf = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.key === undefined) return cell.textContent;
  return cell.dataset.key === "" ? null : Number(cell.dataset.key);
};

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => compare(keyOf(a, column), keyOf(b, column), ascending ? 1 : -1));
      body.append(...rows);
    });
  });
}

for (const field of document.querySelectorAll("[data-filters]")) {
  const body = document.getElementById(field.dataset.filters).tBodies[0];
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word));
    }
  });
}
