// Plots of the tables of this page. The tables are the numbers: a page without scripts lacks only the plots.
"use strict";
(() => {
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plots = [];

  function read(table, columns) {
    const rows = [...table.tBodies[0].rows];
    const number = (cell) => {
      const text = cell.dataset.value ?? cell.textContent.replace(/[^\d.-]/g, "");
      return text === "" ? null : Number(text); // a gap for what is unknown
    };
    const at = rows.map((row) => Number((row.cells[0].querySelector("[data-at]") ?? row.cells[0]).dataset.at));
    return [at, ...columns.map((column) => rows.map((row) => number(row.cells[column - 1])))];
  }

  function draw(figure) {
    const table = document.getElementById(figure.dataset.plot);
    const columns = figure.dataset.columns.split(" ").map(Number);
    const head = table.tHead.rows[0].cells;
    const zone = figure.dataset.zone;
    const inks = ["--first", "--second"];
    const axis = { stroke: color("--text"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const title = (column) => head[column - 1].textContent + (head[column - 1].dataset.unit ? ` (${head[column - 1].dataset.unit})` : "");
    const named = (options) => {
      const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
      return (seconds) => (seconds == null ? "" : format.format(new Date(seconds * 1000)));
    };
    const day = { day: "numeric", month: "short" };
    const hour = figure.dataset.step === "hour" ? { hour: "2-digit", minute: "2-digit" } : {};
    const width = Math.max(240, figure.clientWidth - 26); // without padding and border
    const data = read(table, columns);
    const [at] = data;
    const isDense = at.length > width / 8; // then outlines and large points would hide the numbers
    const isLong = at[at.length - 1] - at[0] > 300 * 86400; // then a day and a month would name two moments
    const edge = (low, high) => (high - low || 86400) / (2 * Math.max(1, table.tBodies[0].rows.length - 1)); // half a bar
    const onAxis = zone && named(isLong ? { month: "short", year: "numeric" } : { ...day, ...hour });
    const inLegend = zone && named({ ...day, year: "numeric", ...hour });
    const bars = zone ? uPlot.paths.bars({ size: [isDense ? 1 : 0.7, 40, 1] }) : undefined;
    figure.replaceChildren();
    return new uPlot({
      width,
      height: 260,
      tzDate: zone ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone) : undefined,
      scales: { x: { time: Boolean(zone), range: (_, low, high) => (zone ? [low - edge(low, high), high + edge(low, high)] : [low, high]) }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1e-3)] } },
      axes: [zone ? { ...axis, values: (_, at) => at.map(onAxis), space: hour.hour ? 110 : 70 } : axis, { ...axis, size: 60 }],
      series: [
        { label: zone ? "Time" : "Second", value: zone ? (_, at) => inLegend(at) : undefined },
        ...columns.map((column, index) => ({
          label: title(column),
          stroke: color(inks[index]),
          fill: index === 0 ? color(inks[0]) + (zone ? "99" : "33") : undefined,
          width: zone && isDense && index === 0 ? 0 : 2,
          paths: index === 0 ? bars : () => null, // steps without a view have no row, so that a line would be wrong
          points: isDense ? { show: index > 0, size: 3, width: 0, fill: color(inks[index]) } : { show: index > 0 },
        })),
      ],
    }, data, figure);
  }

  function drawAll() {
    for (const plot of plots.splice(0)) plot.destroy();
    for (const figure of document.querySelectorAll("[data-plot]")) {
      figure.hidden = false; // a hidden one has no width
      plots.push(draw(figure));
    }
  }

  if (document.querySelector("[data-plot]")) drawAll();
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(drawAll, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
  });
  matchMedia("print").addEventListener("change", drawAll);
})();
