// What happened: what the execution told, who did what, who took work over from whom; and the checkpoints.

import { clock, count, counted, duration, element } from "./common.js";
import { drawPast } from "./curves.js";
import { get, place } from "./here.js";

const SHOWN = 200;
const SHOWN_CHECKPOINTS = 12;
/** What has a place of its own on the page, or is too frequent to be read. */
const WITHOUT = "without=ItemFailed&without=BatchProgressed&without=CheckpointCreated";

const ACTIONS = { submit: "handed in", pause: "paused", resume: "resumed", cancel: "cancelled", redrive: "redriven", rerun: "rerun",
  priority: "given another priority", parallelism: "given another parallelism", settle: "item settled", resources: "given other nodes" };

const entries = [];
let eventsAfter = 0;
let deedsTold = 0;
let stealsTold = null;
let turn = 0;
let stateTold = null;

/** Every other look will do, unless it is known that something happened. */
export async function showStory(status, live) {
  turn += 1;
  const isQuiet = stateTold === status.state && stealsTold === (live?.steals ?? stealsTold);
  if (isQuiet && turn % 2) return;
  stateTold = status.state;
  const [events, history] = await Promise.all([get("/events", `after=${eventsAfter}&${WITHOUT}`), get("/history")]);
  let isNew = tellSteals(live);
  for (const event of events.events) {
    tell(event.time, eventText(event));
    eventsAfter = event.sequence;
    isNew = true;
  }
  for (const deed of history.deeds.slice(deedsTold)) {
    const detail = Object.entries(deed.detail ?? {}).map(([key, value]) => `${key} ${value}`).join(", ");
    tell(deed.at, `${ACTIONS[deed.action] ?? deed.action} by ${deed.actor}${detail ? ` (${detail})` : ""}`);
    isNew = true;
  }
  deedsTold = history.deeds.length;
  if (isNew) draw();
}

/** The owner tells the latest few and how many there were: which of them are new. */
function tellSteals(live) {
  if (!live) return false;
  const { steals, latestSteals } = live;
  const told = stealsTold ?? steals - latestSteals.length;
  const fresh = steals > told ? latestSteals.slice(-(steals - told)) : [];
  for (const one of fresh) tell(one.at, `${one.thief} took ${counted(one.items, "item")} over from ${one.victim}`);
  stealsTold = steals;
  return fresh.length > 0;
}

function tell(at, text) {
  entries.push([at, text]);
  entries.sort((one, other) => (one[0] < other[0] ? 1 : -1));
  entries.splice(SHOWN);
}

function draw() {
  place("events").replaceChildren(...entries.map(([at, text]) =>
    element("li", {}, element("time", { datetime: at }, clock(at)), element("span", {}, text))));
}

function eventText(event) {
  const data = event.data;
  switch (event.type) {
    case "BatchStarted":
      return `run ${data.run} begins, with ${data.processor}`;
    case "ResourcesChanged":
      return `${counted(data.slots, "slot")} in use, before that ${data.slotsBefore}`;
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

let checkpointsShown = -1;

export async function showCheckpoints(status) {
  if (status.checkpoints === checkpointsShown) return;
  const found = (await get("/checkpoints")).checkpoints;
  if (checkpointsShown === -1) drawPast(found);
  checkpointsShown = status.checkpoints;
  place("checkpoints-empty").hidden = found.length > 0;
  place("checkpoints").hidden = found.length === 0;
  place("checkpoints").tBodies[0].replaceChildren(...found.slice(-SHOWN_CHECKPOINTS).reverse().map((one) => element("tr", {},
    element("td", { class: "n" }, count(one.sequence)), element("td", {}, clock(one.createdAt)),
    element("td", { class: "n" }, count(one.succeeded)), element("td", { class: `n${one.failed ? " bad" : ""}` }, one.failed ? count(one.failed) : "–"),
    element("td", { class: "hash", title: one.digest }, one.digest.slice(0, 12)))));
}
