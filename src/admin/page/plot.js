// The last minutes as small plots: one step for each slot, the oldest at the left.

const WIDE = 120;
const HIGH = 24;

const plot = (kind) => svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: `plot ${kind}`, role: "img", preserveAspectRatio: "none" },
  svg("path", { class: "ground", d: `M0 ${HIGH - 0.5}H${WIDE}` }),
  svg("path", { class: "steps", d: "" }));

// Draws shares of the height, from 0 to 1; what is more than nothing is always seen.
function draw(node, shares, label) {
  const step = WIDE / shares.length;
  const bars = shares.map((share, at) => {
    if (!share) return "";
    const high = Math.max(1.5, share * (HIGH - 1));
    return `M${round(at * step)} ${HIGH}v-${round(high)}h${round(step - 0.25)}v${round(high)}z`;
  });
  set(node.lastChild, "d", bars.join(""));
  set(node, "aria-label", label);
}

const round = (value) => Math.round(value * 100) / 100;

const sum = (values) => values.reduce((one, other) => one + other, 0);

// What the plots and the numbers beside them show of a route's last minutes.
function lastMinutes(history, slots) {
  const minute = Math.round(60 / slots.slot_seconds) + 1;
  const seconds = (minute - 1) * slots.slot_seconds + slots.running_seconds;
  const most = Math.max(...history.calls);
  const [calls, failed] = [sum(history.calls), sum(history.failed)];
  const [recent, recentlyFailed] = [sum(history.calls.slice(-minute)), sum(history.failed.slice(-minute))];
  const pace = recent / seconds;
  return {
    rate: pace >= 1 ? `${small(pace)} /s` : `${number(recent && Math.max(1, Math.round(pace * 60)))} /min`,
    ratio: recent ? percent(recentlyFailed, recent) : "–",
    isFailing: recentlyFailed > 0,
    calls: history.calls.map((count) => count / most),
    callsInWords: `${many(calls, "call")} in the last 10 minutes, at most ${number(most)} in ${slots.slot_seconds} seconds`,
    failed: history.failed.map((count, at) => (count ? count / history.calls[at] : 0)),
    failedInWords: failed
      ? `${number(failed)} of ${many(calls, "call")} in the last 10 minutes without a good answer of the app's: ${percent(failed, calls)}`
      : "every call in the last 10 minutes had the app's own answer",
  };
}
