// The pages of invoices, as the frame sees them.
import { t } from "../core/language.js";
import { Accountant } from "./accountant.js";
import { Bureau } from "./bureau.js";
import { Expenses } from "./expenses.js";
import { Invoice } from "./invoice.js";
import { Invoices } from "./invoices.js";
import { InvoiceLink } from "./links.js";
import { Today } from "./today.js";
import { Wallet } from "./wallet.js";

export { load } from "./terms.js";

// Where somebody who has signed in begins.
export const home = "/today";

// [pattern, page, its arguments, key in the menu]
export const pages = [
  [/^\/today$/, Today, () => ({}), "today"],
  [/^\/invoices$/, Invoices, () => ({}), "invoices"],
  [/^\/invoices\/(\d{20})$/, Invoice, ([, number]) => ({ number }), "invoices"],
  [/^\/accountant$/, Accountant, () => ({}), "accountant"],
  [/^\/wallet$/, Wallet, () => ({}), "wallet"],
  [/^\/expenses$/, Expenses, () => ({}), "expenses"],
  [/^\/bureau$/, Bureau, () => ({}), "bureau"],
];

// [key, path, role without which it is left out of the menu]
export const menu = [
  ["today", "/today"], ["invoices", "/invoices"], ["accountant", "/accountant", "issuer"], ["wallet", "/wallet"],
  ["expenses", "/expenses", "reimburser"], ["bureau", "/bureau", "tax_bureau"],
];

// What has a number, and the fields of operations that hold one.
export const documents = [
  { pattern: /^\d{20}$/, fields: ["invoice", "number", "replaces"], link: InvoiceLink, title: () => t("invoice.one") },
];
