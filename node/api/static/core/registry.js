// What every page needs to name things: the participants, the codes' texts, and who this node is.
import { get, getAll } from "./api.js";
import { Store } from "./store.js";

export const parties = new Store(new Map());
export const texts = new Store(new Map());
export const keys = new Store([]); // bare keys of this node's wallet, in hex, oldest first
export const self = new Store(null); // { node, participant, roles, network_id, version }

// `loads`: what the pages of domains read before the first of them is drawn.
export async function loadRegistry(loads) {
  const [codes, participants, status] = await Promise.all([
    get("/v1/codes"),
    getAll("/v1/participants", "participants"),
    get("/v1/status"),
    ...loads.map((load) => load()),
  ]);
  texts.set(new Map(codes.codes.map((code) => [code.name, code])));
  parties.set(new Map(participants.rows.map((row) => [row.id, row])));
  self.set(status);
}

export function withRole(role) {
  return [...parties.value.values()].filter((party) => party.roles.includes(role));
}

export function have(role) {
  return self.value?.roles.includes(role) ?? false;
}
