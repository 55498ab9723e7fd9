// Writes and what became of them. A write shows what the node said and nothing earlier: pending when
// it is on this node's disk, committed when the voters agreed on its place, final when enough of them
// signed. Owns the list of recent ones, so that none is lost by going to another page.
import { Problem, Unreachable, get, newKey, post } from "./api.js";
import { Store } from "./store.js";

const KEPT_MAX = 20;
const WAIT_S = 30;
const PAUSE_MS = 2_000;
export const ENDED = ["final", "refused", "expired", "failed"];

export const writes = new Store([]);
let last = 0;

function put(entry, change) {
  Object.assign(entry, change);
  writes.set([entry, ...writes.value.filter((other) => other !== entry)]
    .sort((a, b) => b.id - a.id).slice(0, KEPT_MAX));
}

export function forget(entry) {
  writes.set(writes.value.filter((other) => other !== entry));
}

// Send a write and follow it to its end; resolves with its entry. The key makes sending it again
// safe: the node answers the same request the same.
export async function send(title, path, body) {
  last += 1;
  const entry = { id: last, title, path, body, key: newKey(), state: "sending" };
  put(entry, {});
  await attempt(entry);
  return entry;
}

export async function attempt(entry) {
  put(entry, { state: "sending", error: null });
  try {
    const answer = await post(entry.path, entry.body, entry.key);
    put(entry, {
      state: answer.state, transaction: answer.transaction,
      number: answer.number, numbers: answer.numbers, claimKey: answer.claim_key,
    });
    await follow(entry);
  } catch (error) {
    end(entry, error);
  }
}

async function follow(entry) {
  for (const until of ["committed", "final"]) {
    while (!ENDED.includes(entry.state) && (until === "final" || entry.state === "pending")) {
      const status = await patiently(entry, until);
      if (status.code === "OK" || !["refused", "expired"].includes(status.state)) {
        put(entry, { state: status.state, height: status.height });
      } else {
        const code = status.state === "expired" ? "EXPIRED" : status.code;
        put(entry, { state: status.state, height: status.height, error: problem(status, code) });
      }
    }
  }
  if (entry.state === "final" && (entry.number || entry.numbers)) {
    // An order that has an invoice already is answered with its first number, known only now.
    const answer = await post(`${entry.path}?wait=final`, entry.body, entry.key);
    put(entry, { number: answer.number, numbers: answer.numbers });
  }
}

function problem(status, code) {
  return new Problem(409, { code, height: status.height, operation: status.operation });
}

// The status once it is as far as `until`, over interruptions of the connection.
async function patiently(entry, until) {
  for (;;) {
    try {
      const query = { wait: until, timeout_s: WAIT_S };
      const status = await get(`/v1/transactions/${entry.transaction}`, query);
      if (entry.error) put(entry, { error: null });
      return status;
    } catch (error) {
      const passing = error instanceof Unreachable || [429, 503].includes(error.status);
      if (!passing) throw error;
      put(entry, { error });
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

function end(entry, error) {
  if (error instanceof Problem && !entry.transaction) {
    const refused = error.status === 409 || error.status === 400 || error.status === 422;
    put(entry, { state: refused ? "refused" : "failed", error });
  } else if (error instanceof Problem && error.status === 409) {
    put(entry, { state: "refused", error });
  } else {
    put(entry, { state: "unknown", error });
  }
}
