// What follows from the facets of an invoice.

export const RED_REASONS = ["issuing_error", "return", "service_ended", "allowance"];

export function openForms(invoice) {
  return invoice.red_forms.filter((form) => form.state !== "issued");
}

export function creditable(invoice) {
  const asked = openForms(invoice).reduce((sum, form) => sum + form.amount, 0);
  return invoice.gross - invoice.credited - asked;
}

export function isClosed(invoice) {
  return ["credited", "cancelled"].includes(invoice.state);
}
