// Data of a page: loading, there, or failed; loaded again when the ledger moves.
import { html, useCallback, useEffect, useRef, useState } from "./html.js";
import { tick } from "./live.js";
import { Failure, Loading } from "./ui.js";

// `load(signal)` gives the data; it runs again when `keys` change, and if `live` on each tick.
export function useData(load, keys, { live = false } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const current = useRef(null);
  const latest = useRef(load);
  latest.current = load;

  const run = useCallback(async (fresh) => {
    current.current?.abort();
    const controller = new AbortController();
    current.current = controller;
    setState((old) => ({ ...(fresh ? { data: null, error: null } : old), loading: true }));
    try {
      const data = await latest.current(controller.signal);
      if (!controller.signal.aborted) setState({ data, error: null, loading: false });
    } catch (error) {
      if (controller.signal.aborted) return;
      // What was read before stays in sight, with what is wrong now.
      setState((old) => ({ data: old.data, error, loading: false }));
    }
  }, []);

  useEffect(() => {
    run(true);
    const stop = live ? tick.follow(() => run(false)) : () => {};
    return () => {
      stop();
      current.current?.abort();
    };
  }, keys);
  return { ...state, reload: () => run(false) };
}

// Draws `children(data)` once there is data.
export function Loaded({ of, children }) {
  if (of.data === null) {
    return of.error ? html`<${Failure} error=${of.error} retry=${of.reload} />` : html`<${Loading} />`;
  }
  return html`
    ${of.error && html`<${Failure} error=${of.error} retry=${of.reload} />`}
    ${children(of.data)}
  `;
}
