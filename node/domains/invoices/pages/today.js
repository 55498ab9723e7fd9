// The first page after signing in: what waits and until when, and how the month stands, by role.
import { get, getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { t } from "../core/language.js";
import { have, self } from "../core/registry.js";
import { Amount, Badge, Heading, Notice, Section, Table, Time, number } from "../core/ui.js";
import { findInvoices } from "./invoices.js";
import { InvoiceLink } from "./links.js";
import { HOME_CURRENCY } from "./registers.js";
import { monthsBack } from "./terms.js";

const WAITING_MAX = 200;
const SHOWN_MAX = 15;
// Where an item of the inbox is dealt with.
const DESKS = { submission: "/expenses?tab=submitted", lock: "/expenses?tab=claimed", offer: "/wallet?tab=inbox", red_confirmation: "/wallet?tab=inbox", red_issue: "/accountant?tab=red" };

async function load(signal) {
  const me = self.value.participant;
  const [inbox, unanswered, month, bureau] = await Promise.all([
    getAll("/v1/inbox", "items", {}, WAITING_MAX, signal),
    findInvoices({ buyer: me, unanswered: "true", red: "false" }, undefined, signal, WAITING_MAX),
    have("issuer") ? get(`/v1/statements/${me}/${monthsBack(1)[0]}`, {}, signal) : null,
    have("tax_bureau") ? bureauCounts(signal) : null,
  ]);
  return { items: bySoonest(inbox.rows), more: inbox.more, unanswered, month, bureau };
}

async function bureauCounts(signal) {
  const [disputed, frozen, discrepancies] = await Promise.all([
    findInvoices({ response: "disputed" }, undefined, signal, WAITING_MAX),
    findInvoices({ frozen: "true" }, undefined, signal, WAITING_MAX),
    getAll("/v1/discrepancies", "discrepancies", { state: "open" }, WAITING_MAX, signal),
  ]);
  return { disputes: counted(disputed.rows, disputed.cursor), freezes: counted(frozen.rows, frozen.cursor), discrepancies: counted(discrepancies.rows, discrepancies.more) };
}

const counted = (rows, more) => `${number(rows.length)}${more ? "+" : ""}`;

// What is overdue first, then by the end of its term; what has none comes last.
function bySoonest(items) {
  const last = "9999";
  return [...items].sort((one, other) => (one.deadline ?? last).localeCompare(other.deadline ?? last));
}

export function Today() {
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("today.title")} sub=${t("today.sub")} />
    <${Loaded} of=${data}>${(found) => html`
      <div class="figures">
        <${Figure} label=${t("today.waiting")} value=${counted(found.items, found.more)}>${t("today.overdue", { count: number(found.items.filter((item) => item.overdue).length) })}<//>
        <${Figure} label=${t("wallet.answer")} value=${counted(found.unanswered.rows, found.unanswered.cursor)} href="/wallet?tab=answer" />
        ${found.month && html`<${Month} month=${found.month} />`}
        ${found.bureau && ["disputes", "freezes", "discrepancies"].map((name) => html`<${Figure} key=${name} label=${t(`bureau.${name}`)} value=${found.bureau[name]} href="/bureau?tab=${name}" />`)}
      </div>
      <${Waiting} items=${found.items} more=${found.more} />`}<//>`;
}

function Figure({ label, value, href, children }) {
  return html`<div class="figure"><span class="label">${label}</span><span class="value">${href ? html`<a href=${href}>${value}</a>` : value}</span>${children && html`<span class="more">${children}</span>`}</div>`;
}

// What was issued this month, and what may be issued yet.
function Month({ month }) {
  const documents = month.currencies.reduce((sum, part) => sum + part.issued.documents, 0);
  return html`
    <${Figure} label="${month.month} · ${t("statement.issued")}" value=${number(documents)} href="/accountant?tab=statement">${month.currencies.map((part) => html`<span key=${part.currency}><${Amount} value=${part.gross} currency=${part.currency} /> </span>`)}<//>
    <${Figure} label=${t("bureau.remaining")} value=${month.quota ? html`<${Amount} value=${month.quota.remaining} currency=${HOME_CURRENCY} />` : "–"} href="/accountant?tab=quota">${month.quota ? html`${t("bureau.granted")} <${Amount} value=${month.quota.granted} currency=${HOME_CURRENCY} />` : t("bureau.no_quotas")}<//>`;
}

function Waiting({ items, more }) {
  const rest = items.length - SHOWN_MAX;
  return html`<${Section} title=${t("today.todo")}>
    <${Table} name=${t("today.todo")} rows=${items.slice(0, SHOWN_MAX)} empty=${t("wallet.inbox_empty")} columns=${[
      { label: t("today.until"), cell: (item) => html`<${Time} value=${item.deadline} day />${item.overdue && html` <span class="badge bad">${t("today.late")}</span>`}` },
      { label: t("wallet.waits"), cell: (item) => html`<a href=${DESKS[item.kind]}><${Badge} value=${item.kind} group="waiting" /></a>` },
      { label: t("invoice.number"), cell: (item) => html`<${InvoiceLink} number=${item.invoice.number} />` },
      { label: t("invoice.gross"), right: true, cell: (item) => html`<${Amount} value=${item.invoice.gross} currency=${item.invoice.currency} />` },
    ]} />
    ${(rest > 0 || more) && html`<${Notice}>${t("today.rest", { count: `${number(Math.max(rest, 0))}${more ? "+" : ""}` })}<//>`}<//>`;
}
