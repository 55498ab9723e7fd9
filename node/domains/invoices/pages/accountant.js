// The accountant's desk: issue, red letters, numbers and quota left.
import { getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { Actions, NeedsRole } from "../core/forms.js";
import { t } from "../core/language.js";
import { operationsFor } from "./operations.js";
import { self } from "../core/registry.js";
import { place, setQuery } from "../core/router.js";
import { useStore } from "../core/store.js";
import { Amount, Badge, Empty, Heading, Newest, Section, Tabs, counted } from "../core/ui.js";
import { Import } from "./importing.js";
import { InvoiceTable, findInvoices } from "./invoices.js";
import { IssueForm } from "./issuing.js";
import { QuotaTable, SegmentTable } from "./registers.js";
import { Statement } from "./statement.js";
import { actionsColumn, kindIs } from "./wallet.js";

const SHOWN_MAX = 200;

async function load(signal) {
  const me = self.value.participant;
  const [rates, quotas, segments, inbox, issued] = await Promise.all([
    getAll("/v1/tax-rates", "tax_rates", {}, 1_000, signal),
    getAll("/v1/quotas", "quotas", {}, 1_000, signal),
    getAll("/v1/segments", "segments", {}, 1_000, signal),
    getAll("/v1/inbox", "items", {}, SHOWN_MAX, signal),
    findInvoices({ issuer: me }, undefined, signal, SHOWN_MAX),
  ]);
  const own = rates.rows.find((row) => row.issuer === me) ?? rates.rows.find((row) => row.issuer === null);
  return {
    rates: own?.rates ?? [],
    quotas: quotas.rows.filter((row) => row.issuer === me),
    segments: segments.rows.find((row) => row.issuer === me)?.segments ?? [],
    forms: inbox.rows.filter((item) => item.kind.startsWith("red_")),
    issued: issued.rows,
    more: Boolean(issued.cursor) || inbox.more,
  };
}

export function Accountant() {
  const { query } = useStore(place);
  const tab = query.get("tab") ?? "issue";
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("accountant.title")} sub=${t("accountant.sub")} /><${NeedsRole} role="issuer" />
    <${Loaded} of=${data}>${(found) => html`
      <${Tabs} name=${t("accountant.title")} shown=${tab} choose=${(key) => setQuery({ tab: key })} tabs=${[
        ["issue", t("accountant.issue")], ["import", t("import.title")], ["issued", t("accountant.issued")],
        ["red", counted(t("accountant.red"), found.forms, found.more)], ["statement", t("accountant.statement")], ["quota", t("accountant.quota")],
      ]} />
      <${Newest} count=${SHOWN_MAX} more=${["issued", "red"].includes(tab) && found.more} />
      ${tab === "issue" && html`<${IssueForm} rates=${found.rates} done=${data.reload} />`}
      ${tab === "import" && html`<${Import} done=${data.reload} />`}
      ${tab === "issued" && html`<${Section} title=${t("accountant.issued")}><${InvoiceTable} name=${t("accountant.issued")} rows=${found.issued} empty=${t("accountant.issued_empty")} extra=${[actionsColumn(data.reload, kindIs("cancel", "red"))]} /><//>`}
      ${tab === "red" && html`<${RedLetters} found=${found} reload=${data.reload} />`}
      ${tab === "statement" && html`<${Statement} issuer=${self.value.participant} />`}
      ${tab === "quota" && html`<${Quota} found=${found} />`}`}<//>`;
}

function RedLetters({ found, reload }) {
  const open = found.issued.filter((invoice) => invoice.red_forms.some((form) => form.state !== "issued"));
  const red = found.issued.filter((invoice) => invoice.original);
  return html`
    <${Section} title=${t("accountant.red_open")} aside=${html`<span class="hint">${t("accountant.red_hint")}</span>`}>
      <${InvoiceTable} name=${t("accountant.red_open")} rows=${open} empty=${t("accountant.red_none")} extra=${[
        { label: t("invoice.forms"), cell: (invoice) => invoice.red_forms.filter((form) => form.state !== "issued").map((form) => html`<span key=${form.form} class="nowrap"><${Badge} group="form" value=${form.state} /> <${Amount} value=${form.amount} currency=${invoice.currency} /> </span>`) },
        { label: t("desk.do"), cell: (invoice) => html`<${Actions} small done=${reload} actions=${operationsFor(invoice).filter((action) => action.id.startsWith("red_"))} />` },
      ]} /><//>
    <${Section} title=${t("accountant.red_issued")}><${InvoiceTable} name=${t("accountant.red_issued")} rows=${red} empty=${t("accountant.red_issued_none")} /><//>`;
}

function Quota({ found }) {
  return html`
    <${Section} title=${t("bureau.quotas")}><${QuotaTable} rows=${found.quotas} /><//>
    <${Section} title=${t("bureau.segments")}><${SegmentTable} rows=${found.segments} /><//>
    <${Section} title=${t("bureau.rates")}>${found.rates.length ? html`<p>${found.rates.map((rate) => html`<span key=${rate} class="badge plain">${rate / 100}%</span> `)}</p>` : html`<${Empty} />`}<//>`;
}
