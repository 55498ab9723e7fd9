// The pages of membership, as the frame sees them.
import { Governance } from "./governance.js";
import { Participants } from "./participants.js";

// [pattern, page, its arguments, key in the menu]
export const pages = [
  [/^\/participants$/, Participants, () => ({}), "participants"],
  [/^\/proposals$/, Governance, () => ({}), "proposals"],
];

// [key, path, role without which it is left out of the menu]
export const menu = [["participants", "/participants"], ["proposals", "/proposals"]];
