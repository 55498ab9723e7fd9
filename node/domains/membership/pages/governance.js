// Who takes part is decided by the governors: proposals and votes.
import { get, getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { Actions } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { self } from "../core/registry.js";
import { Badge, Heading, Notice, Party, Section, Table, Time } from "../core/ui.js";

const ROLES = ["tax_bureau", "issuer", "payer", "reimburser", "customs", "police", "central_bank", "bank"];

async function load(signal) {
  const [page, all] = await Promise.all([
    get("/v1/proposals", { limit: 1 }, signal), getAll("/v1/proposals", "proposals", {}, 500, signal),
  ]);
  const rows = all.rows.sort((a, b) => b.proposed.localeCompare(a.proposed));
  return { governance: page.governance, rows };
}

export function Governance() {
  const data = useData(load, [], { live: true });
  return html`<${Heading} title=${t("governance.title")} sub=${t("governance.sub")} />
    <${Loaded} of=${data}>${({ governance, rows }) => html`
      <${Notice}>${t("governance.threshold", { threshold: governance.threshold, count: governance.governors.length })}
        ${governance.governors.map((one) => html` <${Party} key=${one.participant} id=${one.participant} you=${self.value.participant} />`)}<//>
      <${Section} title=${t("governance.title")} aside=${html`<${Actions} actions=${proposing()} done=${data.reload} />`}>
        <${Table} name=${t("governance.title")} rows=${rows} empty=${t("governance.none")} id=${(row) => row.id} columns=${[
          { label: t("governance.proposal"), cell: (row) => html`<strong>${named("action", row.action.kind)}</strong>` },
          { label: t("overview.participant"), cell: (row) => html`<${Party} id=${row.participant} />` },
          { label: t("field.reason"), wide: true, cell: (row) => row.reason || "–" },
          { label: t("governance.by"), cell: (row) => html`<${Party} id=${row.proposer} />` },
          { label: t("ui.state"), cell: (row) => html`<${Badge} group="proposal" value=${row.state} />` },
          { label: t("governance.votes"), cell: (row) => html`<span class="nowrap">${t("governance.count", { yes: row.approvals.length, no: row.rejections.length })}</span>` },
          { label: t("governance.until"), cell: (row) => html`<${Time} value=${row.expires} />` },
          { label: t("desk.do"), cell: (row) => html`<${Actions} small actions=${deciding(row, governance)} done=${data.reload} />` },
        ]} /><//>`}<//>`;
}

function proposing() {
  const roles = { name: "roles", kind: "several", label: t("overview.roles"), required: true, wide: true, options: ROLES.map((role) => [role, named("role", role)]) };
  const reason = { name: "reason", kind: "text", label: t("field.reason"), hint: t("hint.public"), wide: true };
  const member = { name: "participant", kind: "party", self: true, label: t("overview.participant"), required: true };
  const common = { scope: "admin", path: "/v1/proposals" };
  return [
    { ...common, id: "admit", title: t("governance.admit"), make: (values) => ({ ...values, action: "admit" }), fields: [
      { name: "participant", kind: "text", most: 18, label: t("participants.code"), required: true }, { name: "name", kind: "text", most: 200, label: t("participants.name"), required: true }, roles,
      { name: "signing_key", kind: "text", most: 64, label: t("participants.signing"), required: true, wide: true }, { name: "sealing_key", kind: "text", most: 64, label: t("participants.sealing"), required: true, wide: true }, reason,
    ] },
    { ...common, id: "member", title: t("governance.member"), fields: [
      { name: "action", kind: "choice", label: t("governance.proposal"), required: true, options: ["suspend", "reinstate", "retire"].map((action) => [action, named("action", action)]) }, member, reason,
    ] },
    { ...common, id: "roles", title: named("action", "change_roles"), make: (values) => ({ ...values, action: "change_roles" }), fields: [member, roles, reason] },
  ];
}

function deciding(row, governance) {
  if (row.state !== "open") return [];
  const me = self.value.participant;
  const found = [];
  if (governance.governors.some((one) => one.participant === me)) {
    const vote = { scope: "admin", path: `/v1/proposals/${row.id}/vote` };
    found.push({ ...vote, id: "approve", primary: true, title: t("governance.approve"), make: () => ({ approve: true }) }, { ...vote, id: "reject", danger: true, title: t("governance.reject"), make: () => ({ approve: false }) });
  }
  if (row.proposer === me) found.push({ scope: "admin", id: "withdraw", title: t("operation.withdraw_proposal"), path: `/v1/proposals/${row.id}/withdraw` });
  return found;
}
