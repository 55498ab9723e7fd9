// The expense clerk's desk: what was submitted, what is claimed and paid, and what looks claimed twice.
import { get, getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { NeedsRole } from "../core/forms.js";
import { t } from "../core/language.js";
import { self } from "../core/registry.js";
import { place, setQuery } from "../core/router.js";
import { useStore } from "../core/store.js";
import { Amount, Heading, Newest, Notice, Party, Section, Table, Tabs, Time, counted } from "../core/ui.js";
import { InvoiceTable, findInvoices } from "./invoices.js";
import { InvoiceLink } from "./links.js";
import { actionsColumn, kindIs } from "./wallet.js";

const SHOWN_MAX = 200;
const OPENED_MAX = 100; // invoices whose details are read to compare the issuer's own numbers
const AT_ONCE = 8;

async function load(signal) {
  const me = self.value.participant;
  const [inbox, mine] = await Promise.all([
    getAll("/v1/inbox", "items", {}, SHOWN_MAX, signal),
    findInvoices({ party: me, red: "false" }, undefined, signal, SHOWN_MAX),
  ]);
  const submitted = inbox.rows.filter((item) => item.kind === "submission").map((item) => item.invoice);
  const claimed = mine.rows.filter((invoice) => own(invoice).some((claim) => claim.locked > 0));
  const paid = mine.rows.filter((invoice) => own(invoice).some((claim) => claim.reimbursed > 0));
  const near = new Map([...submitted, ...claimed, ...paid].map((invoice) => [invoice.number, invoice]));
  const until = new Map(inbox.rows.filter((item) => item.kind === "lock").map((item) => [item.invoice.number, item]));
  const { warnings, opened } = await findDoubles([...near.values()], signal);
  // An invoice was compared when its own details were read, and all others are here to compare it with.
  const whole = !inbox.more && !mine.cursor && near.size <= OPENED_MAX;
  const compared = new Set(whole ? opened : []);
  return { submitted, claimed, paid, until, more: { submitted: inbox.more, claimed: mine.cursor, paid: mine.cursor }, warnings, compared };
}

function own(invoice) {
  return invoice.claims.filter((claim) => claim.reimburser === self.value.participant);
}

// What a clerk should look at twice, and the invoices whose details could be read. The ledger itself lets no amount be claimed twice: these are
// invoices in several hands, and different invoices that seem to be one.
async function findDoubles(invoices, signal) {
  const me = self.value.participant;
  const found = [];
  for (const invoice of invoices) {
    const others = invoice.submissions.filter((one) => one.to !== me && one.left > 0);
    if (others.length > 0) found.push({ kind: "several", invoice, parties: others.map((one) => one.to) });
    const elsewhere = invoice.claims.filter((claim) => claim.reimburser !== me && (claim.locked > 0 || claim.reimbursed > 0));
    if (elsewhere.length > 0) found.push({ kind: "elsewhere", invoice, parties: elsewhere.map((claim) => claim.reimburser), amount: elsewhere.reduce((sum, claim) => sum + claim.locked + claim.reimbursed, 0) });
  }
  const groups = new Map();
  const note = (kind, key, invoice) => {
    const name = `${kind} ${key}`;
    if (!groups.has(name)) groups.set(name, { kind, invoices: [] });
    groups.get(name).invoices.push(invoice);
  };
  for (const invoice of invoices) {
    note("alike", [invoice.issuer, invoice.buyer, invoice.issue_date, invoice.currency, invoice.gross].join(" "), invoice);
  }
  const opened = await openDetails(invoices.slice(0, OPENED_MAX), signal);
  for (const invoice of opened) {
    const external = invoice.details?.external_number;
    if (external) note("external", `${invoice.issuer} ${external}`, invoice);
  }
  for (const { kind, invoices: same } of groups.values()) {
    if (same.length > 1) found.push({ kind, invoice: same[0], others: same.slice(1).map((one) => one.number) });
  }
  return { warnings: found, opened: opened.map((one) => one.number) };
}

// Those that have no sealed details, or whose details this node can read.
async function openDetails(invoices, signal) {
  const found = invoices.filter((invoice) => !invoice.details_commitment);
  const sealed = invoices.filter((invoice) => invoice.details_commitment);
  for (let start = 0; start < sealed.length; start += AT_ONCE) {
    const opened = await Promise.all(sealed.slice(start, start + AT_ONCE)
      .map((invoice) => get(`/v1/invoices/${invoice.number}`, {}, signal)));
    found.push(...opened.filter((invoice) => invoice.details));
  }
  return found;
}

// A word of comfort only for what was compared.
function Checked({ found, invoice }) {
  if (found.warnings.some((one) => concerns(one, invoice))) return html`<a class="badge bad" href="/expenses?tab=doubles">${t("expenses.look")}</a>`;
  return found.compared.has(invoice.number)
    ? html`<span class="badge good" data-checked="fine">${t("expenses.fine")}</span>`
    : html`<span class="badge plain" data-checked="no" title=${t("expenses.not_compared_hint")}>${t("expenses.not_compared")}</span>`;
}

export function Expenses() {
  const { query } = useStore(place);
  const tab = query.get("tab") ?? "submitted";
  const data = useData(load, [], { live: true });
  const sum = (invoice, part) => own(invoice).reduce((total, claim) => total + claim[part], 0);
  const submitted = (invoice) => invoice.submissions.find((one) => one.to === self.value.participant);
  return html`<${Heading} title=${t("expenses.title")} sub=${t("expenses.sub")} /><${NeedsRole} role="reimburser" />
    <${Loaded} of=${data}>${(found) => html`
      <${Tabs} name=${t("expenses.title")} shown=${tab} choose=${(key) => setQuery({ tab: key })} tabs=${[
        ["submitted", counted(t("expenses.submitted"), found.submitted, found.more.submitted)], ["claimed", counted(t("expenses.claimed"), found.claimed, found.more.claimed)],
        ["paid", counted(t("expenses.paid"), found.paid, found.more.paid)], ["doubles", counted(t("expenses.doubles"), found.warnings)],
      ]} />
      <${Newest} count=${SHOWN_MAX} more=${found.more[tab]} />
      ${tab === "submitted" && html`<${Section} title=${t("expenses.submitted")}>
        <${InvoiceTable} name=${t("expenses.submitted")} rows=${found.submitted} empty=${t("expenses.submitted_empty")} extra=${[
          { label: t("invoice.holder"), cell: (invoice) => html`<${Party} id=${invoice.holder} />` },
          { label: t("invoice.left"), right: true, cell: (invoice) => html`<${Amount} value=${submitted(invoice)?.left ?? 0} currency=${invoice.currency} />` },
          { label: t("expenses.check"), cell: (invoice) => html`<${Checked} found=${found} invoice=${invoice} />` },
          actionsColumn(data.reload, kindIs("claim")),
        ]} /><//>`}
      ${tab === "claimed" && html`<${Section} title=${t("expenses.claimed")} aside=${html`<span class="hint">${t("expenses.claimed_hint")}</span>`}>
        <${InvoiceTable} name=${t("expenses.claimed")} rows=${found.claimed} empty=${t("expenses.claimed_empty")} extra=${[
          { label: t("part.locked"), right: true, cell: (invoice) => html`<${Amount} value=${sum(invoice, "locked")} currency=${invoice.currency} />` },
          { label: t("expenses.until"), cell: (invoice) => html`<${Time} value=${found.until.get(invoice.number)?.deadline} />` },
          actionsColumn(data.reload, kindIs("reimburse", "release")),
        ]} /><//>`}
      ${tab === "paid" && html`<${Section} title=${t("expenses.paid")}>
        <${InvoiceTable} name=${t("expenses.paid")} rows=${found.paid} empty=${t("expenses.paid_empty")} extra=${[
          { label: t("part.reimbursed"), right: true, cell: (invoice) => html`<${Amount} value=${sum(invoice, "reimbursed")} currency=${invoice.currency} />` },
          { label: t("field.booking"), cell: (invoice) => own(invoice).map((claim) => claim.booking).filter(Boolean).join(", ") },
          { label: t("field.payment"), cell: (invoice) => own(invoice).map((claim) => claim.payment).filter(Boolean).join(", ") },
          actionsColumn(data.reload, kindIs("book", "unbook")),
        ]} /><//>`}
      ${tab === "doubles" && html`<${Doubles} warnings=${found.warnings} />`}`}<//>`;
}

function concerns(warning, invoice) {
  return warning.invoice.number === invoice.number || (warning.others ?? []).includes(invoice.number);
}

function Doubles({ warnings }) {
  return html`<${Section} title=${t("expenses.doubles")}><${Notice}>${t("expenses.doubles_hint")}<//>
    <${Table} name=${t("expenses.doubles")} rows=${warnings} empty=${t("expenses.doubles_empty")} columns=${[
      { label: t("expenses.finding"), wide: true, cell: (one) => t(`double.${one.kind}`) },
      { label: t("invoice.one"), cell: (one) => html`<${InvoiceLink} number=${one.invoice.number} />` },
      { label: t("expenses.with"), cell: (one) => (one.others ? one.others.map((text) => html`<${InvoiceLink} key=${text} number=${text} /> `) : one.parties.map((id) => html`<span key=${id}><${Party} id=${id} /> </span>`)) },
      { label: t("field.amount"), right: true, cell: (one) => html`<${Amount} value=${one.amount ?? one.invoice.gross} currency=${one.invoice.currency} />` },
    ]} /><//>`;
}
