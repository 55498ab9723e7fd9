// The frame of every form that writes. Owns what Enter does in it: it goes on to the next field and
// never sends. Such a form has no submit button, so no browser sends it by itself: only its own
// button, `data-send`, does, and not while a key is held down.
import { html } from "./html.js";

const STOPS = "input:not([type=hidden]):not(:disabled), select:not(:disabled), textarea:not(:disabled), [data-send]:not(:disabled)";

// `beyond(element)`: asked first; true when it has gone on by itself.
export function Form({ name, beyond, children }) {
  const pressed = (event) => {
    if (event.key !== "Enter" || event.isComposing) return; // composing: Enter takes a word over
    if (event.repeat) return event.preventDefault();
    if (!event.target.matches("input, select")) return;
    event.preventDefault();
    if (!beyond?.(event.target)) goOn(event.currentTarget, event.target);
  };
  return html`<form class=${name} novalidate onKeyDown=${pressed} onSubmit=${(event) => event.preventDefault()}>${children}</form>`;
}

function goOn(form, from) {
  const stops = [...form.querySelectorAll(STOPS)].filter((one) => one.offsetParent !== null);
  const next = stops[stops.indexOf(from) + 1];
  next?.focus();
  if (next?.matches("input[type=text]")) next.select();
}
