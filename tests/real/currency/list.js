// Lists what Twilio's package for Node can write, as one small TwiML document each: every element on every path, every
// attribute of it, and every value that the package has a list of.
//
// The package's own builders make the documents, and its declarations for TypeScript, which are generated, say which
// there are; so of a newer package it lists what is new. Prints an object a line: {"kind": "voice", "name":
// "Response/Start/Stream@track=both_tracks", "document": "<?xml …"}.

"use strict";

const fs = require("node:fs");

const HEX = "0123456789abcdef".repeat(2);

// What a parameter without a list gets: the first line that matches its builder and its name.
const VALUES = [
  [/task\.body/, '{"a": 1}'],
  [/(stream|conversationRelay)\.url/, "wss://example.com/a"],
  [/\.sipUrl/, "sip:a@example.com"],
  [/\.(phoneNumber|number|to|from)$/, "+12025550101"],
  [/(url|callback|action)$/i, "https://example.com/a"],
  [/method$/i, "POST"],
  [/language$/i, "en-US"],
  [/(timeout|digits)$/i, "1"],
  [/finishOnKey/, "#"],
  [/\.workflowSid/, `WW${HEX}`],
  [/\.reservationSid/, `WR${HEX}`],
  [/\.coach/, `CA${HEX}`],
  [/\.chargeAmount/, "1.00"],
  [/\.time$/, "1s"],
  [/eotThreshold$/i, "0.5"],
  [/\.sampleRate/, "16000"],
  [/\.ttsTextNormalization/, "auto"],
  [/\.includeInPrompt/, "turn-state"],
  [/\.interruptSensitivity/, "high"],
  [/interruptible$/i, "any"],
  [/(?:)/, "Hello"],
];

function* documents(Root, declared) {
  yield ["Response", new Root().toString()];
  const entered = new Set();
  const openPaths = [["Response", Root, []]];
  // An element is gone into once below each parent.
  for (const [path, Parent, steps] of openPaths) {
    for (const { builder, attributes, text, child } of declared.builders(Parent)) {
      const words = text && valueFor(builder, text);
      const build = (given) => built(Root, [...steps, [builder, given, words]]);
      const here = `${path}/${build({}).tag}`;
      yield [here, build({}).document];
      for (const [attribute, type] of attributes) {
        for (const [label, value] of declared.values(builder, attribute, type)) {
          yield [`${here}@${label}`, build({ [attribute]: value }).document];
        }
      }
      const pair = `${Parent.name} ${child}`;
      if (!entered.has(pair)) {
        entered.add(pair);
        openPaths.push([here, Root[child], [...steps, [builder, {}, words]]]);
      }
    }
  }
}

// A response with an element at the end of these steps, and that element's tag.
function built(Root, steps) {
  const response = new Root();
  let element = response;
  for (const [builder, attributes, text] of steps) {
    element = text === undefined ? element[builder](attributes) : element[builder](attributes, text);
  }
  return { document: response.toString(), tag: element._getXml().name };
}

function valueFor(builder, name) {
  return VALUES.find(([form]) => form.test(`${builder}.${name}`))[1];
}

// Reads a file of declarations. What is not as it always was there fails: it must not go missing.
function declarations(file) {
  const source = fs.readFileSync(file, "utf8");
  const blocks = (form, within = source) => [...within.matchAll(form)].map(([, name, body]) => [name, body]);
  const lists = new Map(blocks(/^ +type (\w+) = (.+);$/gm));
  const interfaces = new Map([["object", ""]]); // one may be declared more than once, and has then what each declares
  for (const [name, body] of blocks(/^ +(?:export )?interface (\w+) \{\n(.*?)^ {4}\}/gms)) {
    interfaces.set(name, (interfaces.get(name) ?? "") + body);
  }
  const classes = new Map(blocks(/^ *(?:declare |export )?class (\w+) extends TwiML \{\n(.*?)^(?: {4})?\}/gms));
  return {
    // The methods that put an element into this one.
    builders(Parent) {
      const form = /^ +(\w+)\(attributes\??: ([\w.]+)(?:, (\w+)\??: string)?\): \w+\.(\w+);$/gm;
      const found = [...classes.get(Parent.name).matchAll(form)];
      const own = Object.getOwnPropertyNames(Parent.prototype).filter((name) => !/^(constructor|comment)/.test(name));
      assert(`${own}` === `${found.map(([, name]) => name)}`, `the methods of ${Parent.name}`);
      return found.map(([, builder, type, text, child]) => {
        const body = interfaces.get(type.replace(/^\w+\./, ""));
        assert(body !== undefined, `${type} of ${builder}`);
        const attributes = new Map(blocks(/^ +"?([\w:-]+)"?\??: (.+);$/gm, body));
        return { builder, attributes, text, child };
      });
    },
    // What an attribute of this type may hold, and what to call each.
    values(builder, attribute, type) {
      const [, one, list] = type.match(/^(\w+)(\[\])?$/) ?? [];
      const plain = { boolean: true, number: 1, string: valueFor(builder, attribute) };
      const wrap = (value) => (list ? [value] : value);
      if (one in plain) return [[attribute, wrap(plain[one])]];
      assert(lists.has(one), `the type ${type} of ${attribute}`);
      return [...lists.get(one).matchAll(/"([^"]*)"/g)].map(([, value]) => [`${attribute}=${value}`, wrap(value)]);
    },
  };
}

function assert(holds, what) {
  if (!holds) throw new Error(`this script can't read ${what}`);
}

for (const kind of ["voice", "messaging"]) {
  const file = require.resolve(`twilio/lib/twiml/${kind === "voice" ? "Voice" : "Messaging"}Response`);
  for (const [name, document] of documents(require(file), declarations(file.replace(/\.js$/, ".d.ts")))) {
    console.log(JSON.stringify({ kind, name, document }));
  }
}
