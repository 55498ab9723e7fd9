// The participants of the network.
import { getAll } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html } from "../core/html.js";
import { named, t } from "../core/language.js";
import { self } from "../core/registry.js";
import { Badge, Hash, Heading, Section, Table } from "../core/ui.js";

export function Participants() {
  const data = useData((signal) => getAll("/v1/participants", "participants", {}, 1_000, signal), [], { live: true });
  const keys = (list) => list.map((key) => html`<div key=${key.key} class="nowrap"><${Hash} value=${key.key} />${!key.live && html` <${Badge} group="key" value="revoked" />`}</div>`);
  return html`<${Heading} title=${t("participants.title")} sub=${t("participants.sub")} />
    <${Loaded} of=${data}>${({ rows }) => html`<${Section} title=${t("participants.title")}>
      <${Table} name=${t("participants.title")} rows=${rows} id=${(party) => party.id} columns=${[
        { label: t("participants.name"), cell: (party) => html`<strong>${party.name}</strong>${party.id === self.value.participant && html` <span class="you">${t("ui.you")}</span>`}` },
        { label: t("participants.code"), cell: (party) => html`<code>${party.id}</code>` },
        { label: t("overview.roles"), cell: (party) => party.roles.map((role) => named("role", role)).join(", ") },
        { label: t("ui.state"), cell: (party) => html`<span class="badges"><${Badge} group="party" value=${party.state} />${party.issuing_suspended && html`<${Badge} group="party" value="suspended">${t("participants.suspended")}<//>`}</span>` },
        { label: t("participants.signing"), cell: (party) => keys(party.signing_keys) },
        { label: t("participants.sealing"), cell: (party) => keys(party.sealing_keys) },
      ]} /><//>`}<//>`;
}
