// Addresses of pages. A link is a real link: it opens in a new tab, and the back button works.
import { Store } from "./store.js";

export const place = new Store(here());

function here() {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

export function go(target, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  place.set(here());
  if (!replace) {
    window.scrollTo(0, 0);
    // A reader of the page is told that it is another one.
    document.getElementById("main")?.focus({ preventScroll: true });
  }
}

// The query of this page, changed; an empty value leaves it out.
export function setQuery(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const search = query.toString();
  go(search ? `${location.pathname}?${search}` : location.pathname, { replace: true });
}

window.addEventListener("popstate", () => place.set(here()));
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !plain || event.defaultPrevented) return;
  if (link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
  if (link.dataset.outside !== undefined) return; // answered by the node itself
  if (link.hash && link.pathname === location.pathname) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
