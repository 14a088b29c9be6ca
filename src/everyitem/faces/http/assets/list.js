// The list of batches: what runs, what waits, what needs a look.

import { api, clock, count, counted, duration, element, everySecond, fill, mayRun, pathOf, rate, say, whoAmI, words }
  from "./common.js";

const body = document.querySelector("#batches tbody");
const filter = document.getElementById("filter");
const more = document.getElementById("more");
const rows = new Map();
let limit = 50;

/** A row, made once and changed from then on: focus and selection stay where they are. */
function rowOf(status) {
  const key = `${status.batchId}@${status.execution}`;
  let row = rows.get(key);
  if (!row) {
    const bar = element("div", { class: "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-label": `Progress of ${status.batchId}` });
    row = {
      bar, state: element("span", { class: "state" }), share: element("small"), note: element("small"),
      cells: Object.fromEntries(["failed", "rate", "left"].map((name) => [name, element("td", { class: "n" })])),
      priority: element("td", { class: "minor" }), when: element("td", { class: "minor soft" }),
    };
    row.cells.failed.dataset.name = "failed";
    row.cells.left.dataset.name = "left";
    row.cells.rate.classList.add("minor");
    row.element = element("tr", {},
      element("td", { class: "name" }, element("a", { href: pathOf(status) }, status.batchId), row.note),
      element("td", {}, row.state), element("td", { class: "bar-cell" }, bar, row.share),
      row.cells.failed, row.cells.rate, row.cells.left, row.priority, row.when);
    rows.set(key, row);
  }
  show(row, status);
  return row.element;
}

function show(row, status) {
  if (row.said && row.said !== status.state) say(`${status.batchId} is ${words(status.state)}`);
  row.said = status.state;
  row.state.className = `state ${status.state}`;
  row.state.textContent = words(status.state);
  const share = fill(row.bar, status);
  row.share.textContent = `${count(status.succeeded + status.failed)} of ${count(status.items)} (${share.toFixed(share < 100 ? 1 : 0)} %)`;
  row.cells.failed.textContent = status.failed ? count(status.failed) : "–";
  row.cells.failed.classList.toggle("failed-some", status.failed > 0);
  row.cells.rate.textContent = status.state === "RUNNING" ? rate(status.ratePerSecond) : "–";
  row.cells.left.classList.toggle("nothing", status.state !== "RUNNING");
  row.cells.failed.classList.toggle("nothing", !status.failed);
  row.cells.left.textContent = status.state === "RUNNING" ? duration(status.etaSeconds) : "–";
  row.priority.textContent = status.priority.toLowerCase();
  row.when.textContent = clock(status.createdAt);
  row.note.textContent = [
    status.execution > 1 ? `execution ${status.execution}` : null,
    status.queuePosition ? `number ${status.queuePosition} in the queue${status.expectedStart ? `, about ${clock(status.expectedStart)}` : ""}` : null,
    status.waitsFor ? `waits: ${status.waitsFor}` : null, status.inDoubt ? `${counted(status.inDoubt, "item")} in doubt` : null,
  ].filter(Boolean).join("; ");
}

/** What runs comes first, then what waits, the next one first; the rest is newest first, as the API says. */
const ACTIVE = ["RUNNING", "QUEUED"];
const urgency = (status) => (ACTIVE.includes(status.state) ? ACTIVE.indexOf(status.state) : ACTIVE.length);

async function look() {
  const [page, health, alerts] = await Promise.all([
    api(`/v1/batches?limit=${limit}`), api("/v1/service"), api("/v1/alerts?standing=true"),
  ]);
  const wanted = filter.value.split(" ").filter(Boolean);
  const shown = page.batches.filter((one) => !wanted.length || wanted.includes(one.state))
    .sort((one, other) => urgency(one) - urgency(other) || (one.queuePosition ?? 0) - (other.queuePosition ?? 0));
  // what runs is shown, however many newer ones have ended since it was handed in
  const active = page.batches.filter((one) => ACTIVE.includes(one.state)).length;
  if (active < health.running + health.waiting && page.nextCursor && limit < 1000) limit = Math.min(1000, limit * 4);
  const elements = shown.map(rowOf);
  elements.forEach((row, number) => {
    if (body.children[number] !== row) body.insertBefore(row, body.children[number] ?? null);
  });
  while (body.childElementCount > elements.length) body.lastElementChild.remove();
  document.getElementById("empty").hidden = page.batches.length > 0;
  document.getElementById("batches").hidden = page.batches.length === 0;
  more.hidden = !page.nextCursor || limit >= 1000;
  document.getElementById("service").textContent =
    `${count(health.running)} running, ${count(health.waiting)} waiting` + (health.obstacles.length ? `: ${health.obstacles.join("; ")}` : "");
  showAlerts(alerts.alerts);
}

function showAlerts(alerts) {
  const place = document.getElementById("alerts");
  place.hidden = !alerts.length;
  const key = JSON.stringify(alerts.map((one) => [one.alertId, one.state, one.text]));
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(...alerts.map((one) => {
    const line = element("div", { class: `alert ${one.level}` },
      element("p", {}, element("b", {}, one.kind.replaceAll("-", " ")), " ", one.execution ? element("a", { href: `/batches/${encodeURIComponent(one.batchId)}` }, one.batchId) : null),
      element("p", { class: "soft" }, one.text));
    if (one.acknowledgedBy) line.append(element("span", { class: "soft" }, `${one.acknowledgedBy} looks after it`));
    else if (mayRun()) {
      const button = element("button", { class: "quiet", "aria-label": `Acknowledge ${one.kind} of ${one.batchId}` }, "I look after it");
      button.addEventListener("click", async () => {
        button.disabled = true;
        try {
          await api(`/v1/alerts/${encodeURIComponent(one.alertId)}/acknowledge`, "POST");
          await look();
        } catch (error) {
          button.disabled = false;
          button.textContent = error.message;
        }
      });
      line.append(button);
    }
    return line;
  }));
}

filter.addEventListener("change", () => look());
more.addEventListener("click", () => { limit = Math.min(1000, limit * 4); look(); });
await whoAmI().catch(() => null);
everySecond(look);
