// What fails and why: causes with their items and retries while they happen, and the failed items themselves.

import { count, counted, element, mayRun } from "./common.js";
import { act, ask } from "./control.js";
import { get, place } from "./here.js";

/** Milliseconds between two looks at the list of failed items of a batch that runs. */
const PATIENCE = 3000;
const SHOWN_CAUSES = 12;

let shown = 10;
let seen = { key: "", at: 0 };
let items = new Map();
let allCauses = false;

export async function showFailures(status, live) {
  const there = status.failed + status.inDoubt;
  const isRunning = status.state === "RUNNING";
  // the owner knows of retries, too; what earlier runs saw fail only the record knows
  const knows = live && (isRunning || live.causes.reduce((sum, one) => sum + one.failed, 0) === status.failed);
  const causes = knows ? live.causes : [];
  place("failures-section").hidden = !there && !causes.length;
  place("failures-title").textContent = status.failed ? "Failures" : there ? "In doubt" : "Retries";
  if (knows) {
    const part = status.runs > 1 || status.round > 1;
    showCauses(causes.map((one) => ({ ...one, more: 0 })), isRunning && part ? "of this run" : "");
  }
  const key = `${status.state}/${status.failed}/${status.inDoubt}/${status.round}/${shown}`;
  const isEarly = isRunning && items.size && Date.now() < seen.at + PATIENCE;
  if (!there) items = show(new Map());
  if (!there || key === seen.key || isEarly) return;
  seen = { key, at: Date.now() };
  const asked = [get("/failures", `limit=${shown}`), ...(knows ? [] : [get("/causes", "alike=true")])];
  const [failed, recorded] = await Promise.all(asked);
  if (recorded) showCauses(recorded.causes.map((one) => ({ cause: one.cause, failed: one.items, retried: 0, more: one.causes - 1 })), "");
  items = show(new Map(failed.failures.map((one) => [`${one.index}/${one.status}/${status.round}`, one])));
  place("more-failures").hidden = failed.nextAfter === null || shown >= 1000;
}

function showCauses(causes, note) {
  const retried = causes.some((one) => one.retried);
  const top = Math.max(1, ...causes.map((one) => one.failed + one.retried));
  const table = place("causes");
  table.hidden = !causes.length;
  place("causes-note").textContent = note;
  place("retried-head").hidden = !retried;
  const body = table.tBodies[0];
  const visible = causes.slice(0, allCauses ? 100 : SHOWN_CAUSES);
  while (body.rows.length > visible.length) body.lastElementChild.remove();
  visible.forEach((one, number) => {
    const row = body.rows[number] ?? body.appendChild(element("tr", {}, element("td", { class: "n" }), element("td", { class: "n" }),
      element("td", { class: "cause" }, element("span"), element("b", { class: "share", "aria-hidden": "true" }, element("i", { class: "bad" }), element("i", { class: "warn" })))));
    row.cells[0].textContent = one.failed ? count(one.failed) : "–";
    row.cells[0].classList.toggle("bad", one.failed > 0);
    row.cells[1].textContent = one.retried ? count(one.retried) : "–";
    row.cells[1].classList.toggle("warn", one.retried > 0);
    row.cells[1].hidden = !retried;
    const [text, share] = row.cells[2].children;
    text.textContent = one.cause + (one.more ? ` (and ${count(one.more)} more messages like it)` : "");
    share.children[0].style.width = `${(100 * one.failed) / top}%`;
    share.children[1].style.width = `${(100 * one.retried) / top}%`;
  });
  const more = causes.length - visible.length;
  place("more-causes").hidden = more <= 0;
  place("more-causes").textContent = `Show ${count(more)} more causes`;
}

/** The list of failed items: who was there before stays as it is, open or with the keyboard's focus. */
function show(wanted) {
  const list = place("failed");
  const kept = new Map();
  let number = 0;
  for (const [key, one] of wanted) {
    const made = items.get(key) ?? failedItem(one);
    kept.set(key, made);
    if (list.children[number] !== made) list.insertBefore(made, list.children[number] ?? null);
    number += 1;
  }
  while (list.childElementCount > number) list.lastElementChild.remove();
  return kept;
}

function failedItem(one) {
  const state = one.status === "IN_DOUBT" ? "in doubt" : counted(one.attempts, "attempt");
  const details = element("details", {},
    element("summary", {}, element("b", {}, one.itemId), element("span", { class: "error" }, `${one.error.type}: ${one.error.message}`),
      element("span", { class: "soft" }, state)));
  details.addEventListener("toggle", () => fillIn(details, one), { once: true });
  return details;
}

async function fillIn(details, one) {
  if (one.status === "IN_DOUBT" && mayRun()) details.append(settlement(one));
  details.append(element("h4", {}, "Payload"), element("pre", { tabindex: 0 }, JSON.stringify(one.item, null, 2)), element("h4", {}, "Attempts"));
  try {
    const story = await get(`/items/${encodeURIComponent(one.itemId)}`);
    details.append(element("pre", { tabindex: 0 }, traceOf(story) || `${one.error.code} ${one.error.type}: ${one.error.message}`));
  } catch (error) {
    details.append(element("p", { class: "bad" }, error.message));
  }
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
    const causes = (one.causes ?? []).map((cause) => `    from ${cause}`);
    const logs = (one.logs ?? []).map((log) => `    ${log.level ?? ""} ${log.message ?? JSON.stringify(log)}`);
    const error = one.error ? `${one.error.code} ${one.error.type}: ${one.error.message}` : "succeeded";
    const excused = one.excused ? " (used up no retry)" : "";
    return [`round ${one.round}, attempt ${one.attempt}${excused}: ${error}`, ...frames, ...causes, ...logs].join("\n");
  }).join("\n");
}

place("more-failures").addEventListener("click", () => {
  shown = Math.min(1000, shown * 4);
  seen = { key: "", at: 0 };
});
place("more-causes").addEventListener("click", () => {
  allCauses = true;
  seen = { key: "", at: 0 };
});
