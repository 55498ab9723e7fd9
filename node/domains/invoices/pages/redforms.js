// Red letters: by line where this participant can read the lines, else by amount.
import { html, useState } from "../core/html.js";
import { get } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { RED_REASONS, creditable } from "./facets.js";
import { ActionForm, newId } from "../core/forms.js";
import { named, t } from "../core/language.js";
import { format, percent, taxOf, toMajor, toMinor } from "../core/money.js";
import { Notice, Table } from "../core/ui.js";

// The lines of an invoice with what is taken back of each. `taken` is { position: typed net }.
function RedLines({ invoice, taken, setTaken }) {
  const [prefix] = useState(() => newId("red"));
  const toggle = (position, line) => {
    const next = { ...taken };
    if (position in next) delete next[position];
    else next[position] = toMajor(line.net, invoice.currency);
    setTaken(next);
  };
  return html`<fieldset><legend>${t("red.lines")}</legend><div class="scroll" tabindex="0" role="region" aria-label=${t("red.lines")}><table class="stack">
    <thead><tr><th scope="col" class="tiny"><span class="unseen">${t("red.take")}</span></th><th scope="col">${t("line.description")}</th><th scope="col" class="right">${t("line.net")}</th><th scope="col" class="right">${t("line.rate")}</th><th scope="col" class="right">${t("red.take")}</th></tr></thead>
    <tbody>${invoice.details.lines.map((line, position) => html`<tr key=${position}>
      <td data-label=${t("red.take")}>${line.net > 0 && html`<input type="checkbox" id="${prefix}-${position}" checked=${position in taken} onChange=${() => toggle(position, line)} aria-label="${t("red.take")}: ${line.description}" />`}</td>
      <td class="wide" data-label=${t("line.description")}><label for="${prefix}-${position}">${line.description}</label></td><td class="right" data-label=${t("line.net")}>${format(line.net, invoice.currency)}</td><td class="right" data-label=${t("line.rate")}>${percent(line.rate)}</td>
      <td class="right" data-label=${position in taken ? t("line.net") : ""}>${position in taken && html`<input type="text" inputmode="decimal" class="right narrow" value=${taken[position]} aria-label="${t("line.net")}: ${line.description}" onInput=${(event) => setTaken({ ...taken, [position]: event.target.value })} />`}</td>
    </tr>`)}</tbody></table></div></fieldset>`;
}

// What was chosen, as the node takes it; null when an amount is none. A whole line names no amount:
// the node takes what it has left.
function chosen(invoice, taken) {
  const lines = [];
  let gross = 0n;
  for (const [position, typed] of Object.entries(taken)) {
    const source = invoice.details.lines[position];
    const net = toMinor(typed, invoice.currency);
    if (net === null || net <= 0n) return null;
    const whole = net === BigInt(source.net);
    gross += net + (whole && source.tax !== undefined ? BigInt(source.tax) : taxOf(net, source.rate));
    lines.push(whole ? { line: Number(position) } : { line: Number(position), net: Number(net) });
  }
  return { lines, gross };
}

export function RedRequestForm({ invoice, done, title, path }) {
  const [taken, setTaken] = useState({});
  const left = creditable(invoice);
  const byLine = Object.keys(taken).length > 0;
  const found = byLine ? chosen(invoice, taken) : null;
  const amount = { name: "amount", kind: "amount", label: t("red.gross"), required: true, max: left, hint: t("red.left", { left: format(left, invoice.currency) }), initial: toMajor(left, invoice.currency) };
  const reason = { name: "reason", kind: "choice", label: t("field.reason"), required: true, options: RED_REASONS.map((word) => [word, named("reason", word)]) };
  return html`
    ${(invoice.details?.lines?.length ?? 0) > 0 && html`<${RedLines} invoice=${invoice} taken=${taken} setTaken=${setTaken} />`}
    ${byLine && html`<p class="total">${found ? html`${t("red.gross")} <strong data-total="red">${format(found.gross, invoice.currency)}</strong>` : html`<span class="error" role="alert">${t("form.amount", { places: 2 })}</span>`}</p>`}
    <${ActionForm} key=${byLine} title=${title} path=${path} fields=${byLine ? [reason] : [amount, reason]} currency=${invoice.currency} hint=${t("hint.red")} done=${done}
      make=${(values) => (byLine ? { reason: values.reason, lines: found?.lines ?? [] } : values)} />`;
}

export function RedIssueForm({ invoice, red, done, title, path }) {
  const data = useData((signal) => get(`/v1/invoices/${invoice.number}/red/${red.form}`, {}, signal), []);
  const fields = [{ name: "order_id", kind: "text", label: t("field.order"), required: true, most: 128, initial: `RED-${invoice.number}-${red.form}` }];
  return html`<p>${t("red.amount", { amount: format(red.amount, invoice.currency) })}</p>
    <${Loaded} of=${data}>${({ details }) => html`
      ${details?.lines?.length > 0
        ? html`<${Table} name=${t("red.lines")} rows=${details.lines} columns=${[
          { label: t("line.description"), wide: true, cell: (line) => line.description },
          { label: t("line.quantity"), right: true, cell: (line) => line.quantity ?? "–" },
          { label: t("line.net"), right: true, cell: (line) => format(line.net, invoice.currency) },
          { label: t("line.rate"), right: true, cell: (line) => percent(line.rate) },
        ]} />`
        : html`<${Notice}>${t("hint.red_whole")}<//>`}
      <${ActionForm} title=${title} path=${path} fields=${fields} done=${done} />`}<//>`;
}
