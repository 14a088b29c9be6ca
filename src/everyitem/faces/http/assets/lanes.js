// A lane for each worker: what it has done second by second, what it is at, and what its node took over.

import { count, counted, duration, element, rate } from "./common.js";
import { place } from "./here.js";

/** Seconds a lane shows, at least and at most. */
const [LEAST, MOST] = [30, 90];
/** Seconds at one item from which on it stands out. */
const LONG = 10;
/** Workers the owner tells of at most. */
const TOLD = 64;

const colours = getComputedStyle(document.documentElement);
const groups = new Map();
const lanes = new Map();
let latest = 0;

export function showLanes(live) {
  const workers = live?.workers ?? [];
  place("workers-section").hidden = !workers.length;
  if (!workers.length) {
    groups.forEach((group) => group.element.remove());
    groups.clear();
    lanes.clear();
    return;
  }
  const at = Date.parse(live.at) / 1000;
  if (at > latest) note(workers, at);
  latest = Math.max(latest, at);
  const nodes = Map.groupBy ? Map.groupBy(workers, (one) => one.node) : byNode(workers);
  for (const [node, group] of groups) {
    if (!nodes.has(node)) {
      group.element.remove();
      groups.delete(node);
    }
  }
  for (const [node, ones] of nodes) showNode(node, ones, live.latestSteals);
  const top = Math.max(1, ...[...lanes.values()].flatMap((lane) => lane.past.map((one) => one.done)));
  const begun = Math.min(latest, ...[...lanes.values()].filter((lane) => lane.past.length).map((lane) => lane.past[0].from));
  const span = Math.min(MOST, Math.max(LEAST, latest - begun));
  for (const lane of lanes.values()) draw(lane, live.latestSteals, top, span);
  place("workers-note").textContent = workers.length >= TOLD ? `the first ${TOLD} of them` : "";
  place("steals-key").hidden = nodes.size < 2;
}

function byNode(workers) {
  const nodes = new Map();
  for (const one of workers) nodes.set(one.node, [...(nodes.get(one.node) ?? []), one]);
  return nodes;
}

/** Take down what each worker did since the last look. */
function note(workers, at) {
  const there = new Set();
  for (const one of workers) {
    const key = `${one.node} ${one.worker}`;
    there.add(key);
    if (!lanes.has(key)) lanes.set(key, { ...newLane(one.worker), past: [], before: null });
    const lane = lanes.get(key);
    lane.node = one.node;
    lane.now = one;
    if (lane.before !== null) {
      const seconds = Math.max(0.2, at - lane.before.at);
      lane.past.push({ at, from: lane.before.at, done: Math.max(0, one.done - lane.before.done) / seconds, busy: one.busySeconds });
    }
    lane.before = { at, done: one.done };
    while (lane.past.length && lane.past[0].at < at - MOST) lane.past.shift();
  }
  for (const [key, lane] of lanes) {
    if (there.has(key)) continue;
    lane.element.remove();
    lanes.delete(key);
  }
}

function newLane(name) {
  const [canvas, at] = [element("canvas", { "aria-hidden": "true" }), element("span", { class: "at" })];
  return { canvas, text: at, element: element("li", { class: "lane" }, element("span", { class: "who" }, name), canvas, at) };
}

function showNode(node, workers, steals) {
  let group = groups.get(node);
  if (!group) {
    const [list, facts] = [element("ul", { class: "lanes", "aria-label": `Workers of ${node}` }), element("small")];
    group = { list, facts, element: element("div", { class: "node" }, element("h3", {}, node, " ", facts), list) };
    groups.set(node, group);
    place("workers").append(group.element);
  }
  let speed = 0;
  workers.forEach((one, number) => {
    const lane = lanes.get(`${node} ${one.worker}`);
    if (group.list.children[number] !== lane.element) group.list.insertBefore(lane.element, group.list.children[number] ?? null);
    speed += lane.past.at(-1)?.done ?? 0;
    const isBusy = one.busySeconds !== null;
    lane.element.className = `lane${isBusy ? (one.busySeconds > LONG ? " long" : "") : " idle"}`;
    lane.text.textContent = isBusy ? `item ${count(one.index)}${one.busySeconds >= 1 ? `, ${duration(one.busySeconds)}` : ""}` : "idle";
    lane.element.title = `${one.worker}: ${count(one.done)} done` + (isBusy ? `, at item ${count(one.index)} for ${duration(one.busySeconds)}` : "");
  });
  const took = steals.filter((one) => one.thief === node).length;
  const gave = steals.filter((one) => one.victim === node).length;
  group.facts.textContent = [
    counted(workers.length, "worker"), `${rate(speed)} items/s`,
    took ? `took work over ${took} ×` : null, gave ? `gave work away ${gave} ×` : null,
  ].filter(Boolean).join(" · ");
}

function draw(lane, steals, top, span) {
  const { canvas } = lane;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  const colour = (name) => colours.getPropertyValue(name).trim();
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = colour("--line");
  pen.fillRect(0, height - 1, width, 1);
  const x = (at) => width - ((latest - at) * width) / span;
  for (const one of lane.past) {
    const [left, right] = [Math.max(0, x(one.from)), x(one.at)];
    if (one.busy !== null) {
      pen.fillStyle = colour(one.busy > LONG ? "--wash-warn" : "--wash-mark");
      pen.fillRect(left, 0, right - left, height);
    }
    if (one.done) {
      const tall = Math.max(2, (one.done / top) * (height - 1));
      pen.fillStyle = colour("--mark");
      pen.fillRect(left, height - tall, Math.max(1, right - left - 0.5), tall);
    }
  }
  for (const steal of steals) {
    const at = x(Date.parse(steal.at) / 1000);
    if (at < 0 || (steal.thief !== lane.node && steal.victim !== lane.node)) continue;
    const took = steal.thief === lane.node;
    pen.fillStyle = colour(took ? "--good" : "--warn");
    // up for who took, down for who gave
    pen.fillRect(at - 0.75, 0, 1.5, height);
    pen.beginPath();
    pen.moveTo(at - 4, took ? 6 : 0);
    pen.lineTo(at + 4, took ? 6 : 0);
    pen.lineTo(at, took ? 0 : 6);
    pen.fill();
  }
}
