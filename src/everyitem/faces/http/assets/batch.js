// One batch: how far it is, how fast, what each worker does, what failed and why, and what may be done about it.

import uPlot from "./uplot.js";
import { api, clock, count, duration, element, everySecond, fill, mayRun, rate, Refused, say, whoAmI, words }
  from "./common.js";

const batchId = decodeURIComponent(location.pathname.split("/")[2]);
const execution = new URLSearchParams(location.search).get("execution");
const path = `/v1/batches/${encodeURIComponent(batchId)}`;
const query = execution ? `?execution=${encodeURIComponent(execution)}` : "";
const get = (what, more = "") => api(`${path}${what}${query || (more ? "?" : "")}${more ? (query ? "&" : "") + more : ""}`);
const place = (id) => document.getElementById(id);

const SHOWN_EVENTS = 200;
/** Seconds of the curves that are kept. */
const KEPT = 900;

// ---------------------------------------------------------------- curves

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();

function chart(where, series, text) {
  const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const made = new uPlot({
    width: where.clientWidth || 300, height: 190, cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(1e-9, high) * 1.1] } },
    axes: [{ ...axis, space: 80, values: (_, ticks) => ticks.map((one) => new Date(one * 1000).toLocaleTimeString("en-GB")) }, { ...axis, size: 56, values: (_, ticks) => ticks.map((one) => (one >= 10000 ? `${one / 1000}k` : `${one}`)) }],
    series: [{}, ...series.map(([label, name, filled]) => ({
      label, stroke: () => colour(name), width: 1.6, points: { show: false }, fill: filled ? () => colour(filled) : undefined,
    }))],
  }, [[], ...series.map(() => [])], where);
  where.setAttribute("role", "img");
  new ResizeObserver(() => made.setSize({ width: where.clientWidth, height: 190 })).observe(where);
  return { show(data) { made.setData(data); where.setAttribute("aria-label", text(data)); } };
}

const last = (values) => values.findLast((value) => value !== null);
const rates = [[], []];
const latencies = [[], [], []];
const rateChart = chart(place("rate"), [["items a second", "--mark", "--wash-mark"]],
  ([, values]) => `Items a second, now ${rate(last(values))}`);
const latencyChart = chart(place("latency"), [["median", "--good"], ["95 %", "--warn"]],
  ([, half, most]) => `Milliseconds an item: median ${last(half) ?? "unknown"}, 95 percent below ${last(most) ?? "unknown"}`);

function keep(columns, ...values) {
  columns.forEach((column, number) => column.push(values[number]));
  const before = values[0] - KEPT;
  while (columns[0].length > 2 && columns[0][0] < before) columns.forEach((column) => column.shift());
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
function drawPast(checkpoints) {
  for (let number = 1; number < checkpoints.length; number += 1) {
    const [from, to] = [checkpoints[number - 1], checkpoints[number]];
    const seconds = (Date.parse(to.createdAt) - Date.parse(from.createdAt)) / 1000;
    if (seconds > 0.2) keep(rates, Date.parse(to.createdAt) / 1000, (to.succeeded + to.failed) / seconds);
  }
  rateChart.show(rates);
}

let before = null;

function drawNow(live) {
  const at = Date.parse(live.at) / 1000;
  if (before && at > before.at) {
    const done = live.succeeded + live.failed - before.done;
    keep(rates, at, Math.max(0, done / (at - before.at)));
    const fresh = live.latency.map((value, number) => value - (before.latency[number] ?? 0));
    keep(latencies, at, quantile(fresh, live.latencyBounds, 0.5), quantile(fresh, live.latencyBounds, 0.95));
    rateChart.show(rates);
    latencyChart.show(latencies);
  }
  if (!before || at > before.at) before = { at, done: live.succeeded + live.failed, latency: live.latency };
}

// ---------------------------------------------------------------- state and figures

let told = null;
let shown = null;

function show(status, live) {
  shown = status;
  document.title = `${words(status.state)}: ${status.batchId}`;
  place("title").textContent = status.batchId;
  place("state").className = `state ${status.state}`;
  place("state").textContent = words(status.state);
  if (told && told !== status.state) say(`${status.batchId} is ${words(status.state)}`);
  told = status.state;
  const facts = place("facts");
  const texts = [
    `item processor ${status.processor}`, `execution ${status.execution}`, status.round > 1 ? `round ${status.round}` : null,
    status.runs > 1 ? `${status.runs} runs` : null, `accepted ${clock(status.createdAt)}`,
    status.submittedBy ? `by ${status.submittedBy}` : null, status.finishedAt ? `ended ${clock(status.finishedAt)}` : null,
    status.queuePosition ? `number ${status.queuePosition} in the queue` : null, status.waitsFor,
  ].filter(Boolean).join(" · ");
  facts.replaceChildren(texts, " · ", element("a", { href: `${path}/report${query}` }, "report"), " · ",
    element("a", { href: `${path}/results${query}`, download: `${batchId}.jsonl` }, "results"),
    ...(status.finishedAt ? [" · ", element("a", { href: `${path}/response${query}` }, "response")] : []));
  const share = fill(place("bar"), status);
  showFigures(status, live, share);
  showWindow(status, live);
  showControls(status);
}

function showFigures(status, live, share) {
  const running = status.state === "RUNNING";
  const figures = [
    ["done", `${share.toFixed(share < 100 ? 1 : 0)} %`], ["succeeded", count(status.succeeded)],
    ["failed", count(status.failed), status.failed > 0], ["open", count(status.open)],
    ["in flight", count(status.inFlight)], ["to be retried", count(status.retriesWaiting)],
    ["items a second", running ? rate(status.ratePerSecond) : "–"], ["time left", running ? duration(status.etaSeconds) : "–"],
    ["slots in use", status.parallelism ?? "–"], ["steals", live ? count(live.steals) : "–"],
    ["retries", live ? count(live.retries) : "–"],
    ...(status.inDoubt ? [["in doubt", count(status.inDoubt), true]] : []),
    ...(status.deferred ? [["deferred", count(status.deferred)]] : []),
  ];
  const list = place("figures");
  if (list.childElementCount !== figures.length) {
    list.replaceChildren(...figures.map(() => element("div", {}, element("dt"), element("dd"))));
  }
  figures.forEach(([name, value, isBad], number) => {
    const [term, text] = list.children[number].children;
    term.textContent = name;
    text.textContent = value;
    list.children[number].className = isBad ? "bad" : "";
  });
}

function showWindow(status, live) {
  const has = live && live.window > 0 && ["RUNNING", "PAUSED"].includes(status.state);
  place("window").hidden = !has;
  if (!has) return;
  const ends = status.etaSeconds === null ? null : live.windowUsed + status.etaSeconds;
  const late = ends !== null && ends > live.window;
  place("window-text").textContent = `${duration(live.windowUsed)} of the time limit of ${duration(live.window)} are used up`
    + (ends === null ? "" : late ? `; at this pace it would take ${duration(ends - live.window)} longer than that` : `; it will probably end after ${duration(ends)}`);
  place("window-text").classList.toggle("bad", late);
  const bar = place("window-bar");
  if (!bar.childElementCount) bar.append(element("i"), element("i"));
  bar.children[0].style.width = `${Math.min(100, (100 * live.windowUsed) / live.window)}%`;
  bar.children[1].className = late ? "bad" : "flight";
  bar.children[1].style.width = `${ends === null ? 0 : Math.min(100, (100 * (ends - live.windowUsed)) / live.window)}%`;
}

function showWorkers(live) {
  const workers = live?.workers ?? [];
  place("workers-section").hidden = !workers.length;
  const lanes = place("workers");
  while (lanes.childElementCount > workers.length) lanes.lastElementChild.remove();
  const longest = Math.max(1, ...workers.map((one) => one.busySeconds ?? 0));
  workers.forEach((one, number) => {
    let lane = lanes.children[number];
    if (!lane) {
      lane = element("div", { class: "lane" }, element("span"), element("b", {}, element("i")), element("span", { class: "soft" }));
      lanes.append(lane);
    }
    const busy = one.busySeconds !== null;
    lane.className = `lane${busy ? (one.busySeconds > 10 ? " long" : "") : " idle"}`;
    lane.children[0].textContent = one.worker;
    lane.querySelector("i").style.width = busy ? `${Math.max(4, (100 * one.busySeconds) / longest)}%` : "0";
    lane.children[2].textContent = busy ? `item ${count(one.index)}` : "idle";
    lane.title = busy
      ? `${one.worker}: at item ${one.index} for ${duration(one.busySeconds)}, ${count(one.done)} done`
      : `${one.worker}: idle, ${count(one.done)} done`;
  });
}

function showTotals(totals) {
  const names = Object.keys(totals);
  place("totals-section").hidden = !names.length;
  place("totals").replaceChildren(...names.map((name) => {
    const sums = totals[name];
    return element("p", { class: "equation" }, element("b", {}, name),
      `: ${sums.input} input = ${sums.succeeded} succeeded + ${sums.failed} failed + ${sums.open} open`);
  }));
}

// ---------------------------------------------------------------- failures

let failuresShown = 20;
let failuresKey = "";

async function showFailures(status) {
  const there = status.failed + status.inDoubt;
  place("failures-section").hidden = !there;
  const key = `${status.failed}/${status.inDoubt}/${status.round}/${failuresShown}`;
  if (!there || key === failuresKey) return;
  failuresKey = key;
  const [causes, failed] = await Promise.all([get("/causes"), get("/failures", `limit=${failuresShown}`)]);
  place("causes").replaceChildren(...causes.causes.slice(0, 20).map((one) =>
    element("li", {}, element("b", {}, count(one.items)), element("span", {}, one.cause))));
  const opened = new Set([...document.querySelectorAll("#failed details[open]")].map((one) => one.dataset.key));
  place("failed").replaceChildren(...failed.failures.map((one) => failedItem(one, opened)));
  place("more-failures").hidden = failed.nextAfter === null || failuresShown >= 1000;
}

function failedItem(one, opened) {
  const details = element("details", { "data-key": one.index },
    element("summary", {}, element("b", {}, one.itemId), element("span", { class: "error" }, `${one.error.type}: ${one.error.message}`),
      element("span", { class: "soft" }, one.status === "IN_DOUBT" ? "in doubt" : `${one.attempts} ${one.attempts === 1 ? "attempt" : "attempts"}`)));
  let filled = false;
  const fillIn = async () => {
    if (filled) return;
    filled = true;
    if (one.status === "IN_DOUBT" && mayRun()) details.append(settlement(one));
    details.append(element("pre", {}, JSON.stringify(one.item, null, 2)));
    try {
      const story = await get(`/items/${encodeURIComponent(one.itemId)}`);
      details.append(element("pre", {}, traceOf(story) || `${one.error.code} ${one.error.type}: ${one.error.message}`));
    } catch (error) {
      details.append(element("p", { class: "bad" }, error.message));
    }
  };
  details.addEventListener("toggle", () => { if (details.open) fillIn(); });
  if (opened.has(String(one.index))) details.open = true;
  return details;
}

/** What a person may say of an item in doubt. */
function settlement(one) {
  const group = element("p", { class: "controls", role: "group", "aria-label": `What became of ${one.itemId}` });
  for (const [decision, text] of [["succeeded", "It succeeded"], ["failed", "It failed"], ["again", "Run it again"]]) {
    const button = element("button", {}, text);
    button.addEventListener("click", async () => {
      const field = element("input", { type: "text", "aria-label": "Why", placeholder: "why, for the record" });
      const reason = await ask(`${text}: ${one.itemId}`, "It may have been called, and nobody knows what came of it. What you say is recorded.", text, field);
      if (reason !== null) await act("POST", `/items/${encodeURIComponent(one.itemId)}/settle`, { decision, reason }, "settled");
    });
    group.append(button);
  }
  return group;
}

/** The attempts of an item: what was raised, where, and what it logged. */
function traceOf(story) {
  return (story.attempts ?? []).map((one) => {
    const frames = (one.frames ?? []).map((frame) => `    ${frame.file}:${frame.line} in ${frame.function}`);
    const logs = (one.logs ?? []).map((log) => `    ${log.level ?? ""} ${log.message ?? JSON.stringify(log)}`);
    const error = one.error ? `${one.error.code} ${one.error.type}: ${one.error.message}` : "succeeded";
    return [`round ${one.round}, attempt ${one.attempt}: ${error}`, ...frames, ...logs].join("\n");
  }).join("\n");
}

place("more-failures").addEventListener("click", () => { failuresShown = Math.min(1000, failuresShown * 4); });

// ---------------------------------------------------------------- events, history, checkpoints

const entries = [];
let eventsAfter = 0;

function tell(at, text) {
  entries.push([at, text]);
  entries.sort((one, other) => (one[0] < other[0] ? 1 : -1));
  entries.splice(SHOWN_EVENTS);
}

const ACTIONS = { submit: "handed in", pause: "paused", resume: "resumed", cancel: "cancelled", redrive: "redriven", rerun: "rerun",
  priority: "given another priority", parallelism: "given another parallelism", settle: "item settled", resources: "given other nodes" };

function eventText(event) {
  const data = event.data;
  switch (event.type) {
    case "CheckpointCreated":
      return `checkpoint ${data.sequence}: ${count(data.itemsSuccessful)} succeeded, ${count(data.itemsFailed)} failed`;
    case "BatchStarted":
      return `run ${data.run} begins, with ${data.processor}`;
    case "ResourcesChanged":
      return `${data.slots} slots in use, before that ${data.slotsBefore}`;
    case "BatchDeadlineAtRisk":
      return `the time limit will probably not do: ${duration(data.windowUsedSeconds)} of ${duration(data.windowSeconds)} are used up`;
    case "BatchExecuted":
      return `executed: ${count(data.result.executionResults.itemsSuccessful)} succeeded, ${count(data.result.executionResults.itemsFailed)} failed`;
    case "ExecutionFailed":
      return `failed: ${data.errorCode}, ${data.errorMessage}`;
    default:
      return event.type;
  }
}

let deedsTold = 0;

async function showStory() {
  const [events, history] = await Promise.all([get("/events", `after=${eventsAfter}&without=ItemFailed&without=BatchProgressed`), get("/history")]);
  for (const event of events.events) {
    tell(event.time, eventText(event));
    eventsAfter = event.sequence;
  }
  for (const deed of history.deeds.slice(deedsTold)) {
    const detail = Object.keys(deed.detail ?? {}).length ? ` (${Object.entries(deed.detail).map(([key, value]) => `${key} ${value}`).join(", ")})` : "";
    tell(deed.at, `${ACTIONS[deed.action] ?? deed.action} by ${deed.actor}${detail}`);
  }
  const changed = events.events.length > 0 || history.deeds.length > deedsTold;
  deedsTold = history.deeds.length;
  if (changed) {
    place("events").replaceChildren(...entries.map(([at, text]) =>
      element("li", {}, element("time", { datetime: at }, clock(at)), element("span", {}, text))));
  }
}

let checkpointsShown = -1;

async function showCheckpoints(status) {
  if (status.checkpoints === checkpointsShown) return;
  const found = (await get("/checkpoints")).checkpoints;
  if (checkpointsShown === -1) drawPast(found);
  checkpointsShown = status.checkpoints;
  place("checkpoints").tBodies[0].replaceChildren(...found.slice(-12).reverse().map((one) => element("tr", {},
    element("td", { class: "n" }, one.sequence), element("td", {}, clock(one.createdAt)),
    element("td", { class: "n" }, count(one.succeeded)), element("td", { class: "n" }, count(one.failed)),
    element("td", { class: "hash", title: one.digest }, one.digest.slice(0, 12)))));
}

// ---------------------------------------------------------------- control

const dialog = place("dialog");

/** Ask before something is done; resolves to what was answered, null where it was left. */
function ask(title, text, yes, field = null) {
  place("dialog-title").textContent = title;
  place("dialog-text").textContent = text;
  place("dialog-yes").textContent = yes;
  place("dialog-field").replaceChildren(...(field ? [field] : []));
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? field?.value ?? "" : null), { once: true });
  });
}

async function act(method, what, body, text) {
  try {
    await api(`${path}${what}${query}`, method, body);
    say(text);
    if (what === "/rerun") location.assign(`/batches/${encodeURIComponent(batchId)}`);
    await look();
  } catch (error) {
    await ask("That was not done", error.message, "All right");
  }
}

const ENDED = ["COMPLETED", "COMPLETED_WITH_ERRORS"];
const ACTIVE = ["RUNNING", "QUEUED"];
let controlsKey = "";

function showControls(status) {
  const key = `${status.state}/${status.failed > 0}/${status.priority}/${mayRun()}`;
  if (key === controlsKey) return;
  controlsKey = key;
  const made = [];
  const button = (text, danger, what) => {
    const one = element("button", { class: danger ? "danger" : "" }, text);
    one.addEventListener("click", what);
    made.push(one);
  };
  if (mayRun()) {
    if (ACTIVE.includes(status.state)) {
      button("Pause", false, () => act("POST", "/pause", undefined, "paused"));
      button("Cancel", true, async () => {
        if (await ask(`Cancel ${batchId}?`, "Items in flight finish, nothing new starts. It can be resumed.", "Cancel it") !== null) {
          await act("POST", "/cancel", undefined, "cancelled");
        }
      });
      limits(status).forEach((one) => made.push(one));
    }
    if (["PAUSED", "INTERRUPTED", "FAILED", "CANCELLED"].includes(status.state)) {
      button("Resume", false, () => act("POST", "/resume", undefined, "resumed"));
    }
    if (ENDED.includes(status.state)) {
      if (status.failed) button("Redrive failed items", false, redrive);
      button("Run again", true, async () => {
        if (await ask(`Run ${batchId} again?`, "All items run once more, as the next execution; this one stays as it is.", "Run it again") !== null) {
          await act("POST", "/rerun", undefined, "run again");
        }
      });
    }
  }
  place("controls").replaceChildren(...made);
}

function limits(status) {
  const priority = element("select", {}, ...["LOW", "NORMAL", "HIGH", "CRITICAL"].map((one) =>
    element("option", { value: one, selected: one === status.priority }, one.toLowerCase())));
  priority.addEventListener("change", () => act("PATCH", "/priority", { priority: priority.value }, `priority ${priority.value}`));
  const slots = element("input", { type: "number", min: 1, max: 100000, value: status.parallelismLimit ?? status.parallelism ?? "", placeholder: "auto" });
  slots.addEventListener("change", () => {
    if (slots.checkValidity() && slots.value) act("PATCH", "/resources", { parallelism: Number(slots.value) }, `at most ${slots.value} at once`);
  });
  return [element("label", {}, "Priority", priority), element("label", {}, "At once", slots)];
}

async function redrive() {
  const field = element("input", { type: "text", placeholder: "all of them", "aria-label": "Only failures that contain this text" });
  const text = await ask(`Redrive ${count(shown.failed)} failed items?`,
    "They run again with a fresh retry budget. Only those whose failure contains a text, if you give one:", "Redrive", field);
  if (text !== null) await act("POST", "/redrive", text ? { error: text } : undefined, "redriven");
}

// ---------------------------------------------------------------- looking

async function look() {
  const [status, live] = await Promise.all([get(""), get("/live")]);
  show(status, live.at ? live : null);
  showWorkers(status.state === "RUNNING" ? live : null);
  showTotals(status.controlTotals);
  if (live.at && status.state === "RUNNING") drawNow(live);
  // what was before this page was opened is known of the rate alone
  place("latency").parentElement.hidden = status.state !== "RUNNING" && !latencies[0].length;
  await Promise.all([showFailures(status), showStory(), showCheckpoints(status)]);
}

place("title").textContent = batchId;
await whoAmI().catch(() => null);
everySecond(async () => {
  try {
    await look();
  } catch (error) {
    if (error instanceof Refused && error.status === 404) place("facts").textContent = `There is no batch ${batchId}.`;
    throw error;
  }
});
