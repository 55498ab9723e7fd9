// The list of invoices, and the table of them that the desks use too.
import { get, mayWrite, newKey, post } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html, useState } from "../core/html.js";
import { Field } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { toMajor, toMinor } from "../core/money.js";
import { have, parties, self } from "../core/registry.js";
import { place, setQuery } from "../core/router.js";
import { useStore } from "../core/store.js";
import { Amount, Badge, Failure, Heading, Party, Table, Time } from "../core/ui.js";
import { InvoiceLink } from "./links.js";
import { boundsOf } from "./terms.js";

export const STATES = ["issued", "partly_credited", "credited", "cancelled"];
const PAGE = 50;
const TURNS_MAX = 10; // a filter may find little in each stretch of the ledger

export function States({ invoice }) {
  return html`<span class="badges">${invoice.original && html`<${Badge} value="red" group="state" />`}<${Badge} group="state" value=${invoice.state} />
    ${invoice.response.state !== "none" && html`<${Badge} group="response" value=${invoice.response.state} />`}
    ${invoice.frozen && html`<${Badge} value="frozen" group="state" />`}
    ${invoice.offer && html`<${Badge} value="offered" group="state" />`}</span>`;
}

export function invoiceColumns(extra = []) {
  return [
    { label: t("invoice.number"), cell: (invoice) => html`<${InvoiceLink} number=${invoice.number} />` },
    { label: t("invoice.date"), cell: (invoice) => html`<span class="nowrap">${invoice.issue_date}</span>` },
    { label: t("invoice.issuer"), cell: (invoice) => html`<${Party} id=${invoice.issuer} />` },
    { label: t("invoice.buyer"), cell: (invoice) => html`<${Party} id=${invoice.buyer} />` },
    { label: t("invoice.gross"), right: true, cell: (invoice) => html`<${Amount} value=${invoice.original ? -invoice.gross : invoice.gross} currency=${invoice.currency} />` },
    { label: t("ui.state"), cell: (invoice) => html`<${States} invoice=${invoice} />` },
    ...extra,
  ];
}

export function InvoiceTable({ rows, extra, empty, name }) {
  return html`<${Table} name=${name ?? t("invoices.title")} rows=${rows} empty=${empty} id=${(invoice) => invoice.number} columns=${invoiceColumns(extra)} />`;
}

// Invoices until the page is full; what has no more is told by `cursor` undefined.
export async function findInvoices(query, cursor, signal, wanted = PAGE) {
  const rows = [];
  let next = cursor;
  for (let turn = 0; turn < TURNS_MAX && rows.length < wanted; turn += 1) {
    const page = await get("/v1/invoices", { ...query, limit: wanted, cursor: next }, signal);
    rows.push(...page.invoices);
    next = page.next_cursor;
    if (!next) break;
  }
  return { rows, cursor: next };
}

export function Invoices() {
  const { query } = useStore(place);
  const filter = Object.fromEntries(["state", "party", "from", "to", "min_gross"].map((name) => [name, query.get(name) ?? ""]));
  const asked = { ...filter, ...boundsOf(filter.from, filter.to) };
  const data = useData((signal) => findInvoices(asked, undefined, signal), [query.toString()]);
  return html`<${Heading} title=${t("invoices.title")} sub=${t("invoices.sub")} />
    <${Filter} filter=${filter} />
    <${Loaded} of=${data}>${(first) => html`<${Pages} key=${query.toString()} first=${first} filter=${asked} />`}<//>`;
}

function Pages({ first, filter }) {
  const [more, setMore] = useState({ rows: [], cursor: first.cursor, error: null, busy: false });
  const load = async () => {
    setMore((old) => ({ ...old, busy: true, error: null }));
    try {
      const found = await findInvoices(filter, more.cursor);
      setMore((old) => ({ rows: [...old.rows, ...found.rows], cursor: found.cursor, error: null, busy: false }));
    } catch (error) {
      setMore((old) => ({ ...old, error, busy: false }));
    }
  };
  const rows = [...first.rows, ...more.rows];
  return html`<${InvoiceTable} rows=${rows} empty=${t("invoices.none")} extra=${[
      { label: t("invoice.holder"), cell: (invoice) => html`<${Party} id=${invoice.holder} />` },
      { label: t("invoice.issued"), cell: (invoice) => html`<${Time} value=${invoice.time} />` },
    ]} />
    ${more.error && html`<${Failure} error=${more.error} />`}
    <p class="pager"><span class="faint">${t("invoices.shown", { count: rows.length })}</span>${more.cursor && html` <button type="button" disabled=${more.busy} onClick=${load}>${t("ui.more")}</button>`}</p>`;
}

function Filter({ filter }) {
  const change = (name) => (event) => setQuery({ [name]: event.target.value });
  const least = (event) => {
    const amount = toMinor(event.target.value || "0", "CNY");
    setQuery({ min_gross: amount > 0n ? String(amount) : "" });
  };
  // The ledger holds hashes of order ids: one is found by whoever knows it, and by its issuer alone.
  const byOrder = have("issuer") && mayWrite();
  const [missing, setMissing] = useState(null);
  const open = async (event) => {
    event.preventDefault();
    const wanted = new FormData(event.target).get("number").trim();
    setMissing(null);
    if (/^\d{20}$/.test(wanted)) return location.assign(`/invoices/${wanted}`);
    if (!byOrder) return setMissing(t("invoices.no_number"));
    try {
      const [found] = (await post("/v1/orders:find", { order_ids: [wanted] }, newKey())).orders;
      return found ? location.assign(`/invoices/${found.number}`) : setMissing(t("invoices.no_order", { order: wanted }));
    } catch (error) {
      return setMissing(error.message);
    }
  };
  return html`<div class="filters">
    <${Field} id="f-state" label=${t("ui.state")}><select id="f-state" onChange=${change("state")}><option value="">${t("ui.all")}</option>
      ${STATES.map((state) => html`<option key=${state} value=${state} selected=${state === filter.state}>${named("state", state)}</option>`)}</select><//>
    <${Field} id="f-party" label=${t("invoices.party")}><select id="f-party" onChange=${change("party")}><option value="">${t("ui.all")}</option>
      ${[...parties.value.values()].map((party) => html`<option key=${party.id} value=${party.id} selected=${party.id === filter.party}>${party.name}${party.id === self.value?.participant ? ` (${t("ui.you")})` : ""}</option>`)}</select><//>
    <${Field} id="f-from" label=${t("invoices.from")}><input id="f-from" type="date" value=${filter.from} onChange=${change("from")} /><//>
    <${Field} id="f-to" label=${t("invoices.to")}><input id="f-to" type="date" value=${filter.to} onChange=${change("to")} /><//>
    <${Field} id="f-gross" label=${t("invoices.least")}><input id="f-gross" type="text" inputmode="decimal" class="right" placeholder="0.00" value=${filter.min_gross && toMajor(filter.min_gross, "CNY")} onChange=${least} /><//>
    <form onSubmit=${open} class="field"><label for="f-number">${byOrder ? t("invoices.go_order") : t("invoices.go")}</label><div class="joined"><input id="f-number" name="number" maxlength=${byOrder ? 128 : 20} placeholder=${t("hint.number")} required /><button type="submit" aria-label=${t("invoices.open")}>→</button></div>
      ${missing && html`<small class="error" role="alert">${missing}</small>`}</form>
  </div>`;
}
