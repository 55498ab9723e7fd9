// What a participant may do with an invoice now: the ledger's table (rows 2 to 17, but for the holds of issuers) as buttons. This
// only decides what is offered; the node decides what is allowed, and says why not.
import { creditable, isClosed, openForms } from "./facets.js";
import { named, t } from "../core/language.js";
import { format, toMajor } from "../core/money.js";
import { keys, parties, self } from "../core/registry.js";
import { terms } from "./terms.js";
import { RedIssueForm, RedRequestForm } from "./redforms.js";

const WORDS = ["received", "accepted", "partly_accepted", "rejected", "disputed"];

// What this node may do with an invoice: as its participant, and as each bare key of its wallet that
// has a part in it.
export function operationsFor(invoice) {
  const { participant, roles } = self.value;
  const own = operationsOf(invoice, participant, roles);
  const taken = new Set(own.map((action) => action.id));
  const theirs = [invoice.buyer, invoice.holder, invoice.offer?.to];
  const asKeys = keys.value.filter((key) => theirs.includes(key)).flatMap((key) => operationsOf(invoice, key, [])
    .filter((action) => !taken.has(action.id))
    .map((action) => ({ ...action, path: `${action.path}?as=${key}`, hint: [action.hint, t("wallet.as", { key: key.slice(0, 12) })].filter(Boolean).join(" ") })));
  return [...own, ...asKeys];
}

function operationsOf(invoice, me, roles) {
  if (invoice.original) return []; // a red invoice takes no operation
  const make = { invoice, me, base: `/v1/invoices/${invoice.number}`, bureau: roles.includes("tax_bureau"), bank: roles.includes("bank") };
  const found = [];
  if (!invoice.frozen && !isClosed(invoice)) {
    found.push(...answers(make), ...holding(make), ...claiming(make), ...cancelling(make));
  }
  if (invoice.details_commitment && ([invoice.issuer, invoice.buyer, invoice.holder].includes(me) || make.bureau)) {
    found.push({ id: "share", hint: t("hint.share"), fields: [{ name: "to", kind: "party", key: true, label: t("field.reader"), required: true }] });
  }
  found.push(...booking(make), ...paying(make), ...deducting(make), ...redLetters(make), ...ruling(make));
  return found.map((action) => ({
    currency: invoice.currency, about: aboutOf(invoice), title: t(`operation.${action.id.split("-")[0]}`), ...action,
    path: action.path ?? `${make.base}/${action.id.split("-")[0]}`,
  }));
}

// Which invoice an operation is on: its window says so, whatever page it was opened from.
function aboutOf({ number, issuer, buyer, gross, currency }) {
  const name = (id) => parties.value.get(id)?.name ?? `${id.slice(0, 12)}…`;
  return `${number} · ${name(issuer)} → ${name(buyer)} · ${format(gross, currency)}`;
}

// Whether a term that began then is over. The ledger goes by block time, close to this clock.
function passed(since, term) {
  return Date.now() > Date.parse(since) + terms.value[term];
}

function answers({ invoice, me }) {
  const state = invoice.response.state;
  if (!["none", "received"].includes(state)) return [];
  const found = passed(invoice.time, "respond_ms") ? [{ id: "lapse", hint: t("hint.lapse") }] : [];
  if (me !== invoice.buyer) return found;
  const used = invoice.locked + invoice.reimbursed > 0;
  const words = WORDS.filter((word) => (word !== "received" || state === "none") &&
    (!used || ["received", "accepted"].includes(word)));
  found.unshift({
    id: "respond", primary: true, hint: t("hint.respond"), fields: [
      { name: "response", kind: "choice", label: t("field.response"), required: true, options: words.map((word) => [word, named("response", word)]) },
      { name: "amount", kind: "amount", label: t("field.accepted"), hint: t("hint.accepted"), max: invoice.gross - 1 },
      { name: "reason", kind: "text", label: t("field.reason"), hint: t("hint.public"), wide: true },
    ],
  });
  return found;
}

function holding({ invoice, me }) {
  const found = [];
  const free = invoice.locked + invoice.reimbursed === 0 && openForms(invoice).length === 0;
  if (invoice.offer?.to === me) {
    found.push({ id: "sign", primary: true, hint: t("hint.sign") }, { id: "refuse" });
  }
  if (invoice.holder !== me) return found;
  if (invoice.offer) return [...found, { id: "withdraw" }];
  if (free) {
    found.push({
      id: "offer", fields: [
        { name: "to", kind: "party", key: true, label: t("field.to"), required: true },
        { name: "expires", kind: "time", label: t("field.expires"), hint: t("hint.expires") },
      ],
    });
  }
  if (invoice.available > 0 && !["rejected", "disputed"].includes(invoice.response.state)) {
    found.push({
      id: "submit", primary: true, hint: t("hint.submit"), fields: [
        { name: "to", kind: "party", role: "reimburser", self: true, label: t("role.reimburser"), required: true },
        { name: "amount", kind: "amount", label: t("field.amount"), required: true, max: invoice.available, initial: toMajor(invoice.available, invoice.currency) },
      ],
    });
  }
  return found;
}

function claiming({ invoice, me }) {
  const found = [];
  const mine = invoice.submissions.find((submission) => submission.to === me && submission.left > 0);
  const disputed = ["rejected", "disputed"].includes(invoice.response.state);
  if (mine && !invoice.offer && !disputed) {
    const most = Math.min(mine.left, invoice.available);
    if (most > 0) {
      found.push({
        id: "claim", primary: true, hint: t("hint.claim"), fields: [
          { name: "amount", kind: "amount", label: t("field.amount"), required: true, max: most, initial: toMajor(most, invoice.currency) },
        ],
      });
    }
  }
  for (const claim of invoice.claims.filter((one) => one.reimburser === me && one.locked > 0)) {
    const which = t("claim.which", { claim: claim.claim });
    const body = (values) => ({ ...values, claim: claim.claim });
    found.push({
      id: `reimburse-${claim.claim}`, primary: true, short: `${t("operation.reimburse")} ${which}`, hint: t("hint.reimburse"), make: body, fields: [
        { name: "amount", kind: "amount", label: t("field.amount"), required: true, max: claim.locked, initial: toMajor(claim.locked, invoice.currency) },
        { name: "booking", kind: "text", label: t("field.booking"), required: true, most: 64 },
        { name: "payment", kind: "text", label: t("field.payment"), required: true, most: 64 },
      ],
    }, { id: `release-${claim.claim}`, short: `${t("operation.release")} ${which}`, make: body, hint: t("hint.release") });
  }
  return found;
}

function booking({ invoice, me }) {
  const mine = me === invoice.buyer || invoice.submissions.some((one) => one.to === me) ||
    invoice.claims.some((one) => one.reimburser === me);
  if (invoice.bookings.some((one) => one.party === me)) {
    return [{ id: "unbook", fields: [{ name: "reason", kind: "text", label: t("field.reason"), required: true, wide: true }] }];
  }
  if (!mine || invoice.frozen || isClosed(invoice)) return [];
  return [{ id: "book", fields: [{ name: "reference", kind: "text", label: t("field.booking"), required: true, most: 64 }] }];
}

// Also while frozen: a case holds claims, not money that has come.
function paying({ invoice, me, bank }) {
  const accepted = invoice.response.state === "partly_accepted" ? invoice.response.accepted : invoice.gross;
  const left = Math.min(invoice.gross - invoice.credited, accepted) - invoice.paid;
  if ((me !== invoice.issuer && !bank) || invoice.state === "cancelled" || left <= 0) return [];
  return [{
    id: "pay", hint: t("hint.pay"), fields: [
      { name: "amount", kind: "amount", label: t("field.amount"), required: true, max: left, initial: toMajor(left, invoice.currency) },
      { name: "reference", kind: "text", label: t("field.payment"), required: true, most: 64 },
    ],
  }];
}

function deducting({ invoice, me }) {
  if (me !== invoice.buyer) return [];
  if (invoice.used === "deducted") return [{ id: "undeduct" }];
  const settled = ["accepted", "deemed_accepted"].includes(invoice.response.state) && openForms(invoice).length === 0;
  return invoice.kind === "special" && settled && !isClosed(invoice) ? [{ id: "deduct", hint: t("hint.deduct") }] : [];
}

function cancelling({ invoice, me }) {
  const fresh = invoice.state === "issued" && invoice.holder === invoice.buyer && !invoice.offer &&
    !passed(invoice.time, "cancel_ms") && invoice.paid + invoice.payment_refund_due === 0 && invoice.used === "none" &&
    invoice.claims.length + invoice.bookings.length + invoice.red_forms.length === 0 &&
    !["accepted", "partly_accepted", "deemed_accepted"].includes(invoice.response.state);
  if (me !== invoice.issuer || !fresh) return [];
  return [{ id: "cancel", danger: true, hint: t("hint.cancel"), fields: [{ name: "reason", kind: "text", label: t("field.reason"), required: true, wide: true }] }];
}

function redLetters({ invoice, me, bureau }) {
  const found = [];
  const standsIn = bureau && parties.value.get(invoice.issuer)?.state === "retired";
  const side = me === invoice.issuer ? "issuer" : me === invoice.buyer ? "buyer" : standsIn ? "issuer" : null;
  const live = !invoice.frozen && !isClosed(invoice);
  if (side && live && creditable(invoice) > 0) found.push({ id: "red", form: RedRequestForm, invoice });
  for (const form of openForms(invoice)) {
    const at = (name) => `/v1/invoices/${invoice.number}/red/${form.form}/${name}`;
    const which = t("form.which", { form: form.form });
    const one = (name, more = {}) => ({
      id: `red_${name}-${form.form}`, title: `${t(`operation.red_${name}`)} ${which}`, path: at(name), ...more,
    });
    if (side && side !== form.asked_by && form.state === "requested") {
      found.push(one("confirm", { primary: true, hint: t("hint.red_confirm") }), one("deny"));
    }
    if (side === form.asked_by) found.push(one("withdraw"));
    if (side === "issuer" && form.state === "confirmed" && live) {
      found.push(one("issue", { primary: true, form: RedIssueForm, invoice, red: form }));
    }
    for (const claim of invoice.claims.filter((item) => item.reimburser === me)) {
      found.push(one("consent", {
        id: `red_consent-${form.form}-${claim.claim}`, hint: t("hint.red_consent"),
        make: (values) => ({ ...values, claim: claim.claim }), fields: [
          { name: "locked", kind: "amount", label: t("field.of_locked"), max: claim.locked },
          { name: "reimbursed", kind: "amount", label: t("field.of_reimbursed"), max: claim.reimbursed },
        ],
      }));
    }
    const term = form.state === "requested" ? "red_confirm_ms" : "red_issue_ms";
    if (passed(form.since, term)) found.push(one("lapse", { hint: t("hint.red_lapse") }));
  }
  return found;
}

function ruling({ invoice, bureau }) {
  if (!bureau) return [];
  const found = [];
  const cases = [{ name: "case", kind: "text", label: t("field.case"), required: true, most: 64 }];
  if (invoice.response.state === "disputed") {
    found.push({
      id: "rule", primary: true, hint: t("hint.rule"), make: (values) => ({ ...values, accepted: values.accepted === "accepted" }), fields: [
        { name: "accepted", kind: "choice", label: t("field.ruling"), required: true, options: ["accepted", "rejected"].map((word) => [word, named("response", word)]) },
        { name: "reason", kind: "text", label: t("field.reason"), required: true, hint: t("hint.public"), wide: true },
      ],
    });
  }
  if (invoice.frozen) found.push({ id: "unfreeze", fields: [{ ...cases[0], initial: invoice.frozen }] });
  else if (!isClosed(invoice)) found.push({ id: "freeze", danger: true, hint: t("hint.freeze"), fields: cases });
  return found;
}
