// Drills: a dialog says what one would do to real callers before it is begun.

const drill = {
  dialog: byId("drill"),
  form: byId("drill-form"),
  length: byId("drill-for"),
  percent: byId("drill-percent"),
  fault: byId("drill-fault"),
  result: byId("drill-result"),
  error: byId("drill-error"),
  route: null,
  opener: null,
};

const isOfTwiml = (route) => !["callback", "pass"].includes(route.kind);

function askForDrill(route, opener) {
  Object.assign(drill, { route, opener });
  sayWithNames(byId("drill-title"), ["Start a drill on ", [route.name]]);
  say(drill.result, "");
  say(drill.error, "");
  show(byId("drill-dry"), isOfTwiml(route));
  sayMeaning();
  drill.dialog.showModal();
}

// Who will get what.
function sayMeaning() {
  const { route } = drill;
  const percent = drill.percent.valueAsNumber;
  const who = percent === 100 ? "all real callers" : `${percent || "?"} % of the real callers`;
  const what = isOfTwiml(route) ? "will get the fallback, not the app" : "will get an error (502 or 504), not the app";
  const takes = route.drill ? " It takes the place of the one that is on." : "";
  sayWithNames(byId("drill-meaning"), [`For ${spelled(drill.length.value)}, ${who} of `, [route.name], ` ${what}.${takes}`]);
}

const pathOf = (route) => `api/drills/${encodeURIComponent(route.name)}`;

// What understudy says to it, in the dialog; whether it did it.
async function tryDrill(plan) {
  say(drill.result, "");
  say(drill.error, "");
  const { route } = drill;
  try {
    const { ok, document } = await send("PUT", pathOf(route), plan);
    if (ok) return document;
    say(drill.error, sentence(document.error));
  } catch (error) {
    say(drill.error, sentence(inspect(error)));
  }
  return null;
}

async function beginDrill(event) {
  event.preventDefault();
  const plan = { for: drill.length.value.trim(), fault: drill.fault.value, percent: drill.percent.valueAsNumber };
  if (await tryDrill(plan)) {
    drill.dialog.close();
    pollAtOnce();
  }
}

async function judgeFallback() {
  const judged = await tryDrill({ dry: true });
  if (judged) say(drill.result, `The fallback is good: ${judged.valid.map((kind) => `valid ${kind} TwiML`).join(", ")}. No call was touched.`);
}

async function stopDrill(route, at) {
  try {
    const { ok, document } = await send("DELETE", pathOf(route));
    // It may have ended by itself meanwhile.
    if (!ok) say(at.drill, document.error);
  } catch (error) {
    say(at.drill, inspect(error));
  }
  // The button that was pressed goes away.
  at.begin.focus();
  pollAtOnce();
}

drill.form.addEventListener("submit", beginDrill);
drill.form.addEventListener("input", sayMeaning);
byId("drill-dry").addEventListener("click", judgeFallback);
byId("drill-cancel").addEventListener("click", () => drill.dialog.close());
// A row that came anew has another button.
drill.dialog.addEventListener("close", () => drill.opener.isConnected && drill.opener.focus());
