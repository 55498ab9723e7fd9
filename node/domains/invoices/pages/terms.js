// The terms of the network's rules, and the bare keys of this node: read once, before any page of invoices.
import { get } from "../core/api.js";
import { keys } from "../core/registry.js";
import { Store } from "../core/store.js";

export const terms = new Store(null); // milliseconds, but for utc_offset_minutes

// When the days from one to another (YYYY-MM-DD, "" for no bound) begin and are over, by the network's clock, in UTC.
export function boundsOf(first, last) {
  const start = (day, later) => {
    const [year, month, date] = day.split("-").map(Number);
    return new Date(Date.UTC(year, month - 1, date + later) - terms.value.utc_offset_minutes * 60_000).toISOString();
  };
  return { from: first && start(first, 0), to: last && start(last, 1) };
}

// The newest months as YYYY-MM, by the network's clock, this one first.
export function monthsBack(count) {
  const now = new Date(Date.now() + terms.value.utc_offset_minutes * 60_000);
  return [...Array(count).keys()].map((back) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7));
}

// First second of a month and of the next one, in UTC, as a field for times holds them.
export function monthBounds(month) {
  const [year, number] = month.split("-").map(Number);
  const next = new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 10);
  const at = (day) => boundsOf(day, "").from.slice(0, 19);
  return { start: at(`${month}-01`), end: at(next) };
}

export async function load() {
  const [found, wallet] = await Promise.all([get("/v1/terms"), get("/v1/wallet/keys")]);
  keys.set(wallet.keys);
  terms.set(found);
}
