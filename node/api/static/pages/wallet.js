// The payer's desk: what waits for an answer, and the invoices held.
import { getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { Actions } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { operationsOf } from "../core/operations.js";
import { self } from "../core/registry.js";
import { place, setQuery } from "../core/router.js";
import { useStore } from "../core/store.js";
import { Amount, Badge, Heading, Section, Tabs } from "../core/ui.js";
import { InvoiceTable, findInvoices } from "./invoices.js";

const SHOWN_MAX = 200;

export function actionsColumn(reload, wanted = () => true) {
  return {
    label: t("desk.do"), cell: (invoice) => html`<${Actions} small done=${reload} actions=${
      operationsOf(invoice, self.value.participant, self.value.roles).filter(wanted)} />`,
  };
}

export const kindIs = (...kinds) => (action) => kinds.includes(action.id.split("-")[0]);

async function load(signal) {
  const me = self.value.participant;
  const [inbox, open, held] = await Promise.all([
    getAll("/v1/inbox", "items", {}, SHOWN_MAX, signal),
    findInvoices({ buyer: me, unanswered: "true" }, undefined, signal, SHOWN_MAX),
    findInvoices({ holder: me, red: "false" }, undefined, signal, SHOWN_MAX),
  ]);
  return { inbox: inbox.rows.filter((item) => !["submission", "lock"].includes(item.kind)), open: open.rows, held: held.rows };
}

export function Wallet() {
  const { query } = useStore(place);
  const tab = query.get("tab") ?? "inbox";
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("wallet.title")} sub=${t("wallet.sub")} />
    <${Loaded} of=${data}>${(found) => html`
      <${Tabs} name=${t("wallet.title")} shown=${tab} choose=${(key) => setQuery({ tab: key })} tabs=${[
        ["inbox", `${t("wallet.inbox")} (${found.inbox.length})`], ["answer", `${t("wallet.answer")} (${found.open.length})`], ["held", `${t("wallet.held")} (${found.held.length})`],
      ]} />
      ${tab === "inbox" && html`<${Section} title=${t("wallet.inbox")}><${InvoiceTable} name=${t("wallet.inbox")} empty=${t("wallet.inbox_empty")} rows=${found.inbox.map((item) => ({ ...item.invoice, item }))} extra=${[
        { label: t("wallet.waits"), cell: (invoice) => html`<${Badge} value=${invoice.item.kind} group="waiting" />` },
        { label: t("desk.do"), cell: (invoice) => html`<${Actions} small done=${data.reload} actions=${waiting(invoice)} />` },
      ]} /><//>`}
      ${tab === "answer" && html`<${Section} title=${t("wallet.answer")} aside=${html`<span class="hint">${t("wallet.answer_hint")}</span>`}>
        <${InvoiceTable} name=${t("wallet.answer")} rows=${found.open} empty=${t("wallet.answer_empty")} extra=${[actionsColumn(data.reload, kindIs("respond"))]} /><//>`}
      ${tab === "held" && html`<${Section} title=${t("wallet.held")}>
        <${InvoiceTable} name=${t("wallet.held")} rows=${found.held} empty=${t("wallet.held_empty")} extra=${[
          { label: t("part.available"), right: true, cell: (invoice) => html`<${Amount} value=${invoice.available} currency=${invoice.currency} />` },
          actionsColumn(data.reload, kindIs("submit", "offer", "withdraw")),
        ]} /><//>`}`}<//>`;
}

function waiting(invoice) {
  const { item } = invoice;
  const kinds = { offer: ["sign", "refuse"], red_confirmation: ["red_confirm", "red_deny"], red_issue: ["red_issue"] }[item.kind];
  return operationsOf(invoice, self.value.participant, self.value.roles).filter((action) => {
    const [kind, form] = action.id.split("-");
    return kinds?.includes(kind) && (item.form === undefined || String(item.form) === form);
  });
}
