// One invoice: what it is, what became of it, and what this participant may do with it.
import { get, getAll, mayWrite } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html, useState } from "../core/html.js";
import { Actions } from "../core/forms.js";
import { known, language, named, t } from "../core/language.js";
import { percent, taxOf } from "../core/money.js";
import { operationsFor } from "./operations.js";
import { parties, self } from "../core/registry.js";
import { terms } from "./terms.js";
import { Amount, Badge, Empty, Facts, Failure, Hash, Heading, Notice, Party, Section, Table, Time, number } from "../core/ui.js";
import { States } from "./invoices.js";
import { InvoiceLink } from "./links.js";

async function load(text, signal) {
  const [invoice, trace] = await Promise.all([
    get(`/v1/invoices/${text}`, {}, signal), loadTrace(text, signal),
  ]);
  return { invoice, trace };
}

async function loadTrace(text, signal) {
  const first = await get(`/v1/invoices/${text}/trace`, { limit: 200 }, signal);
  const rest = first.next_cursor
    ? await getAll(`/v1/invoices/${text}/trace`, "steps", { cursor: first.next_cursor }, 2_000, signal)
    : { rows: [] };
  return { ...first, steps: [...first.steps, ...rest.rows] };
}

export function Invoice({ number: text }) {
  const data = useData((signal) => load(text, signal), [text], { live: true });
  return html`<${Heading} title=${`${t("invoice.one")} ${text}`} />
    <${Loaded} of=${data}>${(found) => html`<${Shown} ...${found} reload=${data.reload} />`}<//>`;
}

function Shown({ invoice, trace, reload }) {
  const actions = operationsFor(invoice);
  return html`
    ${invoice.frozen && html`<${Notice} kind="bad">${t("invoice.frozen", { case: invoice.frozen })}<//>`}
    ${invoice.original && html`<${Notice}>${t("invoice.red_of")} <${InvoiceLink} number=${invoice.original} /><//>`}
    ${invoice.offer && html`<${Notice}>${t("invoice.offered_to")} <${Party} id=${invoice.offer.to} /> · ${t("invoice.until")} <${Time} value=${invoice.offer.expires} /><//>`}
    <${Actions} actions=${actions} done=${reload} />
    <div class="columns">
      <${Section} title=${t("invoice.public")} aside=${html`<${States} invoice=${invoice} />`}>
        <${Facts} rows=${[
          [t("invoice.issuer"), html`<${Party} id=${invoice.issuer} you=${self.value.participant} />`],
          [t("invoice.buyer"), html`<${Party} id=${invoice.buyer} you=${self.value.participant} />`],
          [t("invoice.holder"), html`<${Party} id=${invoice.holder} you=${self.value.participant} />`],
          [t("invoice.kind"), named("kind", invoice.kind)],
          [t("invoice.date"), invoice.issue_date],
          [t("invoice.issued"), html`<${Time} value=${invoice.time} />`],
          [t("invoice.answer"), html`<${Answer} invoice=${invoice} />`],
          [t("invoice.replaces"), invoice.replaces && html`<${InvoiceLink} number=${invoice.replaces} />`],
          [t("transaction.one"), html`<${Hash} value=${invoice.transaction} href="/transactions/${invoice.transaction}" />`],
          [t("invoice.commitment"), html`<${Hash} value=${invoice.details_commitment} />`],
        ]} />
        <${Table} name=${t("invoice.rates")} rows=${invoice.groups} id=${(group) => group.rate} columns=${[
          { label: t("line.rate"), cell: (group) => percent(group.rate) },
          { label: t("line.net"), right: true, cell: (group) => html`<${Amount} value=${group.net} currency=${invoice.currency} />` },
          { label: t("line.tax"), right: true, cell: (group) => html`<${Amount} value=${group.tax} currency=${invoice.currency} />` },
          { label: t("invoice.credited_net"), right: true, cell: (group) => html`<${Amount} value=${group.credited_net} currency=${invoice.currency} />` },
        ]} />
        <p class="total">${t("invoice.gross")} <${Amount} value=${invoice.gross} currency=${invoice.currency} strong /></p>
      <//>
      <${Section} title=${t("invoice.amounts")}><${Split} invoice=${invoice} /><${Documents} invoice=${invoice} /><//>
    </div>
    <${Details} invoice=${invoice} />
    <${Uses} invoice=${invoice} />
    <${Trace} trace=${trace} invoice=${invoice} />`;
}

// The secret that a buyer without keys gets on the face; shown only when asked for.
function ClaimKey({ invoice }) {
  const [state, setState] = useState({});
  const show = () => get(`/v1/invoices/${invoice.number}/claim-key`).then((found) => setState({ key: found.claim_key }), (error) => setState({ error }));
  if (state.error) return html`<${Failure} error=${state.error} />`;
  return state.key ? html`<p>${t("wallet.claim_key")} <${Hash} value=${state.key} length=${120} /></p>` : html`<p><button type="button" onClick=${show}>${t("wallet.show_claim")}</button></p>`;
}

// The buyer's word, or until when it may be given.
function Answer({ invoice }) {
  if (invoice.original) return "–";
  const { state, time, accepted } = invoice.response;
  const until = new Date(Date.parse(invoice.time) + terms.value.respond_ms).toISOString();
  return html`${named("response", state)}${accepted && html` · <${Amount} value=${accepted} currency=${invoice.currency} />`}${time && html` · <${Time} value=${time} />`}
    ${["none", "received"].includes(state) && html` · ${t("invoice.until")} <${Time} value=${until} />`}`;
}

// Where the gross amount is now: the ledger's invariant, drawn.
const PARTS = ["available", "locked", "reimbursed", "red_reserved", "credited"];

function Split({ invoice }) {
  if (invoice.original) return html`<${Empty}>${t("invoice.red_takes_none")}<//>`;
  const shown = PARTS.filter((part) => invoice[part] > 0);
  return html`
    <svg class="split" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=${t("invoice.amounts")}>
      ${shown.reduce((drawn, part) => {
        const width = (invoice[part] / invoice.gross) * 100; // only for the drawing
        drawn.bars.push(html`<rect key=${part} class="part ${part}" x=${drawn.at} y="0" width=${width} height="6" />`);
        return { bars: drawn.bars, at: drawn.at + width };
      }, { bars: [], at: 0 }).bars}
    </svg>
    <dl class="legend">${PARTS.map((part) => html`<div key=${part} class=${invoice[part] ? "" : "faint"}><dt><span class="dot ${part}" aria-hidden="true"></span>${t(`part.${part}`)}</dt><dd><${Amount} value=${invoice[part]} currency=${invoice.currency} /></dd></div>`)}
      ${["refund_due", "paid", "payment_refund_due"].filter((part) => invoice[part] > 0).map((part) => html`<div key=${part}><dt>${t(`part.${part}`)}</dt><dd><${Amount} value=${invoice[part]} currency=${invoice.currency} /></dd></div>`)}</dl>`;
}

function Documents({ invoice }) {
  const [shown, setShown] = useState(false);
  const face = `/v1/invoices/${invoice.number}/face?lang=${language.value}`;
  return html`<p class="buttons">
      <button type="button" aria-expanded=${shown} onClick=${() => setShown(!shown)}>${t("document.face")}</button>
      <a class="button" data-outside target="_blank" rel="noopener" href="${face}&format=pdf">${t("document.pdf")}</a>
      <a class="button" href="/transactions/${invoice.transaction}">${t("transaction.receipt")}</a></p>
    ${invoice.issuer === self.value.participant && !parties.value.has(invoice.buyer) && mayWrite() && html`<${ClaimKey} invoice=${invoice} />`}
    ${shown && html`<iframe class="face" title=${t("document.face")} src="${face}&format=html"></iframe>`}`;
}

// A proof file that shows chosen items of the details, and nothing else of them.
function Disclose({ invoice }) {
  const data = useData(async (signal) => {
    const [found, transaction] = await Promise.all([
      get(`/v1/invoices/${invoice.number}/details/paths`, {}, signal), get(`/v1/transactions/${invoice.transaction}`, {}, signal),
    ]);
    // A batch issues many invoices in one transaction.
    const place = transaction.operations.findIndex((operation) => operation.fields.number === invoice.number);
    return { ...found, place: Math.max(place, 0) };
  }, [invoice.number]);
  const [chosen, setChosen] = useState([]);
  const toggle = (path) => setChosen(chosen.includes(path) ? chosen.filter((one) => one !== path) : [...chosen, path]);
  return html`<p class="hint">${t("disclose.hint")}</p><${Loaded} of=${data}>${({ paths, place }) => html`
    <div class="paths">${paths.map((path) => html`<label key=${path}><input type="checkbox" checked=${chosen.includes(path)} onChange=${() => toggle(path)} /> <code>${path}</code></label>`)}</div>
    ${chosen.length > 0 && html`<p><a class="button primary" data-outside download="${invoice.number}.proof" href="/v1/transactions/${invoice.transaction}/receipt?${new URLSearchParams([["operation", place], ...chosen.map((path) => ["disclose", path])])}">${t("disclose.download", { count: chosen.length })}</a></p>`}`}<//>`;
}

function Details({ invoice }) {
  const [disclosing, setDisclosing] = useState(false);
  if (!invoice.details_commitment) return null;
  if (!invoice.details) return html`<${Section} title=${t("details.title")}><${Empty}>${t("details.sealed")}<//><//>`;
  const { lines = [], allowances = [], seller, buyer, extensions, attachments, ...facts } = invoice.details;
  const money = (value) => html`<${Amount} value=${value} currency=${invoice.currency} />`;
  return html`<${Section} title=${t("details.title")} aside=${html`<span class="hint">${t("details.readers")}</span>`}>
    ${(seller || buyer) && html`<div class="columns tight">${[["seller", seller], ["buyer", buyer]].map(([side, party]) => party && html`<div key=${side}><h3>${t(`details.${side}`)}</h3><${Facts} rows=${Object.entries(party).map(([name, value]) => [label(name), value])} /></div>`)}</div>`}
    ${lines.length > 0 && html`<${Table} name=${t("details.lines")} rows=${lines} columns=${[
      { label: "#", right: true, cell: (_, position) => position + 1 },
      { label: t("line.description"), wide: true, cell: (line) => html`${line.description}${(line.model || line.code) && html` <small class="faint">${[line.model, line.code].filter(Boolean).join(" · ")}</small>`}` },
      { label: t("line.quantity"), right: true, cell: (line) => [line.quantity, line.unit].filter(Boolean).join(" ") },
      { label: t("line.price"), right: true, cell: (line) => line.unit_price },
      { label: t("line.net"), right: true, cell: (line) => money(line.net) },
      { label: t("line.rate"), right: true, cell: (line) => percent(line.rate) },
      { label: t("line.tax"), right: true, cell: (line) => money(line.tax ?? taxOf(BigInt(line.net), line.rate)) },
    ]} />`}
    ${allowances.length > 0 && html`<${Table} name=${t("details.allowances")} rows=${allowances} columns=${[
      { label: t("details.allowances"), cell: (item) => named("allowance", item.kind) },
      { label: t("field.reason"), wide: true, cell: (item) => item.reason },
      { label: t("line.net"), right: true, cell: (item) => money(item.net) },
      { label: t("line.rate"), right: true, cell: (item) => percent(item.rate) },
    ]} />`}
    <${Facts} rows=${Object.entries(facts).map(([name, value]) => [label(name), String(value)])} />
    ${attachments?.length > 0 && html`<h3>${t("details.attachments")}</h3><ul class="plain-list">${attachments.map((file) => html`<li key=${file.hash}><a data-outside download=${file.name} href="/v1/attachments/${file.hash}?invoice=${invoice.number}">${file.name}</a> <span class="faint">${file.media_type} · ${number(file.size)} B</span></li>`)}</ul>`}
    <details onToggle=${(event) => setDisclosing(event.currentTarget.open)}><summary>${t("disclose.title")}</summary>${disclosing && html`<${Disclose} invoice=${invoice} />`}</details>
    ${extensions && html`<details><summary>${t("details.extensions")}</summary><pre>${JSON.stringify(extensions, null, 2)}</pre></details>`}
  <//>`;
}

function label(name) {
  return known(`details.${name}`) ? t(`details.${name}`) : name.replaceAll("_", " ");
}

function Uses({ invoice }) {
  const money = (value) => html`<${Amount} value=${value} currency=${invoice.currency} />`;
  const party = (row, name) => html`<${Party} id=${row[name]} you=${self.value.participant} />`;
  const tables = [
    ["invoice.submissions", invoice.submissions, [
      { label: t("role.reimburser"), cell: (row) => party(row, "to") },
      { label: t("field.amount"), right: true, cell: (row) => money(row.amount) },
      { label: t("invoice.left"), right: true, cell: (row) => money(row.left) },
    ]],
    ["invoice.claims", invoice.claims, [
      { label: "#", right: true, cell: (row) => row.claim },
      { label: t("role.reimburser"), cell: (row) => party(row, "reimburser") },
      { label: t("part.locked"), right: true, cell: (row) => money(row.locked) },
      { label: t("part.reimbursed"), right: true, cell: (row) => money(row.reimbursed) },
      { label: t("field.booking"), cell: (row) => row.booking || "–" },
      { label: t("field.payment"), cell: (row) => row.payment || "–" },
      { label: t("block.time"), cell: (row) => html`<${Time} value=${row.time} />` },
    ]],
    ["invoice.forms", invoice.red_forms, [
      { label: "#", right: true, cell: (row) => row.form },
      { label: t("invoice.asked_by"), cell: (row) => named("role", row.asked_by) },
      { label: t("field.amount"), right: true, cell: (row) => money(row.amount) },
      { label: t("field.reason"), cell: (row) => named("reason", row.reason) },
      { label: t("ui.state"), cell: (row) => html`<${Badge} group="form" value=${row.state} />` },
      { label: t("invoice.red"), cell: (row) => (row.number ? html`<${InvoiceLink} number=${row.number} />` : "–") },
      { label: t("invoice.since"), cell: (row) => html`<${Time} value=${row.since} />` },
    ]],
    ["invoice.bookings", invoice.bookings, [
      { label: t("overview.participant"), cell: (row) => party(row, "party") },
      { label: t("field.booking"), cell: (row) => row.reference },
      { label: t("block.time"), cell: (row) => html`<${Time} value=${row.time} />` },
    ]],
  ];
  return tables.filter(([, rows]) => rows.length > 0).map(([title, rows, columns]) => html`
    <${Section} key=${title} title=${t(title)}><${Table} name=${t(title)} rows=${rows} columns=${columns} /><//>`);
}

function Trace({ trace, invoice }) {
  return html`<${Section} title=${t("trace.title")} aside=${html`<span class="hint">${t("trace.hint")}</span>`}>
    ${trace.back.length > 0 && html`<p>${t("trace.back")} ${trace.back.map((text) => html`<${InvoiceLink} key=${text} number=${text} /> `)}</p>`}
    <ol class="trace">${trace.steps.map((step) => html`
      <li key=${`${step.transaction}-${step.operation}-${step.form ?? step.claim ?? ""}`}>
        <div class="what"><strong>${named("operation", step.operation)}</strong>${step.amount !== undefined && html` <${Amount} value=${step.amount} currency=${invoice.currency} />`}
          ${step.claim !== undefined && html` <span class="faint">${t("claim.which", { claim: step.claim })}</span>`}${step.form !== undefined && html` <span class="faint">${t("form.which", { form: step.form })}</span>`}
          ${step.other && html` → <${Other} value=${step.other} />`}</div>
        <div class="who"><${Party} id=${step.signer} you=${self.value.participant} /> · <${Time} value=${step.time} /> · <a href="/blocks/${step.height}">${t("block.at", { height: number(step.height) })}</a> · <${Hash} value=${step.transaction} href="/transactions/${step.transaction}" length=${8} copy=${false} /></div>
      </li>`)}</ol>
    ${trace.forward.length > 0 && html`<p>${t("trace.forward")} ${trace.forward.map((text) => html`<${InvoiceLink} key=${text} number=${text} /> `)}</p>`}
  <//>`;
}

function Other({ value }) {
  if (/^\d{20}$/.test(value)) return html`<${InvoiceLink} number=${value} />`;
  if (parties.value.has(value) || /^[0-9a-f]{64}$/.test(value)) return html`<${Party} id=${value} />`;
  return known(`response.${value}`) ? named("response", value) : value;
}
