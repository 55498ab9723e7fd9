// Tables as text: CSV (RFC 4180) read and written.

// The rows of a CSV text, each with the number of its first line; quotes may hold anything.
export function parseCsv(text) {
  const rows = [];
  let cells = [];
  let cell = "";
  let quoted = false;
  let line = 1;
  let start = 1;
  const body = text.replace(/^\ufeff/, "");
  const endRow = () => {
    cells.push(cell);
    if (cells.some((one) => one.trim() !== "")) rows.push({ row: start, cells });
    cells = [];
    cell = "";
    start = line;
  };
  for (let at = 0; at < body.length; at += 1) {
    const letter = body[at];
    if (letter === "\n") line += 1;
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (body[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (letter === '"' && cell === "") quoted = true;
    else if (letter === ",") {
      cells.push(cell);
      cell = "";
    } else if (letter === "\n") endRow();
    else if (letter !== "\r") cell += letter;
  }
  endRow();
  return rows;
}

export function writeCsv(rows) {
  const quote = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return `\ufeff${rows.map((cells) => cells.map((cell) => quote(String(cell))).join(",")).join("\r\n")}\r\n`;
}
