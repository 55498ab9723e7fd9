// What an invoice would be, as the node itself reckons it, before it is issued for good. Owns the
// review and its button; the form that it comes from owns what is sent.
import { html } from "../core/html.js";
import { named, t } from "../core/language.js";
import { format, percent } from "../core/money.js";
import { Dialog, Facts, Notice, Party } from "../core/ui.js";

// preview: what the node answered; lines: those of the body.
export function Review({ preview, lines, close, issue }) {
  const { currency } = preview;
  const money = (value) => format(value, currency);
  return html`<${Dialog} title=${t("review.title")} close=${close}>
    <${Notice} kind="warn">${t("review.hint")}<//>
    <${Facts} rows=${[
      [t("invoice.issuer"), html`<${Party} id=${preview.seller} />`],
      [t("invoice.buyer"), preview.buyer === "claim" ? t("form.claim") : html`<${Party} id=${preview.buyer} />`],
      [t("field.order"), preview.order_id], [t("invoice.kind"), named("kind", preview.kind)], [t("invoice.date"), preview.issue_date],
    ]} />
    <h3>${t("details.lines")}</h3>
    <ol class="review">${lines.map((line, position) => html`<li key=${position}><span>${line.description}</span> <span class="nowrap">${money(line.net)} · ${percent(line.rate)}</span></li>`)}</ol>
    <h3>${t("issue.totals")}</h3>
    <div class="review-sums" data-review>
      ${preview.groups.map((group) => html`<p key=${group.rate}><strong>${percent(group.rate)}</strong> <span>${t("line.net")} ${money(group.net)}</span> <span>${t("line.tax")} ${money(group.tax)}</span></p>`)}
      <p class="strong">${t("invoice.gross")} <span class="nowrap" data-review="gross">${money(preview.gross)}</span></p>
      <p>${t("review.capitals")} <span lang="zh" data-review="capitals">${preview.capitals}</span></p>
    </div>
    <div class="buttons"><button type="button" class="primary" data-issue onClick=${issue}>${t("review.issue")}</button>
      <button type="button" onClick=${close}>${t("review.back")}</button></div>
  <//>`;
}
