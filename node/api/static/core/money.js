// Amounts: integers of the currency's minor unit, as BigInt. Never a float.
import { tag } from "./language.js";

// As node/domains/invoices/details/drafting.py has them: minor units in a major unit where that is not 100.
const NO_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(" ");
const THOUSAND_MINOR_UNITS = "BHD IQD JOD KWD LYD OMR TND".split(" ");

export function digits(currency) {
  if (NO_MINOR_UNIT.includes(currency)) return 0;
  return THOUSAND_MINOR_UNITS.includes(currency) ? 3 : 2;
}

// "1234.50" for 123450 of CNY: what an input field holds.
export function toMajor(amount, currency) {
  const value = BigInt(amount);
  const places = digits(currency);
  const text = (value < 0n ? -value : value).toString().padStart(places + 1, "0");
  const whole = text.slice(0, text.length - places);
  const part = places ? `.${text.slice(text.length - places)}` : "";
  return `${value < 0n ? "-" : ""}${whole}${part}`;
}

// Minor units for what was typed, or null when it is no amount of this currency.
export function toMinor(text, currency) {
  const places = digits(currency);
  const match = /^(-?)(\d{1,13})(?:\.(\d*))?$/.exec(text.trim().replaceAll(",", ""));
  if (!match || (match[3] ?? "").length > places) return null;
  const value = BigInt(match[2] + (match[3] ?? "").padEnd(places, "0"));
  return match[1] ? -value : value;
}

export function format(amount, currency) {
  const places = digits(currency);
  const plain = {
    minimumFractionDigits: places,
    maximumFractionDigits: places,
  };
  // The code, not a sign: ¥ and $ are many currencies. A string is formatted digit by digit.
  const text = new Intl.NumberFormat(tag(), plain).format(toMajor(amount, currency));
  return `${currency}\u00a0${text.replace("-", "\u2212")}`;
}

// Basis points as a percentage: 1300 is "13%".
export function percent(rate) {
  const text = toMajor(rate, "CNY").replace(/\.?0+$/, "");
  return `${text || "0"}%`;
}

// Net × rate, rounded half up to a minor unit; away from zero for a negative net, as the node does.
export function taxOf(net, rate) {
  const up = (value) => (2n * value * BigInt(rate) + 10_000n) / 20_000n;
  return net >= 0n ? up(net) : -up(-net);
}

// Quantity × unit price − allowance in minor units, rounded half up; null when one is no number.
export function netOf(quantity, price, allowance, currency) {
  const first = decimal(quantity);
  const second = decimal(price);
  if (!first || !second) return null;
  const places = digits(currency) - first.places - second.places;
  let product = first.value * second.value;
  if (places >= 0) product *= 10n ** BigInt(places);
  else product = divideHalfUp(product, 10n ** BigInt(-places));
  return product - allowance;
}

function decimal(text) {
  const match = /^(-?\d{1,15})(?:\.(\d{1,13}))?$/.exec(text.trim());
  if (!match) return null;
  return { value: BigInt(match[1] + (match[2] ?? "")), places: (match[2] ?? "").length };
}

function divideHalfUp(value, divisor) {
  const up = (number) => (2n * number + divisor) / (2n * divisor);
  return value >= 0n ? up(value) : -up(-value);
}
