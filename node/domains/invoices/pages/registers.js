// Tables of the registers, which several desks show.
import { html } from "../core/html.js";
import { t } from "../core/language.js";
import { Amount, Table, Time, number } from "../core/ui.js";

export const HOME_CURRENCY = "CNY";

export function QuotaTable({ rows, extra = [] }) {
  const money = (value) => html`<${Amount} value=${value} currency=${HOME_CURRENCY} />`;
  return html`<${Table} name=${t("bureau.quotas")} rows=${rows} empty=${t("bureau.no_quotas")} columns=${[
    ...extra,
    { label: t("bureau.month"), cell: (row) => row.month },
    { label: t("bureau.granted"), right: true, cell: (row) => money(row.granted) },
    { label: t("bureau.used"), right: true, cell: (row) => money(row.used) },
    { label: t("bureau.remaining"), right: true, cell: (row) => money(row.remaining) },
    { label: t("bureau.valid_from"), cell: (row) => html`<${Time} value=${row.valid_from} />` },
    { label: t("bureau.valid_to"), cell: (row) => html`<${Time} value=${row.valid_to} />` },
  ]} />`;
}

export function SegmentTable({ rows, extra = [] }) {
  return html`<${Table} name=${t("bureau.segments")} rows=${rows} empty=${t("bureau.no_segments")} columns=${[
    ...extra,
    { label: t("bureau.first"), cell: (row) => html`<code>${row.first}</code>` },
    { label: t("bureau.last"), cell: (row) => html`<code>${row.last}</code>` },
    { label: t("bureau.numbers_used"), right: true, cell: (row) => number(row.used) },
    { label: t("bureau.numbers_left"), right: true, cell: (row) => number(BigInt(row.last) - BigInt(row.first) + 1n - BigInt(row.used)) },
  ]} />`;
}
