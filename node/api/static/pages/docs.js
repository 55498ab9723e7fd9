// The API's description, drawn from /openapi.json. Needs no sign-in.
import { get } from "../core/api.js";
import { Loaded, useData } from "../core/data.js";
import { html, useState } from "../core/html.js";
import { named, t } from "../core/language.js";
import { Empty, Heading, Section, Table } from "../core/ui.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH_MAX = 6;

function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) => METHODS
    .filter((method) => methods[method]).map((method) => ({ path, method, ...methods[method] })));
}

// The table of codes stands in the description, in both languages.
function codesOf(document) {
  return document.info.description.split("\n").map((line) => /^\| (\w+) \| (\d*) ?\| (.*) \| (.*) \|$/.exec(line))
    .filter((match) => match && match[1] === match[1].toUpperCase())
    .map(([, name, value, en, zh]) => ({ name, value, en, zh }));
}

export function Docs() {
  const data = useData((signal) => get("/openapi.json", {}, signal), []);
  return html`<${Heading} title=${t("docs.title")} sub=${t("docs.sub")}><a class="button" data-outside href="/openapi.json">openapi.json</a><//>
    <${Loaded} of=${data}>${(document) => html`<${Shown} document=${document} />`}<//>`;
}

function Shown({ document }) {
  const [wanted, setWanted] = useState("");
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (...texts) => words.every((word) => texts.join(" ").toLowerCase().includes(word));
  const operations = operationsOf(document).filter((one) => fits(one.method, one.path, one.summary, ...one.tags));
  const tags = [...new Set(operations.map((one) => one.tags[0]))];
  const codes = codesOf(document).filter((code) => fits(code.name, code.value, code.en, code.zh));
  const schemas = Object.entries(document.components.schemas).filter(([name, schema]) => fits(name, schema.description ?? ""));
  return html`
    <div class="filters"><div class="field wide"><label for="docs-search">${t("docs.search")}</label><input id="docs-search" type="search" value=${wanted} onInput=${(event) => setWanted(event.target.value)} /></div></div>
    ${operations.length + codes.length + schemas.length === 0 && html`<${Empty}>${t("docs.nothing")}<//>`}
    ${tags.map((tag) => html`<${Section} key=${tag} title=${named("tag", tag)}>${operations.filter((one) => one.tags[0] === tag).map((one) => html`<${Operation} key=${one.method + one.path} one=${one} document=${document} />`)}<//>`)}
    ${codes.length > 0 && html`<${Section} title=${t("docs.codes")}><${Table} name=${t("docs.codes")} rows=${codes} id=${(code) => code.name} columns=${[
      { label: t("docs.code"), cell: (code) => html`<code>${code.name}</code>` }, { label: "#", right: true, cell: (code) => code.value },
      { label: "English", wide: true, cell: (code) => html`<span lang="en">${code.en}</span>` }, { label: "中文", wide: true, cell: (code) => html`<span lang="zh">${code.zh}</span>` },
    ]} /><//>`}
    ${schemas.length > 0 && html`<${Section} title=${t("docs.schemas")}>${schemas.map(([name, schema]) => html`<details key=${name} class="endpoint"><summary><code>${name}</code> <span class="faint">${schema.description}</span></summary><div class="body"><${Schema} schema=${schema} document=${document} depth=${0} /></div></details>`)}<//>`}`;
}

function Operation({ one, document }) {
  const [open, setOpen] = useState(false);
  // An empty one says that it goes without a token too, where the node's log is public.
  const scope = one.security?.flatMap((each) => Object.values(each))[0]?.[0];
  return html`<details class="endpoint" onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary><span class="method ${one.method}">${one.method}</span> <code class="path">${one.path}</code> <span class="text">${one.summary}</span> <span class="badge plain">${scope ?? t("docs.public")}</span></summary>
    ${open && html`<div class="body">
      ${one.parameters.length > 0 && html`<h3>${t("docs.parameters")}</h3><${Table} name=${t("docs.parameters")} rows=${one.parameters} columns=${[
        { label: t("docs.name"), cell: (item) => html`<code>${item.name}</code>` }, { label: t("docs.place"), cell: (item) => named("place", item.in) },
        { label: t("docs.type"), cell: (item) => typeOf(item.schema) }, { label: t("docs.description"), wide: true, cell: (item) => item.description },
      ]} />`}
      ${one.requestBody && html`<h3>${t("docs.body")}</h3>${Object.entries(one.requestBody.content).map(([kind, content]) => html`<div key=${kind}><p><code>${kind}</code></p>${content.schema && html`<${Schema} schema=${content.schema} document=${document} depth=${0} /><${Example} schema=${content.schema} document=${document} />`}</div>`)}`}
      <h3>${t("docs.answers")}</h3>${Object.entries(one.responses).map(([status, answer]) => html`<${AnswerOf} key=${status} status=${status} answer=${answer} document=${document} />`)}
    </div>`}
  </details>`;
}

function AnswerOf({ status, answer, document }) {
  const contents = Object.entries(answer.content ?? {});
  return html`<details class="answer"><summary><strong>${status}</strong> ${answer.description} <span class="faint">${contents.map(([kind]) => kind).join(", ")}</span></summary>
    <div class="body">${contents.map(([kind, content]) => content.schema && html`<${Schema} key=${kind} schema=${content.schema} document=${document} depth=${0} />`)}</div></details>`;
}

function resolve(schema, document) {
  return schema.$ref ? document.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map(typeOf).join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items)}[]`;
  return [schema.type, schema.format ?? schema.contentEncoding].filter(Boolean).join(" · ");
}

function limitsOf(schema) {
  const names = { minimum: "≥", maximum: "≤", minLength: "length ≥", maxLength: "length ≤", minItems: "items ≥", maxItems: "items ≤", pattern: "~", default: "=" };
  return Object.entries(names).filter(([name]) => schema[name] !== undefined && schema[name] !== null)
    .map(([name, sign]) => `${sign} ${schema[name]}`).join(", ");
}

// The schemas that a property leads to, for a closer look.
function inner(schema) {
  if (schema.$ref) return [schema];
  return [...(schema.anyOf ?? schema.oneOf ?? []), ...(schema.items ? [schema.items] : [])].flatMap((one) => (one.$ref ? [one] : inner(one)));
}

function Schema({ schema, document, depth }) {
  const found = resolve(schema, document);
  if (!found?.properties) return html`<p><code>${typeOf(schema)}</code> ${found?.description}</p>`;
  const required = found.required ?? [];
  return html`${found.description && depth > 0 && html`<p class="hint">${found.description}</p>`}<ul class="schema">${Object.entries(found.properties).map(([name, property]) => html`
    <li key=${name}><code>${name}</code>${required.includes(name) && html`<span class="required" title=${t("docs.required")}>*</span>`} <span class="type">${typeOf(property)}</span> <span class="faint">${limitsOf(property)}</span>${property.description && html` <span>${property.description}</span>`}
      ${depth < DEPTH_MAX && inner(property).map((one) => html`<${Nested} key=${one.$ref} schema=${one} document=${document} depth=${depth + 1} />`)}</li>`)}</ul>`;
}

function Nested({ schema, document, depth }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.currentTarget.open)}><summary>${typeOf(schema)}</summary>${open && html`<${Schema} schema=${schema} document=${document} depth=${depth} />`}</details>`;
}

function Example({ schema, document }) {
  const example = resolve(schema, document)?.examples?.[0];
  return example && html`<p>${t("docs.example")}</p><pre>${JSON.stringify(example, null, 2)}</pre>`;
}
