// Which batch this page is about, and how its part of the API is asked.

import { api } from "./common.js";

export const batchId = decodeURIComponent(location.pathname.split("/")[2]);
const execution = new URLSearchParams(location.search).get("execution");

/** Where the batch is in the API, and what chooses the execution, to be put behind it. */
export const path = `/v1/batches/${encodeURIComponent(batchId)}`;
export const query = execution ? `?execution=${encodeURIComponent(execution)}` : "";

export const place = (id) => document.getElementById(id);

/** Ask for something of the batch; `parameters` is a query without its question mark. */
export function get(what, parameters = "") {
  const joint = parameters && (query ? "&" : "?");
  return api(`${path}${what}${query}${joint}${parameters}`);
}
