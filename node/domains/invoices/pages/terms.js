// The terms of the network's rules, and the bare keys of this node: read once, before any page of invoices.
import { get } from "../core/api.js";
import { keys } from "../core/registry.js";
import { Store } from "../core/store.js";

export const terms = new Store(null); // milliseconds

export async function load() {
  const [found, wallet] = await Promise.all([get("/v1/terms"), get("/v1/wallet/keys")]);
  keys.set(wallet.keys);
  terms.set(found);
}
