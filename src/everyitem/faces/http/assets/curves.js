// Items a second, and milliseconds an item, as long as the page is open; before that, what checkpoints tell.

import uPlot from "./uplot.js";
import { rate } from "./common.js";
import { place } from "./here.js";

/** Seconds of the curves that are kept. */
const KEPT = 900;
/** Seconds without a point after which the curve has a gap: it was paused, or the page could not look. */
const GAP = 5;
const HEIGHT = 170;
/** Distances, in seconds, the times below a curve may have. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const short = (value) => (value >= 10000 ? `${value / 1000}k` : `${value}`);
const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

function chart(where, series, text) {
  const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const made = new uPlot({
    width: where.clientWidth || 300, height: HEIGHT, cursor: { show: false }, legend: { show: false }, padding: [8, 28, 0, 0],
    scales: { y: { range: (_, low, high) => [0, Math.max(1e-9, high) * 1.1] } },
    axes: [
      { ...axis, size: 26, space: 80, incrs: STEPS, values: (_, ticks) => ticks.map(time) },
      { ...axis, size: 48, values: (_, ticks) => ticks.map(short) },
    ],
    series: [{}, ...series.map(([name, filled]) => ({
      // a point tells of the time since the one before it
      paths: uPlot.paths.stepped({ align: -1 }),
      stroke: () => colour(name), width: 1.6, points: { show: false }, fill: filled ? () => colour(filled) : undefined,
    }))],
  }, [[], ...series.map(() => [])], where);
  where.setAttribute("role", "img");
  const draw = (data) => {
    made.setData(data);
    where.setAttribute("aria-label", text(data));
  };
  new ResizeObserver(() => made.setSize({ width: where.clientWidth, height: HEIGHT })).observe(where);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.redraw());
  return draw;
}

const last = (values) => values.findLast((value) => value !== null);
const inWords = (value) => (value === undefined ? "–" : `${value >= 10 ? Math.round(value) : value}`);
const rates = [[], []];
const latencies = [[], [], []];
const drawRates = chart(place("rate"), [["--mark", "--wash-mark"]],
  ([, values]) => `Items a second, now ${rate(last(values))}`);
const drawLatencies = chart(place("latency"), [["--good"], ["--warn"]],
  ([, half, most]) => `Milliseconds an item: median ${last(half) ?? "unknown"}, 95 percent below ${last(most) ?? "unknown"}`);

function keep(columns, ...values) {
  columns.forEach((column, number) => column.push(values[number]));
  const before = values[0] - KEPT;
  while (columns[0].length > 2 && columns[0][0] < before) columns.forEach((column) => column.shift());
}

function leaveGap(columns, at) {
  if (columns[0].length && at - columns[0].at(-1) > GAP) keep(columns, at, ...columns.slice(1).map(() => null));
}

/** Where a share of the attempts between two looks lies, in milliseconds, from counts in classes. */
function quantile(classes, bounds, share) {
  const whole = classes.reduce((sum, one) => sum + one, 0);
  if (!whole) return null;
  let seen = 0;
  for (let number = 0; number < classes.length; number += 1) {
    if (classes[number] && seen + classes[number] >= share * whole) {
      const low = number ? bounds[number - 1] : 0;
      const high = bounds[number] ?? bounds[bounds.length - 1] * 2;
      const within = (share * whole - seen) / classes[number];
      return Math.round((low + (high - low) * within) * 100000) / 100;
    }
    seen += classes[number];
  }
  return null;
}

/** The curve before this page was opened: between checkpoints. */
export function drawPast(checkpoints) {
  for (let number = 1; number < checkpoints.length; number += 1) {
    const [from, to] = [checkpoints[number - 1], checkpoints[number]];
    const seconds = (Date.parse(to.createdAt) - Date.parse(from.createdAt)) / 1000;
    if (seconds > 0.2) keep(rates, Date.parse(to.createdAt) / 1000, (to.succeeded + to.failed) / seconds);
  }
  drawRates(rates);
  place("rate-section").hidden = rates[0].length < 2;
}

let before = null;

/** One more point, from what the owner told last; `live` is null where nothing runs. */
export function drawNow(live) {
  if (live) {
    const at = Date.parse(live.at) / 1000;
    if (before && at > before.at) {
      const done = live.succeeded + live.failed - before.done;
      keep(rates, at, Math.max(0, done / (at - before.at)));
      const fresh = live.latency.map((value, number) => value - (before.latency[number] ?? 0));
      keep(latencies, at, quantile(fresh, live.latencyBounds, 0.5), quantile(fresh, live.latencyBounds, 0.95));
      drawRates(rates);
      drawLatencies(latencies);
    }
    if (!before) for (const columns of [rates, latencies]) leaveGap(columns, at);
    if (!before || at > before.at) before = { at, done: live.succeeded + live.failed, latency: live.latency };
  } else before = null;
  place("rate-section").hidden = !live && rates[0].length < 2;
  place("latency-section").hidden = !live && latencies[0].length < 2;
  place("rate-now").textContent = live ? rate(last(rates[1])) : "";
  place("half-now").textContent = inWords(last(latencies[1]));
  place("most-now").textContent = inWords(last(latencies[2]));
}
