// The page of a node: who looks at it, which page the address names, and the frame around it.
import { loadSession, session, signOut } from "./core/api.js";
import { addDocuments } from "./core/documents.js";
import { Component, html, render, useEffect, useState } from "./core/html.js";
import { ActionWindow, Activity } from "./core/forms.js";
import { language, loadLanguages, named, setLanguage, t } from "./core/language.js";
import { link } from "./core/live.js";
import { have, loadRegistry, self } from "./core/registry.js";
import { go, place } from "./core/router.js";
import { useStore } from "./core/store.js";
import { Empty, Failure, Heading, Loading, Notice } from "./core/ui.js";
import { domains } from "./domains.js";
import { Docs } from "./pages/docs.js";
import { Entrance } from "./pages/entrance.js";
import { Block, Transaction } from "./pages/ledger.js";
import { Evidence, Overview } from "./pages/overview.js";

addDocuments(domains.flatMap((domain) => domain.documents ?? []));

// [pattern, page, its arguments, key in the menu, whether it needs no sign-in]
const PAGES = [
  [/^\/$/, Overview, () => ({}), "overview"],
  [/^\/blocks\/(\d+)$/, Block, ([, height]) => ({ height }), "overview"],
  [/^\/transactions\/([0-9a-f]{64})$/, Transaction, ([, id]) => ({ id }), "overview"],
  [/^\/evidence$/, Evidence, () => ({}), "overview"],
  ...domains.flatMap((domain) => domain.pages),
  [/^\/docs$/, Docs, () => ({}), "docs", true],
];
// [key, path, role without which it is left out of the menu]
// What a network is for comes first; who takes part, which every network has, behind it.
const MENU = [...[...domains].reverse().flatMap((domain) => domain.menu), ["overview", "/"], ["docs", "/docs"]];
const HOME = domains.map((domain) => domain.home).find(Boolean) ?? "/";

function App() {
  const who = useStore(session);
  const where = useStore(place);
  useStore(language);
  const me = useStore(self);
  const [failure, setFailure] = useState(null);
  const scope = who?.scope;

  const start = () => {
    setFailure(null);
    loadRegistry(domains.map((domain) => domain.load).filter(Boolean)).catch(setFailure);
  };
  useEffect(() => {
    if (scope) start();
  }, [scope]);
  useEffect(() => {
    if (scope && where.path === "/login") go(HOME, { replace: true });
  }, [scope, where.path]);

  const found = PAGES.map(([pattern, ...page]) => [where.path.match(pattern), ...page]).find(([match]) => match);
  const [match, page, values, key, open] = found ?? [];
  let shown;
  if (open) shown = html`<${page} />`;
  else if (!scope) shown = html`<${Entrance} failed=${where.query.has("failed")} ended=${who.ended} />`;
  else if (failure) shown = html`<${Failure} error=${failure} retry=${start} />`;
  else if (!me) shown = html`<${Loading} />`;
  else if (!found) shown = html`<${Heading} title=${t("ui.not_found")} /><${Empty}>${t("ui.no_page")}<//>`;
  // Another address is another page: nothing of the one before is kept.
  else shown = html`<${page} key=${where.path} ...${values(match)} />`;

  return html`
    <a class="skip" href="#main">${t("ui.skip")}</a>
    <${Header} current=${key} scope=${scope} me=${scope && me} />
    <main id="main" tabindex="-1"><${Guard} key=${where.path}>${shown}<//></main>
    <${ActionWindow} />
    <${Activity} />`;
}

function Header({ current, scope, me }) {
  const [open, setOpen] = useState(false);
  const connection = useStore(link);
  const where = useStore(place);
  useEffect(() => setOpen(false), [where]);
  const shown = MENU.filter(([key, , role]) => (scope ? !role || have(role) : key === "docs"));
  return html`<header class="top"><div class="bar">
    <a class="brand" href="/"><img src="/static/icon.svg" alt="" width="26" height="26" /><span>票链 <span class="latin">Piaolian</span></span></a>
    ${me && html`<span class="node" title=${me.participant}>${me.node}<span class="dot link-${connection}" role="img" aria-label=${t(`live.${connection}`)} title=${t(`live.${connection}`)}></span></span>`}
    <span class="spacer"></span>
    <button type="button" class="plain" lang=${language.value === "zh" ? "en" : "zh"} onClick=${() => setLanguage(language.value === "zh" ? "en" : "zh")} data-language>${language.value === "zh" ? "English" : "中文"}</button>
    ${scope && html`<span class="badge plain scope">${named("scope", scope)}</span><button type="button" class="plain" data-sign-out onClick=${signOut}>${t("session.out")}</button>`}
    <button type="button" class="menu" aria-expanded=${open} aria-controls="menu" onClick=${() => setOpen(!open)}>☰ <span>${t("nav.menu")}</span></button>
  </div>
  <nav id="menu" class=${open ? "open" : ""} aria-label=${t("nav.menu")}>${shown.map(([key, path]) => html`<a key=${key} href=${path} aria-current=${key === current ? "page" : undefined}>${t(`nav.${key}`)}</a>`)}<a data-outside href="/verify?lang=${language.value}">${t("nav.verify")}</a></nav></header>`;
}

// A fault of a page is said on it, and the menu goes on working.
class Guard extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ children }, { error }) {
    return error ? html`<${Failure} error=${error} />` : children;
  }
}

async function start() {
  const root = document.getElementById("app");
  try {
    await Promise.all([loadLanguages(), loadSession()]);
    // The node sends here from a one-time link, and knows no page of a domain.
    const [navigation] = performance.getEntriesByType("navigation");
    if (navigation?.redirectCount > 0 && place.value.path === "/") go(HOME, { replace: true });
    render(html`<${App} />`, root);
  } catch (error) {
    console.error(error);
    root.textContent = `The node does not answer; load the page again. 节点没有应答，请重新载入。 (${error.message})`;
  }
}

start();
