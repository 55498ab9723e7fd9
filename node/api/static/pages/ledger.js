// A block and a transaction, as the ledger holds them.
import { get } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { DocumentLink, namesDocument } from "../core/documents.js";
import { html } from "../core/html.js";
import { named, t } from "../core/language.js";
import { parties } from "../core/registry.js";
import { Badge, CodeText, Facts, Hash, Heading, Notice, Party, Section, Table, Time, number } from "../core/ui.js";

export function Block({ height }) {
  const data = useData((signal) => get(`/v1/blocks/${height}`, {}, signal), [height], { live: true });
  return html`<${Heading} title=${t("block.one", { height })}>
      ${Number(height) > 1 && html`<a class="button" href="/blocks/${Number(height) - 1}">← ${t("block.before")}</a>`}
      <a class="button" href="/blocks/${Number(height) + 1}">${t("block.after")} →</a>
    <//>
    <${Loaded} of=${data}>${(block) => html`
      <${Section} title=${t("block.seal")} aside=${html`<${Badge} group="write" value=${block.final ? "final" : "committed"} />`}>
        <${Facts} rows=${[
          [t("block.time"), html`<${Time} value=${block.time} />`],
          [t("block.term"), block.term],
          [t("block.proposer"), block.proposer],
          [t("block.first"), number(block.first_index)],
          [t("overview.digest"), html`<${Hash} value=${block.state_digest} />`],
          [t("block.voters"), html`<${Hash} value=${block.voters_hash} />`],
        ]} />
        ${block.certificate && html`<details><summary>${t("block.certificate")}</summary><pre>${block.certificate}</pre></details>`}
      <//>
      <${Section} title=${t("block.transactions")}>
        <${Table} name=${t("block.transactions")} rows=${block.transactions} empty=${t("block.none")} id=${(one) => one.id} columns=${[
          { label: t("transaction.id"), cell: (one) => html`<${Hash} value=${one.id} href="/transactions/${one.id}" copy=${false} />` },
          { label: t("transaction.outcome"), cell: (one) => html`<${Outcome} code=${one.code} />` },
          { label: t("transaction.author"), cell: (one) => html`<${Party} id=${one.author} />` },
          { label: t("transaction.operations"), wide: true, cell: (one) => summary(one.operations) },
        ]} />
      <//>`}<//>`;
}

function Outcome({ code }) {
  return code === "OK" ? html`<${Badge} value="applied" group="outcome" />` : html`<${Badge} value="refused" group="outcome">${code}<//>`;
}

function summary(operations) {
  const counts = new Map();
  for (const operation of operations) counts.set(operation.kind, (counts.get(operation.kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => named("operation", kind) + (count > 1 ? ` ×${count}` : "")).join(", ");
}

export function Transaction({ id }) {
  const data = useData((signal) => get(`/v1/transactions/${id}`, {}, signal), [id], { live: true });
  return html`<${Heading} title=${t("transaction.one")} sub=${html`<${Hash} value=${id} length=${64} />`} />
    <${Loaded} of=${data}>${(found) => html`<${Shown} found=${found} />`}<//>`;
}

function Shown({ found }) {
  const refused = found.code !== "OK";
  return html`
    <${Section} title=${t("transaction.state")} aside=${html`<${Badge} group="write" value=${found.state} />`}>
      ${refused && html`<${Notice} kind="bad"><strong class="code">${found.code}</strong> <${CodeText} code=${found.code} /><//>`}
      <${Facts} rows=${[
        [t("block.height"), found.height && html`<a href="/blocks/${found.height}">${number(found.height)}</a>`],
        [t("transaction.leaf"), found.index !== null && number(found.index)],
        [t("transaction.author"), found.author && html`<${Party} id=${found.author} />`],
        [t("transaction.never"), found.final ? t("transaction.settled") : t("transaction.open")],
      ]} />
      ${found.final && html`<p><a class="button primary" data-outside download="${found.id.slice(0, 16)}.proof" href="/v1/transactions/${found.id}/receipt">${t("transaction.receipt")}</a> <span class="hint">${t("transaction.receipt_hint")}</span></p>`}
    <//>
    <${Section} title=${t("transaction.operations")}>${(found.operations ?? []).map((operation, position) => html`
      <article key=${position} class="operation"><h3>${position + 1}. ${named("operation", operation.kind)} <span class="faint">${t("transaction.signed")} <${Party} id=${operation.signer} /></span></h3>
        <${Facts} rows=${Object.entries(operation.fields).map(([name, value]) => [name.replaceAll("_", " "), html`<${Value} name=${name} value=${value} />`])} /></article>`)}<//>`;
}

function Value({ name, value }) {
  if (value === null || value === "") return html`<span class="faint">–</span>`;
  if (namesDocument(name, value)) return html`<${DocumentLink} number=${value} />`;
  if (typeof value === "string" && parties.value.has(value)) return html`<${Party} id=${value} />`;
  if (typeof value === "string" && /^[0-9a-f]{64,}$/.test(value)) return html`<${Hash} value=${value} />`;
  if (typeof value === "object") return html`<code class="json">${JSON.stringify(value)}</code>`;
  return String(value);
}
