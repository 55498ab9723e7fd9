// The public API of this node, as any local program sees it; the cookie stands for the token.
import { Store } from "./store.js";

// What may be asked: null while unknown; scope null: not signed in.
export const session = new Store(null);

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.code || `HTTP ${status}`);
    this.status = status;
    this.body = body;
    this.code = body.code ?? `HTTP_${status}`;
  }
}

// Nobody answered: of a write it is not known whether it was stored.
export class Unreachable extends Error {}

async function ask(method, path, { body, headers = {}, signal } = {}) {
  const sent = { ...headers };
  if (method !== "GET") sent["X-Piaolian-Page"] = "1";
  if (body !== undefined) sent["Content-Type"] ??= "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method, signal, headers: sent, credentials: "same-origin",
      body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
  const kind = answer.headers.get("Content-Type") ?? "";
  const value = kind.includes("json") ? await answer.json() : await answer.text();
  if (answer.ok) return value;
  if (answer.status === 401) session.set({ scope: null, ended: true });
  throw new Problem(answer.status, typeof value === "string" ? { detail: value } : value);
}

export function get(path, query = {}, signal = undefined) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(set).toString();
  return ask("GET", search ? `${path}?${search}` : path, { signal });
}

export function post(path, body, key) {
  return ask("POST", path, { body: body ?? {}, headers: { "Idempotency-Key": key } });
}

// A file as it is; `type` says what it is.
export function send(path, file, type) {
  return ask("POST", path, { body: file, headers: { "Content-Type": type } });
}

export async function loadSession() {
  session.set(await get("/v1/session"));
}

export async function signOut() {
  await ask("DELETE", "/v1/session");
  session.set({ scope: null });
}

// Whether this session's scope includes that of a write.
export function mayWrite(needed = "operate") {
  const scopes = ["read", "operate", "admin"];
  return scopes.indexOf(session.value?.scope) >= scopes.indexOf(needed);
}

// All rows of a register or list, page by page, up to `most`: what is beyond is said, not hidden.
export async function getAll(path, field, query = {}, most = 1_000, signal = undefined) {
  const rows = [];
  let cursor;
  do {
    const page = await get(path, { ...query, limit: 200, cursor }, signal);
    rows.push(...page[field]);
    cursor = page.next_cursor;
  } while (cursor && rows.length < most);
  return { rows, more: Boolean(cursor) };
}

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
