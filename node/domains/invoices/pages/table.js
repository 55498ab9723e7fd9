// Tables as text: CSV (RFC 4180) written.

export function writeCsv(rows) {
  const quote = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return `\ufeff${rows.map((cells) => cells.map((cell) => quote(String(cell))).join(",")).join("\r\n")}\r\n`;
}
