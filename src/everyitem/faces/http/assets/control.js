// What may be done about a batch, and the dialog that asks first.

import { api, counted, element, mayRun, say } from "./common.js";
import { batchId, path, place, query } from "./here.js";

const ENDED = ["COMPLETED", "COMPLETED_WITH_ERRORS"];
const ACTIVE = ["RUNNING", "QUEUED"];
const STOPPED = ["PAUSED", "INTERRUPTED", "FAILED", "CANCELLED"];

const dialog = place("dialog");
let afterwards = async () => {};
let shown = "";

/** Say what is to be looked at again once something was done. */
export function whenDone(what) {
  afterwards = what;
}

/** Ask before something is done; resolves to what was answered, null where it was left. */
export function ask(title, text, yes, field = null) {
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

export async function act(method, what, body, text) {
  try {
    await api(`${path}${what}${query}`, method, body);
    say(text);
    if (what === "/rerun") location.assign(`/batches/${encodeURIComponent(batchId)}`);
    await afterwards();
  } catch (error) {
    await ask("That was not done", error.message, "All right");
  }
}

export function showControls(status) {
  const key = `${status.state}/${status.failed > 0}/${status.priority}/${mayRun()}`;
  if (key === shown) return;
  shown = key;
  place("controls").replaceChildren(...(mayRun() ? controls(status) : []));
}

function controls(status) {
  const made = [];
  if (ACTIVE.includes(status.state)) {
    made.push(...limits(status), button("Pause", () => act("POST", "/pause", undefined, "paused")), button("Cancel", cancel, "danger"));
  }
  if (STOPPED.includes(status.state)) made.push(button("Resume", () => act("POST", "/resume", undefined, "resumed"), "first"));
  if (status.state === "PAUSED") made.push(button("Cancel", cancel, "danger"));
  if (ENDED.includes(status.state)) {
    if (status.failed) made.push(button("Redrive failed items", () => redrive(status.failed), "first"));
    made.push(button("Run again", rerun));
  }
  return made;
}

function button(text, what, kind = "") {
  const made = element("button", { class: kind }, text);
  made.addEventListener("click", what);
  return made;
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

async function cancel() {
  const answer = await ask(`Cancel ${batchId}?`, "Items in flight finish, nothing new starts. It can be resumed.", "Cancel it");
  if (answer !== null) await act("POST", "/cancel", undefined, "cancelled");
}

async function rerun() {
  const answer = await ask(`Run ${batchId} again?`, "All items run once more, as the next execution; this one stays as it is.", "Run it again");
  if (answer !== null) await act("POST", "/rerun", undefined, "run again");
}

async function redrive(failed) {
  const field = element("input", { type: "text", placeholder: "all of them", "aria-label": "Only failures that contain this text" });
  const text = await ask(`Redrive ${counted(failed, "failed item")}?`,
    "They run again with a fresh retry budget. Only those whose failure contains a text, if you give one:", "Redrive", field);
  if (text !== null) await act("POST", "/redrive", text ? { error: text } : undefined, "redriven");
}
