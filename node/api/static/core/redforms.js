// Red letters: by amount, or by line where this participant can read the lines.
import { html, useState } from "./html.js";
import { RED_REASONS, creditable } from "./facets.js";
import { ActionForm, newId } from "./forms.js";
import { named, t } from "./language.js";
import { format, percent, taxOf, toMajor, toMinor } from "./money.js";
import { Notice } from "./ui.js";

// The lines of an invoice with what is taken back of each. `taken` is { position: typed net }.
function RedLines({ invoice, taken, setTaken }) {
  const [prefix] = useState(() => newId("red"));
  const toggle = (position, line) => {
    const next = { ...taken };
    if (position in next) delete next[position];
    else next[position] = toMajor(line.net, invoice.currency);
    setTaken(next);
  };
  return html`<fieldset><legend>${t("red.lines")}</legend><div class="scroll"><table>
    <thead><tr><th scope="col"></th><th scope="col">${t("line.description")}</th><th scope="col" class="right">${t("line.net")}</th><th scope="col">${t("line.rate")}</th><th scope="col" class="right">${t("red.take")}</th></tr></thead>
    <tbody>${invoice.details.lines.map((line, position) => html`<tr key=${position}>
      <td><input type="checkbox" id="${prefix}-${position}" checked=${position in taken} onChange=${() => toggle(position, line)} aria-label="${t("red.take")}: ${line.description}" /></td>
      <td class="wide"><label for="${prefix}-${position}">${line.description}</label></td><td class="right">${format(line.net, invoice.currency)}</td><td>${percent(line.rate)}</td>
      <td class="right">${position in taken && html`<input type="text" inputmode="decimal" class="right narrow" value=${taken[position]} aria-label="${t("line.net")}: ${line.description}" onInput=${(event) => setTaken({ ...taken, [position]: event.target.value })} />`}</td>
    </tr>`)}</tbody></table></div></fieldset>`;
}

// The lines of a red letter, or null when an amount is none. Amounts are magnitudes.
function redLines(invoice, taken) {
  const lines = [];
  for (const [position, typed] of Object.entries(taken)) {
    const source = invoice.details.lines[position];
    const net = toMinor(typed, invoice.currency);
    if (net === null) return null;
    const whole = net === BigInt(source.net);
    const tax = whole && source.tax !== undefined ? BigInt(source.tax) : taxOf(net, source.rate);
    const line = { description: source.description, net: Number(net), rate: source.rate, tax: Number(tax), original: Number(position) };
    for (const name of ["code", "model", "unit"]) if (source[name] !== undefined) line[name] = source[name];
    lines.push(line);
  }
  return lines;
}

function grossOf(lines) {
  return lines.reduce((sum, line) => sum + BigInt(line.net) + BigInt(line.tax), 0n);
}

const hasLines = (invoice) => (invoice.details?.lines?.length ?? 0) > 0;

export function RedRequestForm({ invoice, done, title, path }) {
  const [taken, setTaken] = useState({});
  const left = creditable(invoice);
  const lines = hasLines(invoice) ? redLines(invoice, taken) : [];
  const sum = lines?.length ? grossOf(lines) : null;
  const fields = [
    { name: "amount", kind: "amount", label: t("red.gross"), required: true, max: left, hint: t("red.left", { left: format(left, invoice.currency) }) },
    { name: "reason", kind: "choice", label: t("field.reason"), required: true, options: RED_REASONS.map((word) => [word, named("reason", word)]) },
  ];
  const amount = toMajor(sum ?? left, invoice.currency);
  return html`
    ${hasLines(invoice) && html`<${RedLines} invoice=${invoice} taken=${taken} setTaken=${setTaken} />`}
    <${ActionForm} key=${amount} title=${title} path=${path} fields=${fields} currency=${invoice.currency} initial=${{ amount }} hint=${t("hint.red")} done=${done} />`;
}

export function RedIssueForm({ invoice, red, done, title, path }) {
  const [taken, setTaken] = useState({});
  const lines = hasLines(invoice) ? redLines(invoice, taken) : [];
  const sum = lines?.length ? grossOf(lines) : null;
  const fits = sum === null || sum === BigInt(red.amount);
  const fields = [{ name: "order_id", kind: "text", label: t("field.order"), required: true, most: 128, initial: `RED-${invoice.number}-${red.form}` }];
  return html`
    <p>${t("red.amount", { amount: format(red.amount, invoice.currency) })}</p>
    ${hasLines(invoice) && html`<${RedLines} invoice=${invoice} taken=${taken} setTaken=${setTaken} />`}
    ${!fits && html`<${Notice} kind="warn">${t("red.mismatch", { sum: format(sum, invoice.currency), amount: format(red.amount, invoice.currency) })}<//>`}
    <${ActionForm} title=${title} path=${path} fields=${fields} hint=${sum === null ? t("hint.red_whole") : undefined} done=${done}
      make=${(values) => (lines?.length ? { ...values, lines } : values)} />`;
}
