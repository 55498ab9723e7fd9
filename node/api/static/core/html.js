// The drawing library in one place: components as functions, templates as tagged strings.
import { Component, createElement, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export {
  useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/hooks.js";
export { Component, render };
export const html = htm.bind(createElement);
