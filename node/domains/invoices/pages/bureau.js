// The tax bureau's desk: numbers, quota and rates; disputes and freezes.
import { getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { ActionForm, Actions, NeedsRole } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { percent } from "../core/money.js";
import { place, setQuery } from "../core/router.js";
import { useStore } from "../core/store.js";
import { Badge, Hash, Heading, Newest, Party, Section, Table, Tabs, Time, counted, number } from "../core/ui.js";
import { InvoiceTable, findInvoices } from "./invoices.js";
import { InvoiceLink } from "./links.js";
import { HOME_CURRENCY, QuotaTable, SegmentTable } from "./registers.js";
import { Statement } from "./statement.js";
import { monthBounds, monthsBack } from "./terms.js";
import { actionsColumn, kindIs, waiting } from "./wallet.js";

const SHOWN_MAX = 200;

async function load(signal) {
  const all = (path, field) => getAll(path, field, {}, 1_000, signal).then((found) => found.rows);
  const [quotas, segments, regions, rates, exchange, discrepancies, disputed, frozen, inbox] = await Promise.all([
    all("/v1/quotas", "quotas"), all("/v1/segments", "segments"), all("/v1/regions", "regions"), all("/v1/tax-rates", "tax_rates"),
    all("/v1/exchange-rates", "exchange_rates"),
    getAll("/v1/discrepancies", "discrepancies", { state: "open" }, SHOWN_MAX, signal),
    findInvoices({ response: "disputed" }, undefined, signal, SHOWN_MAX),
    findInvoices({ frozen: "true" }, undefined, signal, SHOWN_MAX),
    getAll("/v1/inbox", "items", {}, SHOWN_MAX, signal),
  ]);
  const participants = await all("/v1/participants", "participants");
  return { issuers: participants.filter((party) => party.roles.includes("issuer")), quotas, segments, regions, rates, exchange, discrepancies: discrepancies.rows, more: { discrepancies: discrepancies.more, disputes: disputed.cursor, freezes: frozen.cursor, retired: inbox.more }, disputed: disputed.rows, frozen: frozen.rows, forms: inbox.rows.filter((item) => item.for_issuer) };
}

export function Bureau() {
  const { query } = useStore(place);
  const tab = query.get("tab") ?? "quotas";
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("bureau.title")} sub=${t("bureau.sub")} /><${NeedsRole} role="tax_bureau" />
    <${Loaded} of=${data}>${(found) => html`
      <${Tabs} name=${t("bureau.title")} shown=${tab} choose=${(key) => setQuery({ tab: key })} tabs=${[
        ["quotas", t("bureau.quotas")], ["issuers", t("bureau.issuers")], ["segments", t("bureau.segments")], ["rates", t("bureau.rates")], ["statements", t("accountant.statement")],
        ["discrepancies", counted(t("bureau.discrepancies"), found.discrepancies, found.more.discrepancies)], ["disputes", counted(t("bureau.disputes"), found.disputed, found.more.disputes)], ["freezes", counted(t("bureau.freezes"), found.frozen, found.more.freezes)],
        ["retired", counted(t("bureau.retired"), found.forms, found.more.retired)],
      ]} />
      <${Newest} count=${SHOWN_MAX} more=${found.more[tab]} />
      ${tab === "quotas" && html`<${Quotas} rows=${found.quotas} reload=${data.reload} />`}
      ${tab === "issuers" && html`<${Issuers} rows=${found.issuers} reload=${data.reload} />`}
      ${tab === "segments" && html`<${Segments} rows=${found.segments} regions=${found.regions} reload=${data.reload} />`}
      ${tab === "rates" && html`<${Rates} rates=${found.rates} exchange=${found.exchange} reload=${data.reload} />`}
      ${tab === "statements" && html`<${Statement} />`}
      ${tab === "discrepancies" && html`<${Discrepancies} rows=${found.discrepancies} reload=${data.reload} />`}
      ${tab === "disputes" && html`<${Section} title=${t("bureau.disputes")}><${InvoiceTable} name=${t("bureau.disputes")} rows=${found.disputed} empty=${t("bureau.disputes_empty")} extra=${[actionsColumn(data.reload, kindIs("rule"))]} /><//>`}
      ${tab === "freezes" && html`<${Freezes} rows=${found.frozen} reload=${data.reload} />`}
      ${tab === "retired" && html`<${Section} title=${t("bureau.retired")} aside=${html`<span class="hint">${t("bureau.retired_hint")}</span>`}><${InvoiceTable} name=${t("bureau.retired")} rows=${found.forms.map((item) => ({ ...item.invoice, item }))} empty=${t("bureau.retired_empty")} extra=${[
        { label: t("wallet.waits"), cell: (invoice) => html`<${Badge} value=${invoice.item.kind} group="waiting" />` },
        { label: t("desk.do"), cell: (invoice) => html`<${Actions} small done=${data.reload} actions=${waiting(invoice)} />` },
      ]} /><//>`}`}<//>`;
}

const issuerField = (more = {}) => ({ name: "issuer", kind: "party", role: "issuer", self: true, label: t("invoice.issuer"), required: true, ...more });

function Quotas({ rows, reload }) {
  const [month] = monthsBack(1);
  const { start, end } = monthBounds(month);
  const grant = {
    id: "grant", primary: true, title: t("bureau.grant"), path: "/v1/quotas", currency: HOME_CURRENCY, hint: t("hint.quota"), fields: [
      issuerField(), { name: "month", kind: "month", label: t("bureau.month"), required: true, initial: month },
      { name: "net", kind: "amount", label: t("bureau.granted"), required: true },
      { name: "valid_from", kind: "time", label: t("bureau.valid_from"), required: true, initial: start },
      { name: "valid_to", kind: "time", label: t("bureau.valid_to"), required: true, initial: end },
    ],
  };
  return html`<${Section} title=${t("bureau.quotas")} aside=${html`<${Actions} actions=${[grant]} done=${reload} />`}><${QuotaTable} rows=${rows} extra=${[{ label: t("invoice.issuer"), cell: (row) => html`<${Party} id=${row.issuer} />` }]} /><//>`;
}

function Issuers({ rows, reload }) {
  const change = (party, name) => ({
    id: name, danger: name === "suspend", title: t(`operation.${name}_issuing`), path: `/v1/issuers/${party.id}/${name}`,
    fields: [{ name: "case", kind: "text", label: t("field.case"), required: true, most: 64 }],
  });
  // Row 16: a hold ends by its time alone; its cause is sealed, its reference is public.
  const held = (party, name, path, fields, more = {}) => ({
    id: name, title: t(`operation.${name}`), path: `/v1/issuers/${party.id}/hold${path}`, ...more,
    fields: [{ name: "reference", kind: "text", label: t("field.hold_reference"), hint: t("hint.public"), required: true, most: 64 }, ...fields],
  });
  const until = (hours) => {
    const then = new Date(Date.now() + hours * 3_600_000); // as the control wants it: local, without a zone
    const local = new Date(then - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    return { name: "until", kind: "time", label: t("invoice.until"), required: true, initial: local };
  };
  const holds = (party) => [
    held(party, "hold_issuing", "", [until(24), { name: "cause", kind: "text", label: t("field.cause"), hint: t("hint.cause"), required: true, wide: true }], { danger: true, hint: t("hint.hold") }),
    held(party, "uphold_hold", "/uphold", [until(7 * 24), { name: "reason", kind: "text", label: t("field.reason"), hint: t("hint.public"), required: true, wide: true }], { hint: t("hint.uphold") }),
    held(party, "lift_hold", "/lift", []),
  ];
  return html`<${Section} title=${t("bureau.issuers")} aside=${html`<span class="hint">${t("bureau.issuers_hint")}</span>`}><${Table} name=${t("bureau.issuers")} rows=${rows} id=${(party) => party.id} columns=${[
    { label: t("participants.name"), cell: (party) => html`<strong>${party.name}</strong>` },
    { label: t("participants.code"), cell: (party) => html`<code>${party.id}</code>` },
    { label: t("ui.state"), cell: (party) => html`<span class="badges"><${Badge} group="party" value=${party.state} />${party.issuing_suspended && html`<${Badge} group="party" value="suspended">${t("participants.suspended")}<//>`}</span>` },
    { label: t("field.case"), cell: (party) => party.issuing_case ?? "–" },
    { label: t("desk.do"), cell: (party) => html`<${Actions} small done=${reload} actions=${[change(party, party.issuing_suspended ? "resume" : "suspend"), ...holds(party)]} />` },
  ]} /><//>`;
}

function Segments({ rows, regions, reload }) {
  const allot = {
    id: "allot", primary: true, title: t("bureau.allot"), path: "/v1/segments", hint: t("hint.segment"), fields: [
      issuerField(), { name: "first", kind: "text", label: t("bureau.first"), required: true, most: 20, hint: t("hint.number") },
      { name: "count", kind: "integer", min: 1, label: t("bureau.count"), required: true },
    ],
  };
  const region = {
    id: "region", title: t("operation.allot_region"), path: "/v1/regions", hint: t("hint.region"), fields: [
      { name: "bureau", kind: "party", role: "tax_bureau", label: t("bureau.region"), required: true }, ...allot.fields.slice(1),
    ],
  };
  const ranges = regions.flatMap((row) => row.ranges.map((range) => ({ ...range, bureau: row.bureau })));
  const flat = rows.flatMap((row) => row.segments.map((segment) => ({ ...segment, issuer: row.issuer })));
  return html`<${Section} title=${t("bureau.segments")} aside=${html`<${Actions} actions=${[allot]} done=${reload} />`}><${SegmentTable} rows=${flat} extra=${[{ label: t("invoice.issuer"), cell: (row) => html`<${Party} id=${row.issuer} />` }]} /><//>
    <${Section} title=${t("bureau.regions")} aside=${html`<${Actions} actions=${[region]} done=${reload} />`}><${Table} name=${t("bureau.regions")} rows=${ranges} empty=${t("bureau.no_regions")} columns=${[
      { label: t("bureau.region"), cell: (row) => html`<${Party} id=${row.bureau} />` },
      { label: t("bureau.first"), cell: (row) => html`<code>${row.first}</code>` },
      { label: t("bureau.last"), cell: (row) => html`<code>${row.last}</code>` },
    ]} /><//>`;
}

function Rates({ rates, exchange, reload }) {
  const basis = (values) => ({ ...values, rates: values.rates.split(/[\s,;%]+/).filter(Boolean).map((text) => (/^\d+(\.\d{1,2})?$/.test(text) ? Math.round(Number(text) * 100) : null)) });
  const set = { id: "rates", primary: true, title: t("bureau.set_rates"), path: "/v1/tax-rates", hint: t("hint.rates"), make: basis, fields: [issuerField({ required: false }), { name: "rates", kind: "text", label: t("bureau.rates"), required: true, placeholder: "0, 6, 9, 13", wide: true }] };
  const publish = { id: "exchange", primary: true, title: t("bureau.publish"), path: "/v1/exchange-rates", hint: t("hint.exchange"), fields: [{ name: "currency", kind: "text", label: t("field.currency"), required: true, most: 3 }, { name: "micro", kind: "integer", min: 1, label: t("bureau.micro"), required: true }, { name: "date", kind: "date", label: t("bureau.from_date"), required: true }] };
  return html`
    <${Section} title=${t("bureau.rates")} aside=${html`<${Actions} actions=${[set]} done=${reload} />`}><${Table} name=${t("bureau.rates")} rows=${rates} columns=${[
      { label: t("invoice.issuer"), cell: (row) => (row.issuer ? html`<${Party} id=${row.issuer} />` : t("bureau.everyone")) },
      { label: t("bureau.rates"), wide: true, cell: (row) => row.rates.map(percent).join(", ") },
    ]} /><//>
    <${Section} title=${t("bureau.exchange")} aside=${html`<${Actions} actions=${[publish]} done=${reload} />`}><${Table} name=${t("bureau.exchange")} rows=${exchange.flatMap((row) => row.rates.map((rate) => ({ ...rate, currency: row.currency })))} empty=${t("bureau.no_exchange")} columns=${[
      { label: t("field.currency"), cell: (row) => row.currency },
      { label: t("bureau.from_date"), cell: (row) => row.date },
      { label: t("bureau.micro"), right: true, cell: (row) => number(row.micro) },
    ]} /><//>`;
}

// What the bureau's node found by itself in the sealed details of final invoices.
function Discrepancies({ rows, reload }) {
  const resolve = (row) => ({
    id: "resolve", title: t("operation.discrepancy_resolve"), short: t("bureau.resolve"), path: `/v1/invoices/${row.number}/resolve`, make: (values) => ({ ...values, kind: row.kind }),
    fields: [{ name: "reason", kind: "text", label: t("field.reason"), required: true, hint: t("hint.public"), wide: true }],
  });
  return html`<${Section} title=${t("bureau.discrepancies")} aside=${html`<span class="hint">${t("bureau.discrepancies_hint")}</span>`}>
    <${Table} name=${t("bureau.discrepancies")} rows=${rows} empty=${t("bureau.discrepancies_empty")} id=${(row) => `${row.number} ${row.kind}`} columns=${[
      { label: t("invoice.number"), cell: (row) => html`<${InvoiceLink} number=${row.number} />` },
      { label: t("evidence.kind"), cell: (row) => named("discrepancy", row.kind) },
      { label: t("evidence.found"), cell: (row) => html`<${Time} value=${row.time} />` },
      { label: t("transaction.one"), cell: (row) => html`<${Hash} value=${row.transaction} href="/transactions/${row.transaction}" copy=${false} />` },
      { label: t("desk.do"), cell: (row) => html`<${Actions} small actions=${[resolve(row)]} done=${reload} />` },
    ]} /><//>`;
}

function Freezes({ rows, reload }) {
  const fields = [{ name: "number", kind: "text", label: t("invoice.number"), required: true, most: 20, hint: t("hint.number") }, { name: "case", kind: "text", label: t("field.case"), required: true, most: 64 }];
  return html`
    <${Section} title=${t("bureau.freezes")}><${InvoiceTable} name=${t("bureau.freezes")} rows=${rows} empty=${t("bureau.freezes_empty")} extra=${[
      { label: t("field.case"), cell: (invoice) => html`<code>${invoice.frozen}</code>` }, actionsColumn(reload, kindIs("unfreeze")),
    ]} /><//>
    <${Section} title=${t("operation.freeze")}><${ActionForm} title=${t("operation.freeze")} danger hint=${t("hint.freeze")} fields=${fields} done=${reload}
      path=${(body) => `/v1/invoices/${encodeURIComponent(body.number)}/freeze`} make=${({ case: id }) => ({ case: id })} /><//>`;
}
