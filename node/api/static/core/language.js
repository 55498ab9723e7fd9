// The two languages. A text is looked up by its key; a key without a text is shown as it is, and a
// test keeps that from happening.
import { Store } from "./store.js";

const REMEMBERED = "piaolian.language";
const LANGUAGES = ["zh", "en"];
const texts = {};

export const language = new Store(preferred());

function preferred() {
  const remembered = recall();
  if (LANGUAGES.includes(remembered)) return remembered;
  const first = navigator.languages.find((tag) => LANGUAGES.includes(tag.slice(0, 2)));
  return first ? first.slice(0, 2) : "en";
}

function recall() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // storage may be forbidden
  }
}

export async function loadLanguages() {
  const load = async (name) => {
    const answer = await fetch(`/static/lang/${name}.json`);
    if (!answer.ok) throw new Error(`lang/${name}.json: ${answer.status}`);
    texts[name] = await answer.json();
  };
  await Promise.all(LANGUAGES.map(load));
  document.documentElement.lang = tag();
}

export function tag() {
  return language.value === "zh" ? "zh-CN" : "en-GB";
}

export function setLanguage(name) {
  try {
    localStorage.setItem(REMEMBERED, name);
  } catch {
    // it is then chosen for this visit only
  }
  language.set(name);
  document.documentElement.lang = tag();
}

// The text of `key`; `{name}` in it is replaced by `values.name`.
export function t(key, values = {}) {
  const text = texts[language.value]?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function known(key) {
  return key in (texts[language.value] ?? {});
}

// The name of a state, kind or reason that the API answers with.
export function named(group, value) {
  const key = `${group}.${value}`;
  return known(key) ? t(key) : String(value).replaceAll("_", " ");
}
