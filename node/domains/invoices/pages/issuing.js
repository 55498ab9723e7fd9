// The form of an invoice: parties, lines, and the totals that they come to while one types. It issues
// only what was reviewed: the node says what it would be, and the review's button sends that.
import { mayWrite, newKey, post } from "../core/api.js";
import { Form } from "../core/entry.js";
import { html, useEffect, useRef, useState } from "../core/html.js";
import { Input, WriteState, fieldErrors, newId, readFields } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { format, netOf, percent, taxOf, toMajor, toMinor } from "../core/money.js";
import { parties, self } from "../core/registry.js";
import { useStore } from "../core/store.js";
import { Failure, Notice, Section } from "../core/ui.js";
import { ENDED, send, writes } from "../core/writes.js";
import { Review } from "./review.js";

const CURRENCIES = ["CNY", "HKD", "EUR", "GBP", "JPY", "USD"];
const LINES_MAX = 200; // more come by import

function blankLine(rate) {
  return { description: "", model: "", unit: "", quantity: "1", unit_price: "", net: "", rate: String(rate ?? ""), typed: false };
}

function freshOrder() {
  const now = new Date();
  const part = (value) => String(value).padStart(2, "0");
  return `SO-${now.getFullYear()}${part(now.getMonth() + 1)}${part(now.getDate())}-${part(now.getHours())}${part(now.getMinutes())}${part(now.getSeconds())}`;
}

const HEAD = () => [
  { name: "buyer", kind: "party", key: true, claim: true, label: t("invoice.buyer"), required: true },
  { name: "order_id", kind: "text", label: t("field.order"), required: true, most: 128, hint: t("hint.order") },
  { name: "kind", kind: "choice", label: t("invoice.kind"), options: ["ordinary", "special"].map((kind) => [kind, named("kind", kind)]) },
  { name: "currency", kind: "choice", label: t("field.currency"), options: CURRENCIES.map((code) => [code, code]) },
  { name: "issue_date", kind: "date", label: t("invoice.date"), hint: t("hint.today") },
];
const MORE = () => [
  { name: "buyer_name", kind: "text", label: t("issue.buyer_name"), most: 200 },
  { name: "external_number", kind: "text", label: t("details.external_number"), most: 64 },
  { name: "due_date", kind: "date", label: t("details.due_date") },
  { name: "order_reference", kind: "text", label: t("details.order_reference"), most: 200 },
  { name: "remarks", kind: "area", label: t("details.remarks"), most: 2_000, wide: true },
];

// Net of a line: as typed, or quantity × unit price.
function netOfLine(line, currency) {
  if (line.typed) return toMinor(line.net, currency);
  return netOf(line.quantity, line.unit_price, 0n, currency);
}

// Sums by rate in ascending order: each line's tax is rounded by itself, as the node does.
export function sumsOf(lines, currency) {
  const sums = new Map();
  for (const line of lines) {
    const net = netOfLine(line, currency);
    if (net === null || line.rate === "") continue;
    const rate = Number(line.rate);
    const before = sums.get(rate) ?? { rate, net: 0n, tax: 0n };
    sums.set(rate, { rate, net: before.net + net, tax: before.tax + taxOf(net, rate) });
  }
  return [...sums.values()].sort((a, b) => a.rate - b.rate);
}

export function IssueForm({ rates, done }) {
  const first = rates.length === 1 ? rates[0] : ""; // which rate applies is for a person to say
  const [values, setValues] = useState(() => ({ kind: "ordinary", currency: "CNY", order_id: freshOrder() }));
  const [lines, setLines] = useState(() => [blankLine(first)]);
  const [wrong, setWrong] = useState({});
  const [entry, setEntry] = useState(null);
  const [review, setReview] = useState(null);
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState(null);
  const [prefix] = useState(() => newId("issue"));
  const added = useRef(false);
  useStore(writes);
  useEffect(() => {
    if (added.current) document.getElementById(`${prefix}-description-${lines.length - 1}`)?.focus();
    added.current = false;
  }, [lines.length]);
  const currency = values.currency;
  const sums = sumsOf(lines, currency);
  const total = (name) => sums.reduce((sum, row) => sum + row[name], 0n);
  const busy = entry !== null && !ENDED.includes(entry.state) && entry.state !== "unknown";
  const setLine = (position, change) => setLines((old) => old.map((line, at) => (at === position ? { ...line, ...change } : line)));
  const input = (field) => html`<${Input} key=${field.name} field=${field} value=${values[field.name]} error=${wrong[field.name]} prefix=${prefix} currency=${currency} change=${(value) => setValues((old) => ({ ...old, [field.name]: value }))} />`;

  const add = () => {
    added.current = true;
    setLines([...lines, blankLine(lines.at(-1).rate)]);
  };
  // Enter at the end of the last line begins another, unless that line is still empty.
  const beyond = (field) => {
    const last = lines.length - 1;
    if (field.id !== `${prefix}-rate-${last}` || !lines[last].description.trim() || lines.length >= LINES_MAX) return false;
    add();
    return true;
  };

  const ask = async () => {
    const head = readFields(HEAD(), values, currency);
    const more = readFields(MORE(), values, currency);
    const read = readLines(lines, currency);
    const found = { ...head.wrong, ...more.wrong, ...read.wrong };
    setWrong(found);
    setProblem(null);
    if (Object.keys(found).length > 0) return;
    const body = { ...head.body, lines: read.lines, details: detailsOf(more.body, head.body.buyer) };
    setAsking(true);
    try {
      const preview = await post("/v1/invoices:preview", body, newKey());
      // What was reviewed is what is issued, also past midnight.
      setReview({ preview, body: { ...body, issue_date: preview.issue_date } });
    } catch (error) {
      setWrong(fieldErrors(error));
      setProblem(error);
    }
    setAsking(false);
  };

  const issue = async () => {
    const { body } = review;
    setReview(null);
    const sent = send(t("accountant.issue"), "/v1/invoices", body);
    setEntry(writes.value[0]);
    const result = await sent;
    setWrong(fieldErrors(result.error));
    if (result.state === "final") done?.();
  };

  const again = () => {
    setValues((old) => ({ kind: old.kind, currency: old.currency, order_id: freshOrder() }));
    setLines([blankLine(first)]);
    setEntry(null);
    setWrong({});
    setProblem(null);
  };

  return html`<${Form} name="issue" beyond=${beyond}>
    ${rates.length === 0 && html`<${Notice} kind="warn">${t("issue.no_rates")}<//>`}
    <${Section} title=${t("issue.head")}><div class="fields">${HEAD().map(input)}</div>
      <details class="more"><summary>${t("issue.more")}</summary><div class="fields">${MORE().map(input)}</div></details><//>
    <${Section} title=${t("details.lines")} aside=${html`<span class="hint">${t("details.readers")}</span>`}>
      ${wrong.lines && html`<p class="error" role="alert">${wrong.lines}</p>`}
      <div class="lines">${lines.map((line, position) => html`<${Line} key=${position} line=${line} position=${position} prefix=${prefix} rates=${rates} currency=${currency}
        wrong=${wrong[`line${position}`]} change=${(value) => setLine(position, value)} remove=${lines.length > 1 ? () => setLines(lines.filter((_, at) => at !== position)) : null} />`)}</div>
      <button type="button" disabled=${lines.length >= LINES_MAX} onClick=${add}>+ ${t("issue.add_line")}</button>
    <//>
    <${Section} title=${t("issue.totals")}>
      <div class="scroll"><table class="totals stack"><thead><tr><th scope="col">${t("line.rate")}</th><th scope="col" class="right">${t("line.net")}</th><th scope="col" class="right">${t("line.tax")}</th><th scope="col" class="right">${t("invoice.gross")}</th></tr></thead>
        <tbody>${sums.map((row) => html`<tr key=${row.rate}><td data-label=${t("line.rate")}>${percent(row.rate)}</td><${Sum} row=${row} currency=${currency} /></tr>`)}</tbody>
        <tfoot><tr><th scope="row">${t("issue.sum")}</th><${Sum} row=${{ net: total("net"), tax: total("tax") }} currency=${currency} /></tr></tfoot></table></div>
      ${problem && html`<${Failure} error=${problem} />`}
      ${entry && html`<${WriteState} entry=${entry} />`}
      <div class="buttons">
        <button type="button" class="primary" data-send disabled=${busy || asking || !mayWrite() || entry?.state === "final"} onClick=${ask}>${t("review.go")}</button>
        ${entry && !busy && html`<button type="button" onClick=${again}>${t("issue.again")}</button>`}
      </div>
      ${!mayWrite() && html`<p class="hint">${t("session.read_only")}</p>`}
    <//>
  <//>${review && html`<${Review} preview=${review.preview} lines=${review.body.lines} close=${() => setReview(null)} issue=${issue} />`}`;
}

function Sum({ row, currency }) {
  const cell = (name, label, value) => html`<td class="right" data-label=${label} data-sum=${name}>${format(value, currency)}</td>`;
  return html`${cell("net", t("line.net"), row.net)}${cell("tax", t("line.tax"), row.tax)}${cell("gross", t("invoice.gross"), row.net + row.tax)}`;
}

function Line({ line, position, prefix, rates, currency, change, remove, wrong }) {
  const id = (name) => `${prefix}-${name}-${position}`;
  const net = netOfLine(line, currency);
  const text = (name, label, more = {}) => html`<div class="cell ${name}"><label for=${id(name)}>${label}</label><input id=${id(name)} type="text" value=${line[name]} autocomplete="off" ...${more} onInput=${(event) => change({ [name]: event.target.value })} /></div>`;
  return html`<div role="group" aria-label="${t("details.lines")} ${position + 1}" class="line ${wrong ? "wrong" : ""}">
    ${text("description", t("line.description"), { maxlength: 500, required: true })}
    ${text("unit", t("line.unit"), { maxlength: 32 })}
    ${text("quantity", t("line.quantity"), { inputmode: "decimal", class: "right" })}
    ${text("unit_price", t("line.price"), { inputmode: "decimal", class: "right" })}
    <div class="cell net"><label for=${id("net")}>${t("line.net")}</label><input id=${id("net")} type="text" inputmode="decimal" class="right" value=${line.typed ? line.net : net === null ? "" : toMajor(net, currency)}
      onInput=${(event) => change({ net: event.target.value, typed: event.target.value !== "" })} /></div>
    <div class="cell rate"><label for=${id("rate")}>${t("line.rate")}</label><select id=${id("rate")} onChange=${(event) => change({ rate: event.target.value })}>${line.rate === "" && html`<option value="">${t("ui.choose")}</option>`}${rates.map((rate) => html`<option key=${rate} value=${rate} selected=${String(rate) === line.rate}>${percent(rate)}</option>`)}</select></div>
    <div class="cell tax"><span class="label">${t("line.tax")}</span><output>${net === null || line.rate === "" ? "–" : format(taxOf(net, Number(line.rate)), currency)}</output></div>
    <div class="cell remove">${remove && html`<button type="button" class="plain" onClick=${remove} aria-label="${t("issue.remove")} ${position + 1}" title=${t("issue.remove")}>✕</button>`}</div>
    ${wrong && html`<small class="error" role="alert">${wrong}</small>`}
  </div>`;
}

function readLines(lines, currency) {
  const wrong = {};
  const read = lines.map((line, position) => {
    const net = netOfLine(line, currency);
    if (!line.description.trim()) wrong[`line${position}`] = t("issue.need_description");
    else if (net === null) wrong[`line${position}`] = t("issue.need_net");
    else if (line.rate === "") wrong[`line${position}`] = t("issue.need_rate");
    const body = { description: line.description.trim(), net: Number(net ?? 0n), rate: Number(line.rate) };
    if (line.unit.trim()) body.unit = line.unit.trim();
    if (line.quantity.trim() && line.unit_price.trim()) {
      body.quantity = line.quantity.trim();
      body.unit_price = line.unit_price.trim();
    }
    return body;
  });
  return { lines: read, wrong };
}

function detailsOf({ buyer_name: typed, ...facts }, buyer) {
  const name = (id) => parties.value.get(id)?.name;
  const seller = { name: name(self.value.participant), tax_id: self.value.participant };
  const known = name(buyer);
  const other = typed || known ? { name: typed || known, ...(known ? { tax_id: buyer } : {}) } : undefined;
  return { seller, ...(other ? { buyer: other } : {}), ...facts };
}
