// Drills. A dialog says what a drill will do to real callers before it starts.

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

const hasTwiml = (route) => !["callback", "pass"].includes(route.kind);

function openDrillDialog(route, opener) {
  Object.assign(drill, { route, opener });
  setTextWithNames(byId("drill-title"), ["Start a drill on ", [route.name]]);
  setText(drill.result, "");
  setText(drill.error, "");
  setVisible(byId("drill-dry"), hasTwiml(route));
  updateDrillMeaning();
  drill.dialog.showModal();
}

// Says who will get what.
function updateDrillMeaning() {
  const { route } = drill;
  const percent = drill.percent.valueAsNumber;
  const who = percent === 100 ? "all real callers" : `${percent || "?"} % of the real callers`;
  const what = hasTwiml(route)
    ? "will get the fallback, not the app"
    : route.queues
      ? "will have their callbacks queued, and delivered to the app later"
      : "will get an error (502 or 504), not the app";
  const replaces = route.drill ? " It replaces the one that runs." : "";
  setTextWithNames(byId("drill-meaning"), [`For ${spellDuration(drill.length.value)}, ${who} of `, [route.name], ` ${what}.${replaces}`]);
}

const drillPath = (route) => `api/drills/${encodeURIComponent(route.name)}`;

// Sends a drill, and shows an error in the dialog. Returns the response's document; null if there is none.
async function requestDrill(plan) {
  setText(drill.result, "");
  setText(drill.error, "");
  const { route } = drill;
  try {
    const { ok, document } = await sendChange("PUT", drillPath(route), plan);
    if (ok) return document;
    setText(drill.error, toSentence(document.error));
  } catch (error) {
    setText(drill.error, toSentence(describeError(error)));
  }
  return null;
}

async function startDrill(event) {
  event.preventDefault();
  const plan = { for: drill.length.value.trim(), fault: drill.fault.value, percent: drill.percent.valueAsNumber };
  if (await requestDrill(plan)) {
    drill.dialog.close();
    pollNow();
  }
}

async function validateFallback() {
  const result = await requestDrill({ dry: true });
  if (result) setText(drill.result, `The fallback is valid ${result.valid.join(" and ")} TwiML. No request was touched.`);
}

async function stopDrill(route, parts) {
  try {
    const { ok, document } = await sendChange("DELETE", drillPath(route));
    // The drill may have ended by itself.
    if (!ok) setText(parts.drill, document.error);
  } catch (error) {
    setText(parts.drill, describeError(error));
  }
  // The pressed button disappears.
  parts.start.focus();
  pollNow();
}

drill.form.addEventListener("submit", startDrill);
drill.form.addEventListener("input", updateDrillMeaning);
byId("drill-dry").addEventListener("click", validateFallback);
byId("drill-cancel").addEventListener("click", () => drill.dialog.close());
// The row may have been created anew, with another button.
drill.dialog.addEventListener("close", () => drill.opener.isConnected && drill.opener.focus());
