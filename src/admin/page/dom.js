// Changes of the DOM. Only what is different is changed, so that focus, selection and scrolling stay. Nothing is ever parsed
// as markup: texts become text nodes.

const byId = (id) => document.getElementById(id);

// An element with these attributes and children; a child may be a text.
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

// A name from the configuration, which may run from right to left.
const isolate = (text) => el("bdi", {}, text);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Sets a text that contains names: each part is a text, or an array with a name.
function setTextWithNames(node, parts) {
  const key = JSON.stringify(parts);
  if (node.dataset.text === key) return;
  node.dataset.text = key;
  node.replaceChildren(...parts.map((part) => (Array.isArray(part) ? isolate(part[0]) : part)));
}

// The same for a title or a label, where FIRST STRONG ISOLATE and its end keep a name's direction from the rest.
const plainText = (parts) => parts.map((part) => (Array.isArray(part) ? `\u2068${part[0]}\u2069` : part)).join("");

function setAttribute(node, attribute, value) {
  if (node.getAttribute(attribute) !== String(value)) node.setAttribute(attribute, value);
}

// SVG elements have no `hidden` property.
function setVisible(node, isShown) {
  if (node.hasAttribute("hidden") === isShown) node.toggleAttribute("hidden");
}

// A text as nodes: what stands between backticks is code.
const withCode = (text) => text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

const childrenByKey = new WeakMap();

// Makes the children of a node match the items: one child for each key, in their order. `create` creates a child, `update`
// brings it up to date.
function updateList(parent, items, keyOf, create, update) {
  const before = childrenByKey.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const child = after.get(key) ?? before.get(key) ?? create(item);
    update(child, item);
    after.set(key, child);
    before.delete(key);
  }
  for (const child of before.values()) child.remove();
  childrenByKey.set(parent, after);
  reorder(parent, [...after.values()]);
}

// Moves children around the one with the focus, which would lose it if it were moved.
function reorder(parent, children) {
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

// A shape for each state, for people who don't tell the colours apart, and for the browser's tab.
const SHAPES = {
  app: "M16 3a13 13 0 1 0 0 26a13 13 0 1 0 0-26z",
  fallback: "M16 2L31 29H1z",
  down: "M16 2L31 29H1z",
  drill: "M16 1L31 16L16 31L1 16z",
  unreachable: "M7 2L16 11L25 2L30 7L21 16L30 25L25 30L16 21L7 30L2 25L11 16L2 7z",
  loading: "M16 3a13 13 0 1 0 0 26a13 13 0 1 0 0-26zm0 5a8 8 0 1 1 0 16a8 8 0 1 1 0-16z",
};

const COLOURS = { app: "#1f9d55", fallback: "#d93025", down: "#d93025", drill: "#7c5cd6", unreachable: "#77797d", loading: "#77797d" };

const shape = (state) => svg("svg", { viewBox: "0 0 32 32", class: "shape", "aria-hidden": "true" }, svg("path", { d: SHAPES[state] }));

const faviconUrl = (state) =>
  "data:image/svg+xml," +
  encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="${COLOURS[state]}" d="${SHAPES[state]}"/></svg>`,
  );
