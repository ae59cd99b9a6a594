// Changes of the document: only what is different is touched, so that focus, selection and scrolling stay. Text is only ever
// text here: nothing that came from elsewhere is read as markup.

const byId = (id) => document.getElementById(id);

// An element with these attributes and children; texts are children, too.
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A name of somebody else's, which may run from right to left.
const name = (text) => el("bdi", {}, text);

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Says something in which there are names: an array for each, a text for the rest.
function sayWithNames(node, parts) {
  const key = JSON.stringify(parts);
  if (node.dataset.said === key) return;
  node.dataset.said = key;
  node.replaceChildren(...parts.map((part) => (Array.isArray(part) ? name(part[0]) : part)));
}

// For a title or a label: FIRST STRONG ISOLATE and its end keep a name from turning the rest round.
const plain = (parts) => parts.map((part) => (Array.isArray(part) ? `\u2068${part[0]}\u2069` : part)).join("");

function set(node, attribute, value) {
  if (node.getAttribute(attribute) !== String(value)) node.setAttribute(attribute, value);
}

// A drawing knows no property for it.
function show(node, isShown) {
  if (node.hasAttribute("hidden") === isShown) node.toggleAttribute("hidden");
}

// Texts and pieces of code for a text in which code stands between backticks.
const withCode = (text) => text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

const kept = new WeakMap();

// Brings the children of a node in line with the items: one for each key, in their order. `make` makes one, `patch` brings it
// up to date.
function keyed(parent, items, keyOf, make, patch) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const child = after.get(key) ?? before.get(key) ?? make(item);
    patch(child, item);
    after.set(key, child);
    before.delete(key);
  }
  for (const child of before.values()) child.remove();
  kept.set(parent, after);
  inOrder(parent, [...after.values()]);
}

// A child that has the focus stays where it is, since one that moves would lose it: the others move around it.
function inOrder(parent, children) {
  const pinned = children.find((child) => child.contains(document.activeElement));
  let next = parent.firstElementChild;
  for (const child of children) {
    if (child === pinned) {
      while (next !== child) {
        const other = next;
        next = next.nextElementSibling;
        parent.append(other);
      }
    }
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}

// What callers get now, as a shape, for browser tabs and for eyes that don't tell colours apart.
const SHAPES = {
  app: "M16 3a13 13 0 1 0 0 26a13 13 0 1 0 0-26z",
  fallback: "M16 2L31 29H1z",
  down: "M16 2L31 29H1z",
  drill: "M16 1L31 16L16 31L1 16z",
  silent: "M7 2L16 11L25 2L30 7L21 16L30 25L25 30L16 21L7 30L2 25L11 16L2 7z",
  asking: "M16 3a13 13 0 1 0 0 26a13 13 0 1 0 0-26zm0 5a8 8 0 1 1 0 16a8 8 0 1 1 0-16z",
};

const COLOURS = { app: "#1f9d55", fallback: "#d93025", down: "#d93025", drill: "#7c5cd6", silent: "#77797d", asking: "#77797d" };

const shape = (stage) => svg("svg", { viewBox: "0 0 32 32", class: "shape", "aria-hidden": "true" }, svg("path", { d: SHAPES[stage] }));

const icon = (stage) =>
  "data:image/svg+xml," +
  encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="${COLOURS[stage]}" d="${SHAPES[stage]}"/></svg>`,
  );
