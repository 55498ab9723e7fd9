// What happens on the ledger, as it happens. Pages ask again when the tick moves.
import { session } from "./api.js";
import { Store } from "./store.js";

const PAUSE_MS = 1_500; // a busy ledger makes many blocks a second; eyes need fewer

export const tick = new Store(0);
export const link = new Store("closed"); // open, closed or lost

let stream = null;
let waiting = null;

function follow() {
  if (stream) return;
  stream = new EventSource("/v1/events?types=block,final");
  stream.onopen = () => link.set("open");
  stream.onerror = () => link.set("lost"); // the browser connects again by itself
  stream.addEventListener("block", moved);
  stream.addEventListener("final", moved);
}

function moved() {
  waiting ??= setTimeout(() => {
    waiting = null;
    if (!document.hidden) tick.set(tick.value + 1);
  }, PAUSE_MS);
}

function stop() {
  stream?.close();
  stream = null;
  link.set("closed");
}

session.follow((value) => (value?.scope ? follow() : stop()));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && stream) tick.set(tick.value + 1);
});
// A page that is kept for the back button must not keep its stream.
window.addEventListener("pagehide", stop);
window.addEventListener("pageshow", () => session.value?.scope && follow());
