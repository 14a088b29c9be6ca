// One batch: how far it is, how fast, what each worker does, what failed and why, and what may be done about it.

import { clock, count, duration, element, everySecond, fill, rate, Refused, say, whoAmI, words } from "./common.js";
import { showControls, whenDone } from "./control.js";
import { drawNow } from "./curves.js";
import { showFailures } from "./failures.js";
import { batchId, get, path, place, query } from "./here.js";
import { showLanes } from "./lanes.js";
import { showCheckpoints, showStory } from "./story.js";

let told = null;
let factsShown = "";

function showState(status) {
  document.title = `${words(status.state)}: ${status.batchId}`;
  place("state").className = `state ${status.state}`;
  place("state").textContent = words(status.state);
  if (told && told !== status.state) say(`${status.batchId} is ${words(status.state)}`);
  told = status.state;
}

function showFacts(status) {
  const text = [
    `item processor ${status.processor}`, `execution ${status.execution}`, status.round > 1 ? `round ${status.round}` : null,
    status.runs > 1 ? `${status.runs} runs` : null, `accepted ${clock(status.createdAt)}`,
    status.submittedBy ? `by ${status.submittedBy}` : null, status.finishedAt ? `ended ${clock(status.finishedAt)}` : null,
    status.queuePosition ? `number ${status.queuePosition} in the queue` : null,
    status.queuePosition && status.expectedStart ? `starts about ${clock(status.expectedStart)}` : null,
    status.waitsFor ? `waits: ${status.waitsFor}` : null,
  ].filter(Boolean).join(" · ");
  if (text === factsShown) return;
  factsShown = text;
  place("facts").textContent = text;
  place("links").replaceChildren(
    " · ", element("a", { href: `${path}/report${query}` }, "report"), " · ",
    element("a", { href: `${path}/results${query}`, download: `${batchId}.jsonl` }, "results"),
    ...(status.finishedAt ? [" · ", element("a", { href: `${path}/response${query}` }, "response")] : []),
    ...others(status).flatMap(([name, href]) => [" · ", element("a", { href }, name)]));
}

/** Links to the other executions of the batch: the one before this, and back to the latest. */
function others(status) {
  const here = location.pathname;
  return [
    ...(status.execution > 1 ? [["execution before this", `${here}?execution=${status.execution - 1}`]] : []),
    ...(query ? [["latest execution", here]] : []),
  ];
}

function showProgress(status, live) {
  const share = fill(place("bar"), status);
  const done = status.succeeded + status.failed;
  place("done").textContent = `${count(done)} of ${count(status.items)} items`;
  place("share").textContent = `${share.toFixed(share < 100 ? 1 : 0)} %`;
  const running = status.state === "RUNNING";
  place("left").textContent = running && status.etaSeconds !== null ? `about ${duration(status.etaSeconds)} left` : "";
  showFigures([
    ["succeeded", count(status.succeeded)], ["failed", count(status.failed), status.failed ? "bad" : ""],
    ...(status.open || running ? [["open", count(status.open)]] : []),
    ...(running ? [["in flight", count(status.inFlight)], ["to retry", count(status.retriesWaiting)], ["items/s", rate(status.ratePerSecond)]] : []),
    ...(status.inDoubt ? [["in doubt", count(status.inDoubt), "bad"]] : []),
    ...(status.deferred ? [["deferred", count(status.deferred)]] : []),
    ...(live ? [["retries", count(live.retries)], ["steals", count(live.steals)]] : []),
    running ? ["slots in use", status.parallelism ?? "–"] : ["checkpoints", count(status.checkpoints)],
  ]);
}

function showFigures(figures) {
  const list = place("figures");
  if (list.childElementCount !== figures.length) {
    list.replaceChildren(...figures.map(() => element("div", {}, element("dt"), element("dd"))));
  }
  figures.forEach(([name, value, kind], number) => {
    const [term, text] = list.children[number].children;
    term.textContent = name;
    text.textContent = value;
    list.children[number].className = kind ?? "";
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

function showTotals(totals) {
  const names = Object.keys(totals);
  place("totals-section").hidden = !names.length;
  const amount = (text) => element("td", { class: "n" }, text.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ",")));
  place("totals").tBodies[0].replaceChildren(...names.map((name) => {
    const sums = totals[name];
    return element("tr", {}, element("th", { scope: "row" }, name), ...["input", "succeeded", "failed", "open"].map((one) => amount(sums[one])));
  }));
}

async function look() {
  const [status, told] = await Promise.all([get(""), get("/live")]);
  const live = told.at ? told : null;
  const now = status.state === "RUNNING" ? live : null;
  showState(status);
  showFacts(status);
  showProgress(status, live);
  showWindow(status, live);
  showControls(status);
  showLanes(now);
  showTotals(status.controlTotals);
  drawNow(now);
  await Promise.all([showFailures(status, live), showStory(status, live), showCheckpoints(status)]);
  place("page").hidden = false;
}

place("title").textContent = batchId;
whenDone(look);
await whoAmI().catch(() => null);
everySecond(async () => {
  try {
    await look();
  } catch (error) {
    if (error instanceof Refused && error.status === 404) place("facts").textContent = `There is no batch ${batchId}.`;
    throw error;
  }
});
