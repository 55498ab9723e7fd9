// Invoices and red letters from a table, CSV or Excel, with the columns of `piaolian invoice template`.
// What is on the ledger already is skipped, or named when its content there is another; a row that is
// refused takes nothing else with it.
import { Problem, Unreachable, get, mayWrite, newKey, post, send } from "../core/api.js";
import { html, useRef, useState } from "../core/html.js";
import { Field } from "../core/forms.js";
import { language, t } from "../core/language.js";
import { texts, withRole } from "../core/registry.js";
import { writeCsv } from "./table.js";
import { Amount, Notice, Section, Table, number } from "../core/ui.js";

const BYTES_MAX = 8 * 1024 * 1024;
const BATCH = 50;
const ASKED_AT_ONCE = 500;
const TRIES_MAX = 60;
const SHOWN_MAX = 200;

// By column: its Chinese heading. A test compares them with those of the command line.
export const COLUMNS = {
  kind: "类型", order_id: "订单号", buyer: "购买方", buyer_name: "购买方名称", buyer_tax_id: "购买方税号",
  buyer_address: "购买方地址", buyer_phone: "购买方电话", buyer_bank: "购买方开户行", buyer_account: "购买方账号",
  invoice_type: "票种", currency: "币种", external_number: "外部单号", external_date: "外部日期",
  due_date: "付款期限", remarks: "备注", code: "商品编码", description: "项目名称", model: "规格型号", unit: "单位",
  quantity: "数量", unit_price: "单价", net: "金额", rate: "税率", tax: "税额", nature: "行性质",
  original: "原订单号", original_number: "原发票号码", line: "原行号", reason: "红字原因",
};
const CSV = "text/csv";
const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

function refusal(row, order, code, message, column = null) {
  return { row, order, code, message, column };
}

// What is wrong, in the language of the page: the node says in English what stands in the file.
function saidOf({ column, code }) {
  const where = column && language.value === "zh" ? COLUMNS[column] ?? column : column;
  const what = t(`import.code.${code}`);
  const known = what === `import.code.${code}` ? texts.value.get(code)?.[language.value] ?? "" : what;
  return [where, known].filter(Boolean).join(": ");
}

// What a file asks for. The node reads it, as the command line does; a table that names no buyer
// is made out to the network's only payer.
async function readFile(file) {
  const workbook = file.name.toLowerCase().endsWith(".xlsx");
  const read = (encoding) => send(`/v1/tables:read?encoding=${encoding}`, file, workbook ? XLSX : CSV);
  const found = await read(workbook || isUtf8(await file.arrayBuffer()) ? "utf-8" : "gb18030");
  const payers = withRole("payer");
  const refused = found.refused.map((one) => refusal(one.row, one.order_id ?? "", one.code, one.message, one.column));
  const invoices = [];
  for (const { row, order_id: order, buyer, body, ...sums } of found.invoices) {
    const named = buyer ?? (payers.length === 1 ? payers[0].id : null);
    if (named) invoices.push({ row, order, sums, body: { ...body, buyer: named } });
    else refused.push(refusal(row, order, "MISSING", t("import.no_buyer")));
  }
  const letters = found.letters.map((letter) => ({ ...letter, order: letter.order_id }));
  return { invoices, letters, refused, more: found.refused_more, rows: found.refused_rows, notes: found.notes };
}

// Excel in Chinese writes CSV in GB 18030.
function isUtf8(bytes) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

// Ask again while the node is busy or out of reach: the same key makes it the same request.
async function patiently(ask) {
  const key = newKey();
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask(key);
    } catch (error) {
      const passing = error instanceof Unreachable || [429, 503].includes(error.status);
      if (!passing || tries >= TRIES_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

const patientPost = (path, body) => patiently((key) => post(path, body, key));
const patientGet = (path) => patiently(() => get(path));
const COMMITTED = "?wait=committed&timeout_s=30";

function isAboutContent(error) {
  return error instanceof Problem && [400, 404, 409, 413, 422].includes(error.status);
}

// Send invoices; a batch that is refused is sent again without the one at fault, or in halves.
async function sendAll(documents, numbers, told) {
  const pending = [];
  for (let at = 0; at < documents.length; at += BATCH) pending.push(documents.slice(at, at + BATCH));
  while (pending.length > 0) {
    const batch = pending.shift();
    try {
      const issued = await patientPost(`/v1/invoices:batch${COMMITTED}`, { invoices: batch.map(({ body }) => body) });
      batch.forEach(({ order }, at) => numbers.set(order, issued.numbers[at]));
      told({ accepted: batch.length });
    } catch (error) {
      if (!isAboutContent(error)) throw error;
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

// Red letters, one after the other: each changes what the next may take. A form that an earlier
// import left open is used again.
async function sendLetters(letters, numbers, told) {
  for (const letter of letters) {
    try {
      const original = originalOf(letter, numbers);
      if (!original) throw new Problem(409, { code: "NO_ORIGINAL", detail: t("import.no_original", { order: letter.original }) });
      const form = await openForm(original, letter);
      const details = Object.keys(letter.details).length > 0 ? { details: letter.details } : {};
      await patientPost(`/v1/invoices/${original}/red/${form}/issue${COMMITTED}`, { order_id: letter.order, ...details });
      told({ accepted: 1 });
    } catch (error) {
      if (!isAboutContent(error)) throw error;
      told({ refused: [wrongOf(letter, error)] });
    }
  }
}

function originalOf(letter, numbers) {
  return letter.by_number ? letter.original : numbers.get(letter.original);
}

async function openForm(original, letter) {
  const path = `/v1/invoices/${original}`;
  const forms = async () => (await patientGet(path)).red_forms.filter((form) => form.asked_by === "issuer" && ["requested", "confirmed"].includes(form.state));
  let found = null;
  for (const form of await forms()) {
    const { details } = await patientGet(`${path}/red/${form.form}`);
    if (isOver(details?.lines, letter.lines)) found ??= form;
  }
  if (!found) {
    await patientPost(`${path}/red${COMMITTED}`, { reason: letter.reason, lines: letter.lines });
    found = (await forms()).at(-1);
  }
  if (found?.state !== "confirmed") throw new Problem(409, { code: "NOT_CONFIRMED", detail: t("import.not_confirmed") });
  return found.form;
}

// Whether the lines of a form are those that a letter asks for.
function isOver(lines, asked) {
  return lines?.length === asked.length && asked.every((want) => lines.some((line) => line.original === want.line &&
    (want.net === undefined || want.net === line.net) && (want.quantity === undefined || want.quantity === line.quantity)));
}

async function findOrders(orders, numbers) {
  for (let at = 0; at < orders.length; at += ASKED_AT_ONCE) {
    const found = await patientPost("/v1/orders:find", { order_ids: orders.slice(at, at + ASKED_AT_ONCE) });
    for (const one of found.orders) numbers.set(one.order_id, one.number);
  }
}

// What the ledger does not hold yet; of the rest, what is there with another content.
async function sortOut({ invoices, letters }, numbers) {
  const originals = letters.filter((letter) => !letter.by_number).map((letter) => letter.original);
  await findOrders([...new Set([...[...invoices, ...letters].map(({ order }) => order), ...originals])], numbers);
  const known = new Set(numbers.keys());
  const held = [...invoices, ...letters].filter(({ order }) => known.has(order));
  const conflicts = [];
  for (let at = 0; at < held.length; at += BATCH) {
    const batch = held.slice(at, at + BATCH);
    const red = batch.filter(({ body }) => !body).filter((letter) => originalOf(letter, numbers)).map((letter) => ({
      order_id: letter.order, invoice: originalOf(letter, numbers), taken: letter.lines,
      ...(Object.keys(letter.details).length > 0 ? { details: letter.details } : {}),
    }));
    const { orders } = await patientPost("/v1/orders:compare", { invoices: batch.filter(({ body }) => body).map(({ body }) => body), red });
    for (const { order_id: order, number: other, differs } of orders.filter((one) => one.differs.length > 0)) {
      const message = t("import.conflict", { number: other, fields: differs.map(said).join(", ") });
      conflicts.push(refusal(batch.find((one) => one.order === order).row, order, "ORDER_CONFLICT", message));
    }
  }
  const other = new Set(conflicts.map(({ order }) => order));
  const fresh = letters.filter(({ order }) => !known.has(order));
  const astray = fresh.filter((letter) => !letter.by_number && other.has(letter.original));
  conflicts.push(...astray.map(({ row, order, original }) => refusal(row, order, "ORDER_CONFLICT", t("import.other_original", { order: original }))));
  return { invoices: invoices.filter(({ order }) => !known.has(order)), letters: fresh.filter((letter) => !astray.includes(letter)), conflicts, skipped: held.length - other.size };
}

// A JSON pointer for people: what is counted counts from 1.
function said(path) {
  const one = { lines: "line", taken: "line", allowances: "allowance" };
  const parts = path.replace(/^\/details\//, "/").slice(1).split("/");
  return parts.map((part, at) => (/^\d+$/.test(part) ? Number(part) + 1 : at + 1 < parts.length ? one[part] ?? part : part)).join(" ");
}

function template() {
  const chinese = language.value === "zh";
  const names = Object.keys(COLUMNS);
  save("invoices.csv", writeCsv([names.map((name) => (chinese ? COLUMNS[name] : name))]));
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

// What will be issued, by currency: to be compared with the books before anything is.
function Sums({ invoices }) {
  const sums = new Map();
  for (const { sums: one } of invoices) {
    const sum = sums.get(one.currency) ?? { currency: one.currency, count: 0, net: 0n, tax: 0n };
    sums.set(one.currency, { ...sum, count: sum.count + 1, net: sum.net + BigInt(one.net), tax: sum.tax + BigInt(one.tax) });
  }
  const money = (value) => (row) => html`<${Amount} value=${value(row)} currency=${row.currency} />`;
  return html`<${Table} name=${t("import.sums")} rows=${[...sums.values()]} id=${(row) => row.currency} columns=${[
    { label: t("field.currency"), cell: (row) => row.currency }, { label: t("import.count"), right: true, cell: (row) => number(row.count) },
    { label: t("line.net"), right: true, cell: money((row) => row.net) }, { label: t("line.tax"), right: true, cell: money((row) => row.tax) },
    { label: t("invoice.gross"), right: true, cell: money((row) => row.net + row.tax) },
  ]} />`;
}

// All that was refused; the rows themselves as long as only the file was read.
function Refused({ read, refused, run }) {
  const list = () => save("refused-list.csv", writeCsv([[t("import.row"), t("field.order"), t("docs.code"), t("import.what"), t("docs.description")],
    ...refused.map((one) => [one.row, one.order, one.code, saidOf(one), one.message])]));
  return html`<h3>${t("import.refused")}</h3>
    <div class="buttons">${read?.rows && html`<button type="button" data-refused-rows onClick=${() => save("refused.csv", `\ufeff${read.rows}`)}>${t("import.refused_rows")}</button>`}
      <button type="button" data-refused-list onClick=${list}>${t("import.refused_list")}</button></div>
    ${run && read?.rows && html`<p class="hint">${t("import.refused_rows_hint")}</p>`}
    ${refused.length > SHOWN_MAX && html`<p class="hint">${t("import.refused_shown", { shown: number(SHOWN_MAX), all: number(refused.length + read.more) })}</p>`}
    <${Table} name=${t("import.refused")} rows=${refused.slice(0, SHOWN_MAX)} columns=${[
      { label: t("import.row"), right: true, cell: (one) => one.row }, { label: t("field.order"), cell: (one) => one.order },
      { label: t("docs.code"), cell: (one) => html`<code>${one.code}</code>` },
      { label: t("docs.description"), wide: true, cell: (one) => html`<span>${saidOf(one)} <span class="faint" lang="en">${one.message}</span></span>` },
    ]} />`;
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
      setRead(await readFile(file));
    } catch (problem) {
      setError(problem);
    }
  };

  const start = async () => {
    const state = { total: read.invoices.length + read.letters.length, accepted: 0, skipped: 0, refused: [], busy: true };
    const told = (change) => {
      state.accepted += change.accepted ?? 0;
      state.refused.push(...(change.refused ?? []));
      setRun({ ...state });
    };
    told({});
    try {
      const numbers = new Map();
      const found = await sortOut(read, numbers);
      state.skipped = found.skipped;
      told({ refused: found.conflicts });
      await sendAll(found.invoices, numbers, told);
      await sendLetters(found.letters, numbers, told);
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
    <div class="fields"><${Field} id="import-file" label=${t("import.file")}><input id="import-file" ref=${input} type="file" accept=".csv,.xlsx,${CSV},${XLSX}" onChange=${choose} disabled=${run?.busy} /><//></div>
    ${error && html`<div class="problem" role="alert"><p><strong class="code">${error.code ?? "MALFORMED"}</strong> ${error.message}</p></div>`}
    ${read && html`<${Notice}>${t("import.read", { documents: number(read.invoices.length), letters: number(read.letters.length), refused: number(read.refused.length + read.more) })}<//>`}
    ${read?.invoices.length > 0 && html`<${Sums} invoices=${read.invoices} />`}
    ${read?.notes.length > 0 && html`<${Notice} kind="warn"><strong>${t("import.notes")}</strong><ul data-import-notes>${read.notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul><//>`}
    ${run && html`<div role="status"><progress max=${run.total} value=${run.accepted + run.skipped + run.refused.length}></progress>
      <p data-import=${run.busy ? "busy" : "done"}>${t("import.state", { accepted: number(run.accepted), skipped: number(run.skipped), refused: number(refused.length) })}</p></div>`}
    <div class="buttons"><button type="button" class="primary" data-import-start disabled=${!read || read.invoices.length + read.letters.length === 0 || run !== null || !mayWrite()} onClick=${start}>${read && !run ? t("import.start_count", { count: number(read.invoices.length + read.letters.length) }) : t("import.start")}</button></div>
    ${refused.length > 0 && html`<${Refused} read=${read} refused=${refused} run=${run} />`}
  <//>`;
}
