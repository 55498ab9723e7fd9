// What is shown to who is not signed in: how to get in, and what is public.
import { html } from "../core/html.js";
import { language, t } from "../core/language.js";
import { Heading, Notice, Section } from "../core/ui.js";

export function Entrance({ failed, ended }) {
  return html`<${Heading} title=${t("entrance.title")} />
    ${failed && html`<${Notice} kind="bad">${t("entrance.failed")}<//>`}
    ${ended && html`<${Notice} kind="warn">${t("entrance.ended")}<//>`}
    <div class="columns">
      <${Section} title=${t("entrance.how")}>
        <p>${t("entrance.run")}</p><pre>piaolian open --config node.toml</pre><p class="hint">${t("entrance.link")}</p><p class="hint">${t("entrance.scopes")}</p>
      <//>
      <${Section} title=${t("entrance.public")}><ul class="plain-list"><li><a data-outside href="/verify?lang=${language.value}">${t("nav.verify")}</a></li><li><a href="/docs">${t("nav.docs")}</a></li></ul><//>
    </div>`;
}
