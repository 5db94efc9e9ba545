"use strict";

// Figures take the page's colours, light or dark, and those of paper where it is printed.
function colours() {
  const style = getComputedStyle(document.documentElement);
  return { ink: style.getPropertyValue("--ink").trim(), line: style.getPropertyValue("--line").trim() };
}

function coloured(layout) {
  const { ink, line } = colours();
  const changes = { "font.color": ink };
  for (const key of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
    changes[`${key}.gridcolor`] = line;
    changes[`${key}.zerolinecolor`] = line;
    changes[`${key}.linecolor`] = line;
  }
  return changes;
}

const drawings = [...document.querySelectorAll(".drawing")];

async function draw(place) {
  const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
  await Plotly.newPlot(place, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
  await Plotly.relayout(place, coloured(layout));
  place.dataset.drawn = "yes";
}

const recolour = () => Promise.all(drawings.map((place) => Plotly.relayout(place, coloured(place.layout))));

const drawn = Promise.all(drawings.map(draw));
drawn.then(() => { document.body.dataset.drawn = "yes"; });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
addEventListener("beforeprint", recolour);
addEventListener("afterprint", recolour);

// A click on a head sorts by its column, a second one the other way round; numbers by what they begin with.
function sort(table, column, ascending) {
  const value = (row) => row.cells[column].textContent.trim();
  const number = (text) => parseFloat(text.replace("−", "-"));
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    const [n, m] = [number(x), number(y)];
    if (isNaN(n) !== isNaN(m)) return isNaN(n) ? 1 : -1;
    return (isNaN(n) ? x.localeCompare(y) : n - m) * (ascending ? 1 : -1);
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
}

for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(table, column, ascending);
    });
  });
}
