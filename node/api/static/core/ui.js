// Small parts that every page is made of. Owns their form; knows no page and asks nothing.
import { Problem, Unreachable } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { language, named, t, tag } from "./language.js";
import { format } from "./money.js";
import { keys, parties, texts } from "./registry.js";

export function Loading() {
  return html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${t("ui.loading")}</p>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children ?? t("ui.empty")}</p>`;
}

export function Notice({ kind = "info", children }) {
  return html`<div class="notice ${kind}" role="note">${children}</div>`;
}

// What a code means, in the language of the page first and the other after it.
export function CodeText({ code }) {
  const found = texts.value.get(code);
  if (!found) return null;
  const [first, second] = language.value === "zh" ? ["zh", "en"] : ["en", "zh"];
  return html`<span lang=${first}>${found[first]}</span> <span class="other" lang=${second}>${found[second]}</span>`;
}

// A problem as the node told it: its stable code, its meaning in both languages, and the details.
export function Failure({ error, retry }) {
  const unreachable = error instanceof Unreachable;
  const known = error instanceof Problem;
  const detail = known ? error.body.detail : error.message;
  return html`
    <div class="problem" role="alert">
      <p><strong class="code">${known ? error.code : unreachable ? "UNREACHABLE" : "ERROR"}</strong>${" "}
        ${unreachable ? t("ui.unreachable") : known && html`<${CodeText} code=${error.code} />`}</p>
      ${detail && !unreachable && detail !== error.code && html`<p class="detail">${detail}</p>`}
      ${known && error.body.errors?.length > 0 && html`
        <ul>${error.body.errors.map((item) => html`<li key=${item.path}><code>${item.path}</code> ${item.message}</li>`)}</ul>`}
      ${known && error.body.transaction && html`
        <p><a href="/transactions/${error.body.transaction}">${t("transaction.one")}</a></p>`}
      ${retry && html`<button type="button" onClick=${retry}>${t("ui.again")}</button>`}
    </div>`;
}

const TONES = {
  good: "issued accepted deemed_accepted final active carried confirmed ok leader connected reimbursed applied",
  wait: "pending committed sending requested received partly_accepted offered unknown partly_credited locked follower observer candidate none",
  bad: "refused expired failed rejected disputed cancelled suspended retired revoked withdrawn frozen credited lost",
};

export function Badge({ group, value, children }) {
  const tone = Object.keys(TONES).find((name) => TONES[name].split(" ").includes(value)) ?? "plain";
  return html`<span class="badge ${tone}">${children ?? named(group, value)}</span>`;
}

export function Amount({ value, currency, strong }) {
  return html`<span class="amount ${strong ? "strong" : ""}">${format(value, currency)}</span>`;
}

export function Time({ value, day = false }) {
  if (!value) return html`<span class="faint">–</span>`;
  const moment = new Date(value);
  const form = day ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "medium" };
  const text = new Intl.DateTimeFormat(tag(), form).format(moment);
  return html`<time datetime=${value} title="${value} (UTC)">${text}</time>`;
}

export function number(value) {
  return new Intl.NumberFormat(tag()).format(value);
}

// A hash or key, shortened; the whole is copied by its button.
export function Hash({ value, href, length = 12, copy = true }) {
  if (!value) return html`<span class="faint">–</span>`;
  const short = value.length > length + 4 ? `${value.slice(0, length)}…` : value;
  const text = html`<code class="hash" title=${value}>${short}</code>`;
  const whole = short === value; // it breaks where the screen ends
  return html`<span class=${whole ? "" : "nowrap"}>${href ? html`<a href=${href}>${text}</a>` : text}${copy && html`<${Copy} value=${value} />`}</span>`;
}

export function Copy({ value }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setDone(true);
      setTimeout(() => setDone(false), 1_500);
    } catch {
      // Forbidden: the whole value can still be read in the title and selected.
    }
  };
  return html`<button type="button" class="copy" onClick=${copy} aria-label=${t("ui.copy")} title=${t("ui.copy")}>${done ? "✓" : html`<svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5"><rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 3V2.5h-8v8H3" /></svg>`}</button>`;
}

// A participant by name, a bare key by its first characters.
export function Party({ id, you }) {
  if (!id) return html`<span class="faint">–</span>`;
  const known = parties.value.get(id);
  if (!known) {
    const own = keys.value.includes(id);
    return html`<span class="party"><${Hash} value=${id} copy=${false} />${own && html` <span class="you">${t("ui.you")}</span>`}</span>`;
  }
  return html`<span class="party" title=${id}>${known.name}${you === id && html` <span class="you">${t("ui.you")}</span>`}</span>`;
}

const titled = (label) => label.charAt(0).toUpperCase() + label.slice(1);

// columns: { label, cell(row), right, wide }
// A tab's label with how many rows it has; `more`: the node has others, which are not shown.
export const counted = (label, rows, more) => `${label} (${rows.length}${more ? "+" : ""})`;

// Says that a desk shows the newest rows only.
export function Newest({ more, count }) {
  return more ? html`<${Notice} kind="warn"><span data-newest>${t("desk.newest", { count })}</span><//>` : null;
}

export function Table({ columns, rows, name, empty, id = (row, position) => position }) {
  if (rows.length === 0) return html`<${Empty}>${empty}<//>`;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${name}>
      <table class=${columns.length > 2 ? "stack" : ""}>
        <thead><tr>${columns.map((column) => html`<th key=${column.label} scope="col" class="${column.right ? "right" : ""} ${column.label === "#" ? "tiny" : ""}">${column.label}</th>`)}</tr></thead>
        <tbody>${rows.map((row, position) => html`
          <tr key=${id(row, position)}>${columns.map((column) => html`<td key=${column.label} data-label=${titled(column.label)} class="${column.right ? "right" : ""} ${column.wide ? "wide" : ""}">${column.cell(row, position)}</td>`)}</tr>`)}
        </tbody>
      </table>
    </div>`;
}

// rows: [label, value] pairs; those without a value are left out.
export function Facts({ rows }) {
  return html`<dl class="facts">${rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([label, value]) => html`
    <div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function Section({ title, aside, children, id }) {
  return html`<section class="card" id=${id}><header><h2>${title}</h2>${aside && html`<div class="aside">${aside}</div>`}</header>${children}</section>`;
}

export function Heading({ title, children, sub }) {
  useEffect(() => {
    document.title = `${title} · Piaolian 票链`;
  }, [title]);
  return html`<div class="heading"><div><h1>${title}</h1>${sub && html`<p class="sub">${sub}</p>`}</div><div class="aside">${children}</div></div>`;
}

// tabs: [key, label] pairs; the one shown stands in the address.
export function Tabs({ tabs, shown, choose, name }) {
  return html`<nav class="tabs" aria-label=${name}>${tabs.map(([key, label]) => html`
    <button key=${key} type="button" aria-current=${key === shown ? "page" : undefined} onClick=${() => choose(key)}>${label}</button>`)}</nav>`;
}

// A modal window: the browser's own, which holds the focus and closes by Escape.
export function Dialog({ title, close, children }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.showModal();
  }, []);
  return html`
    <dialog ref=${element} onClose=${close} aria-labelledby="dialog-title">
      <header><h2 id="dialog-title">${title}</h2>
        <button type="button" class="plain" onClick=${() => element.current.close()} aria-label=${t("ui.close")}>✕</button></header>
      ${children}
    </dialog>`;
}
