// Documents of domains that have a number: how one is named, and the way to its page.
// Each domain says its own in its `index.js`; the frame puts them here before anything is drawn.
import { html } from "./html.js";

// { pattern: of a number, fields: of operations that hold one, link: a component, title(): what it is called }
const kinds = [];

export const addDocuments = (more) => kinds.push(...more);

const kindOf = (number) => kinds.find((kind) => kind.pattern.test(number));

// The document of a number; the number alone where no domain of this network has such.
export function DocumentLink({ number, titled }) {
  const kind = kindOf(number);
  if (!kind) return html`<span class="number">${number}</span>`;
  return html`${titled && `${kind.title()} `}<${kind.link} number=${number} />`;
}

// Whether a field of an operation names a document.
export function namesDocument(field, value) {
  return typeof value === "string" && Boolean(kindOf(value)?.fields.includes(field));
}
