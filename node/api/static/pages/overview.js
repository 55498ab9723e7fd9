// The node: its health, its peers, and the newest blocks.
import { Problem, get } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { named, t } from "../core/language.js";
import { Badge, Facts, Failure, Hash, Heading, Notice, Party, Section, Table, Time, number } from "../core/ui.js";

async function load(signal) {
  const [status, blocks, failing, evidence] = await Promise.all([
    get("/v1/status", {}, signal), get("/v1/blocks", { limit: 12 }, signal), failingChecks(signal),
    get("/v1/evidence", { limit: 50 }, signal),
  ]);
  return { status, blocks: blocks.blocks, failing, evidence: evidence.evidence };
}

async function failingChecks(signal) {
  try {
    return (await get("/readyz", {}, signal)).failing;
  } catch (error) {
    if (error instanceof Problem && error.body.failing) return error.body.failing;
    throw error;
  }
}

export function Overview() {
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("overview.title")} /><${Loaded} of=${data}>${(found) => html`<${Shown} ...${found} />`}<//>`;
}

function Figure({ label, value, children }) {
  return html`<div class="figure"><span class="label">${label}</span><span class="value">${value}</span>${children && html`<span class="more">${children}</span>`}</div>`;
}

function Shown({ status, blocks, failing, evidence }) {
  const behind = status.height - status.final_height;
  return html`
    ${failing.length > 0 && html`<${Notice} kind="bad"><strong>${t("overview.not_ready")}</strong><ul>${failing.map((check) => html`<li key=${check.name}><code>${check.name}</code> ${check.detail}</li>`)}</ul><//>`}
    ${evidence.length > 0 && html`<${Notice} kind="bad"><a href="/evidence">${t("overview.evidence", { count: evidence.length })}</a><//>`}
    <div class="figures">
      <${Figure} label=${t("overview.final")} value=${number(status.final_height)}>${behind > 0 ? t("overview.behind", { count: behind }) : t("overview.all_final")}<//>
      <${Figure} label=${t("overview.tree")} value=${number(status.tree_size)}>${t("overview.leaves")}<//>
      <${Figure} label=${t("overview.raft")} value=${named("raft", status.raft.state)}>${t("overview.term", { term: status.raft.term })}${status.raft.leader && ` · ${t("overview.leader", { leader: status.raft.leader })}`}<//>
      <${Figure} label=${t("overview.ready")} value=${failing.length ? t("overview.no") : t("overview.yes")}>${t("overview.pool", { pool: number(status.pool.transactions), outbox: number(status.outbox) })}<//>
    </div>
    <div class="columns">
      <${Section} title=${t("overview.this")}>
        <${Facts} rows=${[
          [t("overview.node"), html`<strong>${status.node}</strong> <span class="faint">${status.version}</span>`],
          [t("overview.participant"), html`<${Party} id=${status.participant} /> <code>${status.participant}</code>`],
          [t("overview.roles"), status.roles.map((role) => named("role", role)).join(", ")],
          [t("overview.network"), html`<${Hash} value=${status.network_id} />`],
          [t("overview.root"), html`<${Hash} value=${status.root} />`],
          [t("overview.digest"), html`<${Hash} value=${status.state_digest} />`],
          [t("overview.index"), t("overview.index_at", { height: number(status.index.height) })],
          [t("overview.rules"), status.rules_version],
        ]} />
      <//>
      <${Section} title=${t("overview.peers")}>
        <${Table} name=${t("overview.peers")} rows=${status.peers} id=${(peer) => peer.node} columns=${[
          { label: t("overview.node"), cell: (peer) => peer.node },
          { label: t("overview.link"), cell: (peer) => html`<${Badge} value=${peer.connected ? "connected" : "lost"} group="link" />` },
          { label: t("block.height"), right: true, cell: (peer) => (peer.height === null ? "–" : number(peer.height)) },
          { label: t("overview.rtt"), right: true, cell: (peer) => (peer.rtt_ms === null ? "–" : `${peer.rtt_ms} ms`) },
        ]} />
      <//>
    </div>
    <${Section} title=${t("overview.blocks")}>
      <${Table} name=${t("overview.blocks")} rows=${blocks} id=${(block) => block.height} empty=${t("overview.no_blocks")} columns=${[
        { label: t("block.height"), cell: (block) => html`<a href="/blocks/${block.height}">${number(block.height)}</a>` },
        { label: t("block.time"), cell: (block) => html`<${Time} value=${block.time} />` },
        { label: t("block.transactions"), right: true, cell: (block) => number(block.count) },
        { label: t("block.term"), right: true, cell: (block) => block.term },
        { label: t("block.state"), cell: (block) => html`<${Badge} group="write" value=${block.final ? "final" : "committed"} />` },
        { label: t("overview.digest"), cell: (block) => html`<${Hash} value=${block.state_digest} copy=${false} />` },
      ]} />
    <//>`;
}

export function Evidence() {
  const data = useData((signal) => get("/v1/evidence", { limit: 500 }, signal), [], { live: true });
  return html`<${Heading} title=${t("evidence.title")} sub=${t("evidence.sub")} /><${Loaded} of=${data}>${(page) => html`
    <${Table} name=${t("evidence.title")} rows=${page.evidence} empty=${t("evidence.none")} id=${(item) => item.id} columns=${[
      { label: t("evidence.voter"), cell: (item) => html`<strong>${item.voter}</strong>` },
      { label: t("evidence.kind"), cell: (item) => named("evidence", item.kind) },
      { label: t("evidence.sentence"), wide: true, cell: (item) => item.sentence },
      { label: t("evidence.found"), cell: (item) => html`<${Time} value=${item.found} />` },
      { label: t("evidence.file"), cell: (item) => html`<a data-outside download="${item.id.slice(0, 16)}.evidence" href="/v1/evidence/${item.id}">${t("ui.download")}</a>` },
    ]} />`}<//>`;
}
