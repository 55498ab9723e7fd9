// The way to an invoice.
import { html } from "../core/html.js";

export function InvoiceLink({ number: text }) {
  return html`<a class="number" href="/invoices/${text}">${text}</a>`;
}
