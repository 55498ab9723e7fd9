// The monthly statement of an issuer: the same at its own node and at the bureau's.
import { get } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html, useState } from "../core/html.js";
import { Field } from "../core/forms.js";
import { t } from "../core/language.js";
import { percent } from "../core/money.js";
import { withRole } from "../core/registry.js";
import { Amount, Empty, Section, Table, number } from "../core/ui.js";
import { QuotaTable } from "./registers.js";
import { monthsBack } from "./terms.js";

const KINDS = ["issued", "cancelled", "red"];

// Without `issuer` it can be chosen.
export function Statement({ issuer }) {
  const issuers = withRole("issuer");
  const [who, setWho] = useState(issuer ?? issuers[0]?.id);
  const [month, setMonth] = useState(monthsBack(1)[0]);
  const data = useData((signal) => (who ? get(`/v1/statements/${who}/${month}`, {}, signal) : { currencies: [] }), [who, month], { live: true });
  return html`
    <div class="filters">
      ${!issuer && html`<${Field} id="s-issuer" label=${t("invoice.issuer")}><select id="s-issuer" onChange=${(event) => setWho(event.target.value)}>${issuers.map((party) => html`<option key=${party.id} value=${party.id} selected=${party.id === who}>${party.name}</option>`)}</select><//>`}
      <${Field} id="s-month" label=${t("bureau.month")}><select id="s-month" onChange=${(event) => setMonth(event.target.value)}>${monthsBack(24).map((text) => html`<option key=${text} value=${text} selected=${text === month}>${text}</option>`)}</select><//>
    </div>
    <${Loaded} of=${data}>${(statement) => html`
      ${statement.currencies.length === 0 && html`<${Section} title=${month}><${Empty}>${t("statement.none")}<//><//>`}
      ${statement.currencies.map((part) => html`<${Part} key=${part.currency} part=${part} month=${month} />`)}
      ${statement.quota && html`<${Section} title=${t("bureau.quotas")}><${QuotaTable} rows=${[statement.quota]} /><//>`}`}<//>`;
}

function Part({ part, month }) {
  const money = (value) => html`<${Amount} value=${value} currency=${part.currency} />`;
  const rows = [...KINDS.map((kind) => ({ label: t(`statement.${kind}`), ...part[kind] })), { label: t("statement.result"), net: part.net, tax: part.tax, gross: part.gross }];
  const split = (name) => ({ label: `${t(`statement.${name}`)} · ${t("line.net")}`, right: true, cell: (row) => money(row[`${name}_net`]) });
  return html`<${Section} title="${month} · ${part.currency}">
    <${Table} name=${t("accountant.statement")} rows=${rows} columns=${[
      { label: "", cell: (row) => html`<strong>${row.label}</strong>` },
      { label: t("statement.documents"), right: true, cell: (row) => (row.documents === undefined ? "" : number(row.documents)) },
      { label: t("line.net"), right: true, cell: (row) => money(row.net) },
      { label: t("line.tax"), right: true, cell: (row) => money(row.tax) },
      { label: t("invoice.gross"), right: true, cell: (row) => money(row.gross) },
    ]} />
    <h3>${t("invoice.rates")}</h3>
    <${Table} name=${t("invoice.rates")} rows=${part.rates} id=${(row) => row.rate} columns=${[
      { label: t("line.rate"), cell: (row) => percent(row.rate) }, ...KINDS.map(split),
      { label: t("line.net"), right: true, cell: (row) => money(row.net) },
      { label: t("line.tax"), right: true, cell: (row) => money(row.tax) },
    ]} />
  <//>`;
}
