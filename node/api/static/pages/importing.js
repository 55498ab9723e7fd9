// Invoices from a CSV table: the columns of `piaolian invoice template`, sent in batches. What is on the
// ledger already is skipped, or named when its content there is another; a row that is refused takes nothing else with it. Red letters by table
// are the command line's.
import { Problem, Unreachable, mayWrite, newKey, post } from "../core/api.js";
import { html, useRef, useState } from "../core/html.js";
import { Field } from "../core/forms.js";
import { language, t } from "../core/language.js";
import { netOf, toMinor } from "../core/money.js";
import { parseCsv, writeCsv } from "../core/table.js";
import { Notice, Section, Table, number } from "../core/ui.js";

const BYTES_MAX = 8 * 1024 * 1024;
const DOCUMENTS_MAX = 20_000;
const BATCH = 50;
const ASKED_AT_ONCE = 500;
const TRIES_MAX = 60;
const SHOWN_MAX = 200;

// By column: its Chinese heading. A test compares them with those of the command line.
export const COLUMNS = {
  kind: "类型", order_id: "订单号", buyer: "购买方", buyer_name: "购买方名称", buyer_tax_id: "购买方税号",
  buyer_address: "购买方地址", buyer_phone: "购买方电话", buyer_bank: "购买方开户行", buyer_account: "购买方账号",
  invoice_type: "票种", currency: "币种", external_number: "外部单号", external_date: "外部日期", due_date: "付款期限",
  remarks: "备注", code: "商品编码", description: "项目名称", model: "规格型号", unit: "单位", quantity: "数量",
  unit_price: "单价", net: "金额", rate: "税率", tax: "税额",
};
const BUYER = ["name", "tax_id", "address", "phone", "bank", "account"];
const DETAILS = ["external_number", "external_date", "due_date", "remarks"];
const SPECIAL = ["special", "专用", "专票"];
const RED = ["red", "红字"];

function refusal(row, order, code, message) {
  return { row, order, code, message };
}

// Bodies of invoices and what is wrong, from the text of a table.
export function readTable(text) {
  const [head, ...rows] = parseCsv(text).filter(({ cells }) => !cells[0].startsWith("#"));
  const spelled = new Map(Object.entries(COLUMNS).flatMap(([name, chinese]) => [[name, name], [chinese, name]]));
  const names = (head?.cells ?? []).map((cell) => spelled.get(cell.trim().toLowerCase().replaceAll(" ", "_")));
  if (!names.includes("order_id")) throw new Error(t("import.no_header"));
  const refused = [];
  const documents = new Map();
  for (const { row, cells } of rows) {
    const line = Object.fromEntries(names.map((name, at) => [name, (cells[at] ?? "").trim()]).filter(([name, cell]) => name && cell));
    const order = line.order_id ?? "";
    if (!order) refused.push(refusal(row, order, "MALFORMED", t("import.no_order")));
    else if (RED.includes(line.kind)) refused.push(refusal(row, order, "MALFORMED", t("import.red")));
    else if (documents.has(order)) documents.get(order).lines.push({ row, line });
    else documents.set(order, { row, order, lines: [{ row, line }] });
  }
  const bodies = [];
  for (const document of documents.values()) {
    const problems = [];
    const body = bodyOf(document, problems);
    if (problems.length > 0) refused.push(...problems);
    else bodies.push({ row: document.row, order: document.order, body });
  }
  return { bodies, refused };
}

function bodyOf({ order, lines }, problems) {
  const head = Object.assign({}, ...lines.map(({ line }) => line).reverse()); // the first row counts
  const currency = head.currency ?? "CNY";
  const buyer = Object.fromEntries(BUYER.filter((name) => head[`buyer_${name}`]).map((name) => [name, head[`buyer_${name}`]]));
  const details = Object.fromEntries(DETAILS.filter((name) => head[name]).map((name) => [name, head[name]]));
  if (Object.keys(buyer).length > 0) details.buyer = buyer;
  return {
    order_id: order, buyer: head.buyer ?? "", currency, kind: SPECIAL.includes(head.invoice_type) ? "special" : "ordinary",
    lines: lines.map(({ row, line }) => lineOf(row, order, line, currency, problems)),
    ...(Object.keys(details).length > 0 ? { details } : {}),
  };
}

function lineOf(row, order, line, currency, problems) {
  const net = line.net ? toMinor(line.net, currency) : netOf(line.quantity ?? "", line.unit_price ?? "", 0n, currency);
  const rate = toMinor((line.rate ?? "").replace("%", ""), "CNY");
  const tax = line.tax ? toMinor(line.tax, currency) : undefined;
  if (!line.description) problems.push(refusal(row, order, "MALFORMED", t("issue.need_description")));
  if (net === null || tax === null) problems.push(refusal(row, order, "MALFORMED", t("issue.need_net")));
  if (rate === null) problems.push(refusal(row, order, "MALFORMED", t("issue.need_rate")));
  const body = { description: line.description ?? "", net: Number(net ?? 0n), rate: Number(rate ?? 0n) };
  if (tax) body.tax = Number(tax);
  for (const name of ["code", "model", "unit", "quantity", "unit_price"]) if (line[name]) body[name] = line[name];
  return body;
}

// Ask again while the node is busy or out of reach: the same key makes it the same request.
async function patiently(path, body) {
  const key = newKey();
  for (let tries = 1; ; tries += 1) {
    try {
      return await post(path, body, key);
    } catch (error) {
      const passing = error instanceof Unreachable || [429, 503].includes(error.status);
      if (!passing || tries >= TRIES_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

// Send invoices; a batch that is refused is sent again without the one at fault, or in halves.
async function sendAll(documents, told) {
  const pending = [];
  for (let at = 0; at < documents.length; at += BATCH) pending.push(documents.slice(at, at + BATCH));
  while (pending.length > 0) {
    const batch = pending.shift();
    try {
      await patiently("/v1/invoices:batch?wait=committed&timeout_s=30", { invoices: batch.map(({ body }) => body) });
      told({ accepted: batch.length });
    } catch (error) {
      if (!(error instanceof Problem) || ![400, 409, 413, 422].includes(error.status)) throw error;
      const place = error.body.operation ?? Number(/^\/invoices\/(\d+)/.exec(error.body.errors?.[0]?.path ?? "")?.[1] ?? Number.NaN);
      if (batch.length === 1) told({ refused: [wrongOf(batch[0], error)] });
      else if (batch[place]) {
        told({ refused: [wrongOf(batch[place], error)] });
        pending.unshift(batch.filter((_, at) => at !== place));
      } else pending.unshift(batch.slice(0, batch.length / 2), batch.slice(batch.length / 2));
    }
  }
}

function wrongOf({ row, order }, error) {
  const [first] = error.body.errors ?? [];
  return refusal(row, order, error.code, first ? `${first.path} ${first.message}` : error.body.detail ?? "");
}

// Orders that the ledger does not hold; of the others those whose content there is another.
async function sortOut(documents) {
  const known = new Set();
  for (let at = 0; at < documents.length; at += ASKED_AT_ONCE) {
    const found = await patiently("/v1/orders:find", { order_ids: documents.slice(at, at + ASKED_AT_ONCE).map(({ order }) => order) });
    for (const one of found.orders) known.add(one.order_id);
  }
  const repeated = documents.filter(({ order }) => known.has(order));
  const conflicts = [];
  for (let at = 0; at < repeated.length; at += BATCH) {
    const batch = repeated.slice(at, at + BATCH);
    const { orders } = await patiently("/v1/orders:compare", { invoices: batch.map(({ body }) => ({ ...body, buyer: body.buyer || null })) });
    for (const { order_id: order, number: held, differs } of orders.filter((one) => one.differs.length > 0)) {
      const message = t("import.conflict", { number: held, fields: differs.map(said).join(", ") });
      conflicts.push(refusal(batch.find((one) => one.order === order).row, order, "ORDER_CONFLICT", message));
    }
  }
  return { fresh: documents.filter(({ order }) => !known.has(order)), conflicts };
}

// A JSON pointer for people: what is counted counts from 1.
function said(path) {
  return path.slice(1).split("/").map((part) => (/^\d+$/.test(part) ? Number(part) + 1 : part)).join(" ");
}

function template() {
  const chinese = language.value === "zh";
  const names = Object.keys(COLUMNS);
  const blob = new Blob([writeCsv([names.map((name) => (chinese ? COLUMNS[name] : name))])], { type: "text/csv" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "invoices.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

export function Import({ done }) {
  const [read, setRead] = useState(null);
  const [run, setRun] = useState(null);
  const [error, setError] = useState(null);
  const input = useRef(null);

  const choose = async () => {
    setRun(null);
    setError(null);
    setRead(null);
    const [file] = input.current.files;
    if (!file) return;
    try {
      if (file.size > BYTES_MAX) throw new Error(t("import.too_large"));
      const found = readTable(await file.text());
      if (found.bodies.length > DOCUMENTS_MAX) throw new Error(t("import.too_large"));
      setRead(found);
    } catch (problem) {
      setError(problem);
    }
  };

  const start = async () => {
    const state = { total: read.bodies.length, accepted: 0, skipped: 0, refused: [], busy: true };
    const told = (change) => {
      state.accepted += change.accepted ?? 0;
      state.refused.push(...(change.refused ?? []));
      setRun({ ...state });
    };
    told({});
    try {
      const { fresh, conflicts } = await sortOut(read.bodies);
      state.skipped = read.bodies.length - fresh.length - conflicts.length;
      told({ refused: conflicts });
      await sendAll(fresh, told);
    } catch (problem) {
      setError(problem);
    }
    state.busy = false;
    told({});
    done?.();
  };

  const refused = [...(read?.refused ?? []), ...(run?.refused ?? [])];
  return html`<${Section} title=${t("import.title")} aside=${html`<button type="button" onClick=${template}>${t("import.template")}</button>`}>
    <p class="hint">${t("import.hint")}</p>
    <div class="fields"><${Field} id="import-file" label=${t("import.file")}><input id="import-file" ref=${input} type="file" accept=".csv,text/csv" onChange=${choose} disabled=${run?.busy} /><//></div>
    ${error && html`<div class="problem" role="alert"><p><strong class="code">${error.code ?? "MALFORMED"}</strong> ${error.message}</p></div>`}
    ${read && html`<${Notice}>${t("import.read", { documents: number(read.bodies.length), refused: number(read.refused.length) })}<//>`}
    ${run && html`<div role="status"><progress max=${run.total} value=${run.accepted + run.skipped + run.refused.length}></progress>
      <p data-import=${run.busy ? "busy" : "done"}>${t("import.state", { accepted: number(run.accepted), skipped: number(run.skipped), refused: number(refused.length) })}</p></div>`}
    <div class="buttons"><button type="button" class="primary" data-import-start disabled=${!read || read.bodies.length === 0 || run !== null || !mayWrite()} onClick=${start}>${t("import.start")}</button></div>
    ${refused.length > 0 && html`<h3>${t("import.refused")}</h3><${Table} name=${t("import.refused")} rows=${refused.slice(0, SHOWN_MAX)} columns=${[
      { label: t("import.row"), right: true, cell: (one) => one.row }, { label: t("field.order"), cell: (one) => one.order },
      { label: t("docs.code"), cell: (one) => html`<code>${one.code}</code>` }, { label: t("docs.description"), wide: true, cell: (one) => one.message },
    ]} />`}
  <//>`;
}
