// What both pages need: the API, texts of numbers and times, elements.

const numbers = new Intl.NumberFormat("en");
let session = null;

/** Who is here, and what a changing request has to carry. */
export async function whoAmI() {
  session = await api("/v1/session");
  const place = document.getElementById("caller");
  place.textContent = `${session.name} (${session.scope})`;
  if (session.csrfToken) {
    const leave = element("button", { class: "quiet" }, "Log out");
    leave.addEventListener("click", async () => {
      await api("/v1/session", "DELETE");
      location.assign("/login");
    });
    place.append(" ", leave);
  }
  return session;
}

export const mayRun = () => session !== null && session.scope !== "read";

export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.errors?.map((one) => one.message).join("; ") || problem?.detail || `the server answered ${status}`);
    this.status = status;
  }
}

/** Ask the API; the decoded answer. Throws `Refused`, and whatever `fetch` does when nobody answers. */
export async function api(path, method = "GET", body = undefined) {
  const headers = { Accept: "application/json" };
  if (method !== "GET" && session?.csrfToken) headers["X-CSRF-Token"] = session.csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
  });
  if (answer.status === 401) location.assign("/login");
  const text = await answer.text();
  const value = text && (answer.headers.get("Content-Type") ?? "").includes("json") ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

/** Seconds between two looks: no more than one, or there would be less than one new state a second. */
const PERIOD = 0.9;
/** The same where nobody sees it, and at most while nobody answers. */
const REST = 5;

/** Do something again and again, and say so while the server does not answer. */
export function everySecond(what) {
  const trouble = document.getElementById("trouble");
  let wrong = 0;
  const turn = async () => {
    let rest = PERIOD;
    const began = performance.now();
    try {
      await what();
      wrong = 0;
      trouble.hidden = true;
    } catch (error) {
      wrong += 1;
      rest = Math.min(REST, wrong);
      trouble.textContent = error instanceof Refused
        ? error.message
        : "The server does not answer. What is shown is as of before; this page goes on trying.";
      trouble.hidden = false;
    }
    const passed = performance.now() - began;
    // an answer that took long is no reason to ask at once
    setTimeout(turn, document.hidden ? REST * 1000 : Math.max(rest * 1000 - passed, 200));
  };
  turn();
}

/** Tell who listens to the page instead of looking at it. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const count = (value) => numbers.format(value);

/** "1 item", "2 items". */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

export function rate(value) {
  if (!value) return "–";
  return value >= 100 ? numbers.format(Math.round(value)) : value.toFixed(value >= 10 ? 0 : 1);
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export function clock(text) {
  if (!text) return "–";
  const when = new Date(text);
  const today = when.toDateString() === new Date().toDateString();
  const time = when.toLocaleTimeString("en-GB");
  return today ? time : `${when.toLocaleDateString("en-CA")} ${time.slice(0, 5)}`;
}

export const words = (state) => state.toLowerCase().replaceAll("_", " ");

/** Fill a progress bar: succeeded, failed, and in flight, of all items. */
export function fill(bar, status) {
  const whole = Math.max(1, status.items);
  const parts = [["good", status.succeeded], ["bad", status.failed], ["flight", status.inFlight ?? 0]];
  if (bar.childElementCount !== parts.length) bar.replaceChildren(...parts.map(([name]) => element("i", { class: name })));
  parts.forEach(([, value], number) => { bar.children[number].style.width = `${(100 * value) / whole}%`; });
  const share = (100 * (status.succeeded + status.failed)) / whole;
  bar.setAttribute("aria-valuenow", share.toFixed(1));
  bar.setAttribute("aria-valuetext",
    `${count(status.succeeded)} succeeded and ${count(status.failed)} failed of ${count(status.items)} items`);
  return share;
}

export const pathOf = (status) =>
  `/batches/${encodeURIComponent(status.batchId)}${status.execution > 1 ? `?execution=${status.execution}` : ""}`;
