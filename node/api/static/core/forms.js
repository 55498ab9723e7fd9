// Forms for one operation. Owns how fields are drawn, read and checked, and how a write is shown.
// A field is { name, kind, label, … }; what it holds becomes the property `name` of the body.
import { DocumentLink } from "./documents.js";
import { html, useEffect, useState } from "./html.js";
import { mayWrite } from "./api.js";
import { Form } from "./entry.js";
import { named, t } from "./language.js";
import { digits, toMajor, toMinor } from "./money.js";
import { parties, self } from "./registry.js";
import { place } from "./router.js";
import { Store, useStore } from "./store.js";
import { Badge, Dialog, Failure, Hash, Notice } from "./ui.js";
import { ENDED, attempt, forget, send, writes } from "./writes.js";

let counter = 0;

export function newId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

// One field with its label; `error` is what the node or the form says of it.
export function Field({ label, hint, error, children, id, wide }) {
  return html`<div class="field ${wide ? "wide" : ""} ${error ? "wrong" : ""}">
    <label for=${id}>${label}</label>${children}
    ${hint && html`<small>${hint}</small>`}${error && html`<small class="error" role="alert">${error}</small>`}
  </div>`;
}

export function Input({ field, value, change, error, prefix, currency }) {
  const id = `${prefix}-${field.name}`;
  const common = {
    id, name: field.name, required: field.required ?? false, value: value ?? "",
    "aria-invalid": error ? "true" : undefined, autocomplete: "off",
    // A choice is told by "change": not every way of choosing sends "input".
    [["choice", "party"].includes(field.kind) ? "onChange" : "onInput"]: (event) => change(event.target.value),
  };
  const controls = {
    text: () => html`<input type="text" maxlength=${field.most ?? 256} placeholder=${field.placeholder} ...${common} />`,
    area: () => html`<textarea rows="3" maxlength=${field.most ?? 2_000} ...${common}></textarea>`,
    amount: () => html`<input type="text" inputmode="decimal" class="right" placeholder=${digits(currency) ? `0.${"0".repeat(digits(currency))}` : "0"} ...${common} />`,
    integer: () => html`<input type="number" step="1" min=${field.min ?? 0} max=${field.max} ...${common} />`,
    date: () => html`<input type="date" ...${common} />`,
    time: () => html`<input type="datetime-local" step="1" ...${common} />`,
    month: () => html`<input type="text" inputmode="numeric" placeholder="2026-01" pattern="[0-9]{4}-(0[1-9]|1[0-2])" ...${common} />`,
    check: () => html`<input type="checkbox" id=${id} name=${field.name} checked=${value === true} onChange=${(event) => change(event.target.checked)} />`,
    several: () => html`<div role="group" id=${id} class="several">${field.options.map(([key, label]) => html`<label key=${key}><input type="checkbox" checked=${(value || []).includes(key)}
      onChange=${() => change((value || []).includes(key) ? value.filter((one) => one !== key) : [...(value || []), key])} /> ${label}</label>`)}</div>`,
    choice: () => html`<select ...${common}>${!value && html`<option value="">${t("ui.choose")}</option>`}
      ${field.options.map(([key, label]) => html`<option key=${key} value=${key} selected=${String(key) === String(value)}>${label}</option>`)}</select>`,
    party: () => html`<${PartyInput} field=${field} common=${common} value=${value} change=${change} />`,
  };
  const label = field.kind === "amount" ? `${field.label} (${currency})` : field.label;
  return html`<${Field} id=${id} label=${label} hint=${field.hint} error=${error} wide=${field.wide}>${controls[field.kind]()}<//>`;
}

// A participant from the list, or, where `key` is allowed, a bare public key.
function PartyInput({ field, common, value, change }) {
  const [typed, setTyped] = useState(false);
  const me = self.value?.participant;
  const choices = [...parties.value.values()]
    .filter((party) => (!field.role || party.roles.includes(field.role)) && (field.self || party.id !== me));
  if (typed) {
    return html`<div class="joined"><input type="text" pattern="[0-9a-f]{64}|[0-9A-Z]{18}" maxlength="64" placeholder=${t("form.key")} ...${common} onInput=${common.onChange} />
      <button type="button" class="plain" onClick=${() => { setTyped(false); change(""); }}>${t("form.list")}</button></div>`;
  }
  return html`<div class="joined"><select ...${common}>${html`<option value="">${t("ui.choose")}</option>`}
    ${field.claim && html`<option value="claim" selected=${value === "claim"}>${t("form.claim")}</option>`}
    ${choices.map((party) => html`<option key=${party.id} value=${party.id} selected=${party.id === value}>${party.name}</option>`)}</select>
    ${field.key && html`<button type="button" class="plain" onClick=${() => { setTyped(true); change(""); }}>${t("form.bare")}</button>`}</div>`;
}

// The body that the fields hold, and what is wrong with them by name.
export function readFields(fields, values, currency) {
  const body = {};
  const wrong = {};
  for (const field of fields) {
    const value = values[field.name];
    if (field.kind === "check") {
      body[field.name] = value === true;
      continue;
    }
    if (field.kind === "several") {
      if (value?.length) body[field.name] = value;
      else if (field.required) wrong[field.name] = t("form.required");
      continue;
    }
    const text = String(value ?? "").trim();
    if (text === "") {
      if (field.required) wrong[field.name] = t("form.required");
      continue;
    }
    if (field.kind === "amount") {
      const amount = toMinor(text, currency);
      if (amount === null) wrong[field.name] = t("form.amount", { places: digits(currency) });
      else if (field.max !== undefined && amount > BigInt(field.max)) {
        wrong[field.name] = t("form.most", { most: toMajor(field.max, currency) });
      } else body[field.name] = Number(amount); // below 2^53: the ledger's amounts end at 10^15
    } else if (field.kind === "integer") body[field.name] = Number.parseInt(text, 10);
    else if (field.kind === "time") body[field.name] = new Date(text).toISOString();
    else if (field.kind === "choice" && field.integer) body[field.name] = Number.parseInt(text, 10);
    else body[field.name] = text;
  }
  return { body, wrong };
}

// The problem's field errors by the name of the field.
export function fieldErrors(error) {
  const found = {};
  for (const item of error?.body?.errors ?? []) found[item.path.split("/")[1]] ??= item.message;
  return found;
}

// One operation: fields, a button, and the way of its write.
export function ActionForm({ title, path, fields = [], currency = "CNY", initial = {}, hint, danger, make, done, label, scope = "operate" }) {
  const [values, setValues] = useState(() => ({
    ...Object.fromEntries(fields.map((field) => [field.name, field.initial ?? ""])), ...initial,
  }));
  const [wrong, setWrong] = useState({});
  const [entry, setEntry] = useState(null);
  const [prefix] = useState(() => newId("form"));
  useStore(writes);
  const busy = entry !== null && !ENDED.includes(entry.state) && entry.state !== "unknown";

  const submit = async () => {
    const read = readFields(fields, values, currency);
    setWrong(read.wrong);
    if (Object.keys(read.wrong).length > 0) return;
    const target = typeof path === "function" ? path(read.body) : path;
    const sent = send(title, target, make ? make(read.body) : read.body);
    setEntry(writes.value[0]);
    const result = await sent;
    setWrong(fieldErrors(result.error));
    if (result.state === "final") done?.(result);
  };

  return html`<${Form} name="action">
    ${hint && html`<p class="hint">${hint}</p>`}
    <div class="fields">${fields.map((field) => html`<${Input} key=${field.name} field=${field} value=${values[field.name]} error=${wrong[field.name]} prefix=${prefix} currency=${currency}
      change=${(value) => setValues((old) => ({ ...old, [field.name]: value }))} />`)}</div>
    ${entry && html`<${WriteState} entry=${entry} />`}
    <div class="buttons"><button type="button" data-send class=${danger ? "danger" : "primary"} onClick=${submit} disabled=${busy || !mayWrite(scope) || entry?.state === "final"}>${label ?? title}</button></div>
    ${!mayWrite(scope) && html`<p class="hint">${t(scope === "admin" ? "session.admin_only" : "session.read_only")}</p>`}
  <//>`;
}

// How far a write is.
export function WriteState({ entry }) {
  const steps = ["pending", "committed", "final"];
  const reached = steps.indexOf(entry.state);
  return html`<div class="write" role="status">
    <ol class="steps">${steps.map((step, position) => html`<li key=${step} class=${position <= reached ? "done" : ""}>${t(`write.${step}`)}</li>`)}</ol>
    ${reached < 0 && html`<${Badge} group="write" value=${entry.state} />`}
    ${entry.number && html`<span><${DocumentLink} number=${entry.number} titled /></span>`}
    ${entry.claimKey && html`<span>${t("wallet.claim_key")} <${Hash} value=${entry.claimKey} length=${16} /></span>`}
    ${entry.transaction && html`<span>${t("transaction.one")} <${Hash} value=${entry.transaction} href="/transactions/${entry.transaction}" copy=${false} /></span>`}
    ${entry.error && html`<${Failure} error=${entry.error} />`}
    ${entry.state === "unknown" && html`<p>${t("write.unknown_hint")} <button type="button" onClick=${() => attempt(entry)}>${t("ui.again")}</button></p>`}
  </div>`;
}

// The operation whose form is open, in a window above the page: the row it was opened from may go
// while the write is on its way, and the window must not go with it.
const opened = new Store(null);

// Buttons, each of which opens its form. actions: props of ActionForm with an `id`.
export function Actions({ actions, done, small }) {
  if (actions.length === 0) return null;
  return html`<div class="actions">${actions.map((action) => html`
    <button key=${action.id} type="button" data-action=${action.id} class="${action.danger ? "danger-outline" : action.primary ? "primary" : ""} ${small ? "small" : ""}"
      onClick=${() => opened.set({ action, done, key: newId("window") })}>${action.short ?? action.title}</button>`)}</div>`;
}

export function ActionWindow() {
  const open = useStore(opened);
  const where = useStore(place);
  useEffect(() => opened.set(null), [where.path]);
  if (!open) return null;
  const form = open.action.form ?? ActionForm;
  return html`<${Dialog} key=${open.key} title=${open.action.title} close=${() => opened.set(null)}>${open.action.about && html`<p class="about">${open.action.about}</p>`}<${form} ...${open.action} done=${open.done} /><//>`;
}

// The writes of this visit, in a corner of every page.
export function Activity() {
  const entries = useStore(writes);
  const [shown, setShown] = useState(false);
  if (entries.length === 0) return null;
  const open = entries.filter((entry) => !ENDED.includes(entry.state)).length;
  return html`<aside class="activity" aria-label=${t("write.activity")}>
    <button type="button" aria-expanded=${shown} onClick=${() => setShown(!shown)}>${t("write.activity")} <span class="count">${open ? `${open} / ` : ""}${entries.length}</span></button>
    ${shown && html`<ul>${entries.map((entry) => html`<li key=${entry.id}>
      <div><strong>${entry.title}</strong> <${Badge} group="write" value=${entry.state} /></div>
      <div class="faint">${entry.number && html`<${DocumentLink} number=${entry.number} /> `}${entry.transaction && html`<${Hash} value=${entry.transaction} href="/transactions/${entry.transaction}" copy=${false} /> `}
        ${entry.error?.code && html`<code>${entry.error.code}</code> `}
        ${entry.state === "unknown" && html`<button type="button" class="small" onClick=${() => attempt(entry)}>${t("ui.again")}</button> `}
        ${ENDED.includes(entry.state) && html`<button type="button" class="plain small" onClick=${() => forget(entry)}>${t("ui.dismiss")}</button>`}</div>
    </li>`)}</ul>`}
  </aside>`;
}

// A notice in place of a desk whose role this node's participant does not have.
export function NeedsRole({ role }) {
  if (self.value?.roles.includes(role)) return null;
  return html`<${Notice}>${t("desk.role", { role: named("role", role) })}<//>`;
}
