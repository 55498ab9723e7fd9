// The payer's desk: what waits for an answer, and the invoices held.
import { get, getAll, mayWrite, newKey, post } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html, useState } from "../core/html.js";
import { Actions, Field } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { operationsFor } from "./operations.js";
import { keys, self } from "../core/registry.js";
import { place, setQuery } from "../core/router.js";
import { useStore } from "../core/store.js";
import { Amount, Badge, Failure, Hash, Heading, Newest, Notice, Section, Table, Tabs, counted } from "../core/ui.js";
import { InvoiceTable, findInvoices } from "./invoices.js";

const SHOWN_MAX = 200;
const KEYS_MAX = 24; // each is one more question to the node

export function actionsColumn(reload, wanted = () => true) {
  return {
    label: t("desk.do"), cell: (invoice) => html`<${Actions} small done=${reload} actions=${
      operationsFor(invoice).filter(wanted)} />`,
  };
}

export const kindIs = (...kinds) => (action) => kinds.includes(action.id.split("-")[0]);

// Invoices of this participant and of the newest bare keys of its wallet, newest first.
async function findOf(part, query, signal) {
  const parties = [self.value.participant, ...keys.value.slice(-KEYS_MAX)];
  const found = await Promise.all(parties.map((party) => findInvoices({ ...query, [part]: party }, undefined, signal, SHOWN_MAX)));
  return {
    rows: found.flatMap((page) => page.rows).sort((a, b) => b.height - a.height),
    more: found.some((page) => page.cursor),
  };
}

async function load(signal) {
  const [inbox, open, held] = await Promise.all([
    getAll("/v1/inbox", "items", {}, SHOWN_MAX, signal),
    findOf("buyer", { unanswered: "true" }, signal),
    findOf("holder", { red: "false" }, signal),
  ]);
  return { inbox: inbox.rows.filter((item) => !["submission", "lock"].includes(item.kind)), more: inbox.more, open, held };
}

export function Wallet() {
  const { query } = useStore(place);
  const tab = query.get("tab") ?? "inbox";
  useStore(keys);
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("wallet.title")} sub=${t("wallet.sub")} />
    <${Loaded} of=${data}>${(found) => html`
      <${Tabs} name=${t("wallet.title")} shown=${tab} choose=${(key) => setQuery({ tab: key })} tabs=${[
        ["inbox", counted(t("wallet.inbox"), found.inbox, found.more)], ["answer", counted(t("wallet.answer"), found.open.rows, found.open.more)],
        ["held", counted(t("wallet.held"), found.held.rows, found.held.more)], ["keys", counted(t("wallet.keys"), keys.value)],
      ]} />
      <${Newest} count=${SHOWN_MAX} more=${{ inbox: found.more, answer: found.open.more, held: found.held.more }[tab]} />
      ${tab === "inbox" && html`<${Section} title=${t("wallet.inbox")}><${InvoiceTable} name=${t("wallet.inbox")} empty=${t("wallet.inbox_empty")} rows=${found.inbox.map((item) => ({ ...item.invoice, item }))} extra=${[
        { label: t("wallet.waits"), cell: (invoice) => html`<${Badge} value=${invoice.item.kind} group="waiting" />` },
        { label: t("desk.do"), cell: (invoice) => html`<${Actions} small done=${data.reload} actions=${waiting(invoice)} />` },
      ]} /><//>`}
      ${tab === "answer" && html`<${Section} title=${t("wallet.answer")} aside=${html`<span class="hint">${t("wallet.answer_hint")}</span>`}>
        <${InvoiceTable} name=${t("wallet.answer")} rows=${found.open.rows} empty=${t("wallet.answer_empty")} extra=${[actionsColumn(data.reload, kindIs("respond"))]} /><//>`}
      ${tab === "held" && html`<${Section} title=${t("wallet.held")}>
        <${InvoiceTable} name=${t("wallet.held")} rows=${found.held.rows} empty=${t("wallet.held_empty")} extra=${[
          { label: t("part.available"), right: true, cell: (invoice) => html`<${Amount} value=${invoice.available} currency=${invoice.currency} />` },
          actionsColumn(data.reload, kindIs("submit", "offer", "withdraw")),
        ]} /><//>`}
      ${tab === "keys" && html`<${Keys} reload=${data.reload} />`}`}<//>`;
}

// What an item of the inbox asks for, of all that may be done with its invoice.
export function waiting(invoice) {
  const { item } = invoice;
  const kinds = { offer: ["sign", "refuse"], red_confirmation: ["red_confirm", "red_deny"], red_issue: ["red_issue"] }[item.kind];
  return operationsFor(invoice).filter((action) => {
    const [kind, form] = action.id.split("-");
    return kinds?.includes(kind) && (item.form === undefined || String(item.form) === form);
  });
}

// Bare keys: made for one purchase each, or taken over from the face of an invoice. Only public keys
// are ever shown.
function Keys({ reload }) {
  const [state, setState] = useState({});
  const run = async (path, body, done) => {
    setState({ busy: true });
    try {
      const { key } = await post(path, body, newKey());
      keys.set((await get("/v1/wallet/keys")).keys);
      setState({ key });
      done?.();
      reload();
    } catch (error) {
      setState({ error });
    }
  };
  const takeOver = (event) => {
    event.preventDefault();
    const form = event.target;
    run("/v1/wallet/keys:import", { claim_key: new FormData(form).get("claim_key").trim() }, () => form.reset());
  };
  const closed = state.busy || !mayWrite();
  return html`<${Section} title=${t("wallet.keys")} aside=${html`<button type="button" class="primary" data-make-key disabled=${closed} onClick=${() => run("/v1/wallet/keys", {})}>${t("wallet.make")}</button>`}>
    <p class="hint">${t("wallet.keys_hint")}</p>
    ${state.error && html`<${Failure} error=${state.error} />`}
    ${state.key && html`<${Notice}>${t("wallet.made")} <${Hash} value=${state.key} length=${64} /><//>`}
    <${Table} name=${t("wallet.keys")} rows=${[...keys.value].reverse()} empty=${t("wallet.no_keys")} id=${(key) => key} columns=${[
      { label: t("wallet.key"), wide: true, cell: (key) => html`<${Hash} value=${key} length=${64} />` },
    ]} />
    <form class="action" onSubmit=${takeOver}><div class="fields"><${Field} id="claim-key" label=${t("wallet.claim_key")} hint=${t("wallet.claim_hint")} wide>
      <div class="joined"><input id="claim-key" name="claim_key" type="text" maxlength="200" required autocomplete="off" placeholder="plck1-…" /><button type="submit" disabled=${closed}>${t("wallet.take_over")}</button></div><//></div></form>
  <//>`;
}
