// Looks at the page in a real Chromium: no violations that axe finds, light and
// dark, wide and 320 px narrow; nothing wider than the screen; no message of the
// browser; what a screen reader is told; and everything can be done with the keyboard
// alone. See browser_test.go.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [url, modules, chromium, shots] = process.argv.slice(2);
const require = createRequire(path.join(modules, "here.js"));
const puppeteer = (await import(require.resolve("puppeteer-core"))).default;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const wrong = [];
const expect = (what, got, want) => { if (JSON.stringify(got) !== JSON.stringify(want)) wrong.push(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`); };
const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox"], headless: true });
const page = await browser.newPage();
page.on("console", message => wrong.push("console: " + message.text()));
page.on("pageerror", error => wrong.push("page: " + error.message));

async function open(width, height, scheme) {
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }]);
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.waitForSelector(".toggle");
}

async function look(name) {
  if (shots) await page.screenshot({ path: path.join(shots, name + ".png"), fullPage: true });
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document));
  expect(name + ", axe", found.violations.map(v => v.id + " " + v.nodes[0].html), []);
  expect(name + ", wider than the screen by", await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
}

for (const scheme of ["light", "dark"]) {
  for (const [width, height] of [[1360, 950], [320, 740]]) {
    await open(width, height, scheme);
    await look(`${scheme}-${width}`);
    await page.$$eval(".toggle[aria-expanded=false]", all => all.forEach(button => button.click()));
    await look(`${scheme}-${width}-opened`);
  }
}

// What a screen reader is told: a table whose columns and rows have names, buttons that
// say whether they are open, and changes of state, but not every figure, as they come.
await open(1360, 950, "light");
const session = await page.createCDPSession();
const told = async () => (await session.send("Accessibility.getFullAXTree")).nodes.filter(node => !node.ignored).map(node => ({
  id: node.nodeId, parent: node.parentId, role: node.role.value, name: node.name?.value ?? "", ...Object.fromEntries((node.properties ?? []).map(p => [p.name, p.value.value])),
}));
const names = (nodes, role) => nodes.filter(node => node.role === role).map(node => node.name);
function below(nodes, top) {
  const found = nodes.filter(node => node.parent === top.id);
  return found.concat(found.flatMap(node => below(nodes, node)));
}
await page.$$eval(".toggle[aria-expanded=false]", all => all[0].click());
const nodes = await told();
expect("landmarks", ["banner", "main", "contentinfo"].filter(role => names(nodes, role).length === 1), ["banner", "main", "contentinfo"]);
expect("tables without a name", nodes.filter(node => node.role === "table" && !node.name), []);
const main = nodes.find(node => node.role === "table" && node.name === "Functions");
expect("columns", names(below(nodes, main), "columnheader").slice(0, 8), ["Function", "Breaker", "Calls a second", "Answered", "Latency", "Answers by source", "Cache", "Head-room"]);
const toggles = nodes.filter(node => node.role === "button" && node.expanded !== undefined);
expect("buttons of functions", toggles.map(node => [node.name, node.expanded]), [
  ["search", true], ["ticket_routing_of_a_long_name", false], ["chat", false]]);
expect("headers of rows", names(nodes, "rowheader").filter(name => toggles.some(node => node.name === name)), toggles.map(node => node.name));
expect("cells without a table", nodes.filter(node => node.role === "cell" && !nodes.some(row => row.role === "row" && row.id === node.parent)), []);
expect("live regions", nodes.filter(node => node.live && node.live !== "off").map(node => [node.role, node.live]), [["status", "polite"]]);
expect("headings", nodes.filter(node => node.role === "heading").map(node => node.level).every((level, i, all) => level <= (all[i - 1] ?? 0) + 1), true);
const stops = [];
for (;;) {
  await page.keyboard.press("Tab");
  const stop = await page.evaluate(() => document.activeElement === document.body ? "" : document.activeElement.getAttribute("aria-label") || document.activeElement.textContent.trim());
  if (!stop || stops.includes("snapshot.json")) break;
  stops.push(stop);
}
expect("order of the stops", stops.filter(stop => ["Skip to the functions", "Pause", "search", "isolate up.test:443 of search", "snapshot.json"].includes(stop)).filter((stop, i, all) => stop !== all[i - 1]),
  ["Skip to the functions", "Pause", "search", "isolate up.test:443 of search", "snapshot.json"]);

// The keyboard alone.
const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") || document.activeElement.textContent.trim());
async function tabTo(want) {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    if ((await focused()).startsWith(want)) return;
  }
  throw new Error("the keyboard does not get to " + want);
}
const news = text => page.waitForFunction(text => document.getElementById("news").textContent.includes(text), { timeout: 10000 }, text);

await open(1360, 950, "light");
await page.keyboard.press("Tab");
expect("first stop", await focused(), "Skip to the functions");
await tabTo("search");
await page.keyboard.press("Enter");
await tabTo("isolate");
const seen = await page.$eval("#feed", e => e.textContent);
await page.waitForFunction(seen => document.getElementById("feed").textContent !== seen, {}, seen);
expect("focus after a snapshot", await focused(), "isolate up.test:443 of search");
await page.keyboard.press("Enter");
await page.keyboard.press("Enter");
await page.waitForFunction(() => document.getElementById("ask-error").textContent);
await look("dialog");
await page.keyboard.type("maintenance");
await page.keyboard.press("Enter");
await news("search: up.test:443 is isolated");
expect("focus after it", await focused(), "release up.test:443 of search");
await page.keyboard.press("Enter");
await page.keyboard.press("Enter");
await news("search: up.test:443 is closed");
await page.keyboard.press("Enter");
await page.keyboard.press("Escape");
expect("dialog after Escape", await page.$eval("#ask", e => e.open), false);
expect("focus after Escape", await focused(), "isolate up.test:443 of search");

// What has the same name stays what it is from one snapshot to the next.
const rows = () => page.$$eval("table.main > tbody > tr:not(.details)", all => all.length);
for (let i = 0; i < 2; i++) {
  const last = await page.$eval("#feed", e => e.textContent);
  await page.waitForFunction(last => document.getElementById("feed").textContent !== last, {}, last);
  expect("rows of functions", await rows(), 5);
}

// What comes and goes beside an element does not move it, and silence is not taken for
// news. The snapshots are made up here, and waits are a hundredth as long.
const made = await browser.newPage();
made.on("console", message => wrong.push("console: " + message.text()));
made.on("pageerror", error => wrong.push("page: " + error.message));
await made.evaluateOnNewDocument(() => {
  const wait = setTimeout;
  window.setTimeout = (f, after) => wait(f, after / 100);
  window.streams = [];
  window.EventSource = class {
    constructor() { window.streams.push(this); }
    close() {}
  };
});
await made.goto(url, { waitUntil: "load" });
const shown = await (await fetch(url + "/snapshot.json")).json();
const show = () => made.evaluate(data => window.streams.at(-1).onmessage({ data }), JSON.stringify(shown));
await show();
await made.$$eval(".toggle[aria-expanded=false]", all => all.forEach(button => button.click()));
await made.focus("[aria-label='isolate three of chat']");
shown.functions[2].breakers.shift();
shown.functions.shift();
await show();
expect("focus when what was before has gone", await made.evaluate(() => document.activeElement.getAttribute("aria-label")), "isolate three of chat");
await made.$$eval(".events li", all => all.forEach(one => { one.old = true; }));
shown.config.appliedAt = new Date(Date.now() - 72 * 3600e3).toISOString();
await show();
expect("a time of another day", / of [A-Z][a-z]+ \d+, \d+:\d\d:\d\d/.test(await made.$eval("#config", e => e.textContent)), true);
delete shown.config.appliedAt;
shown.events.unshift({ at: shown.at, kind: "config", text: "sparekey.yaml is in force" });
await show();
expect("events that stay", await made.$$eval(".events li", all => all.map(one => !!one.old)), [false, ...shown.events.slice(1).map(() => true)]);
expect("a time that is not there", (await made.$eval("#config", e => e.textContent)).includes("Invalid"), false);
await made.waitForFunction(() => document.getElementById("feed").textContent.startsWith("Nothing new since "), { timeout: 5000 }).catch(() => wrong.push("silence is shown as live"));
expect("it comes again after silence", await made.evaluate(() => window.streams.length > 1), true);

// What comes of an order whose dialog was left is not told in the dialog of the next.
await made.evaluate(() => { window.fetch = () => new Promise(answer => { window.answer = answer; }); });
const click = selector => made.$eval(selector, button => button.click());
await click("[aria-label='isolate three of chat']");
await made.$eval("#ask-reason", reason => { reason.value = "maintenance"; });
await click("#ask-do");
await click("#ask-cancel");
await click("[aria-label='isolate three of chat']");
await made.evaluate(() => window.answer(new Response("no such breaker", { status: 404 })));
await made.waitForFunction(() => !document.getElementById("ask-do").disabled);
expect("the next dialog", await made.$eval("#ask", dialog => [dialog.open, dialog.querySelector("#ask-error").textContent]), [true, ""]);
await click("#ask-cancel");

// An answer that another endpoint gave in the service's place is a stand-in.
shown.functions = [{ ...shown.functions[0], breakers: [], minute: { live: 90, endpoint: 10 } }];
await show();
const tiles = await made.$$eval(".tiles div", all => Object.fromEntries(all.map(one => [...one.children].map(part => part.textContent))));
expect("answers of another endpoint", [tiles["By stand-ins"], await made.$eval(".say p", e => e.textContent)], ["10 %", "All calls are answered, some by stand-ins."]);

// Of several limiters, the one that is full is not hidden by another's room.
shown.functions[0].limiters = [{ name: "up.test:443", inFlight: 30, queued: 0, bound: 200, perSecond: 0 }, { name: "account", inFlight: 25, queued: 7, bound: 25, perSecond: 25 }, { name: "any", inFlight: 90, queued: 0, bound: 0, perSecond: 0 }];
await show();
expect("head-room", await made.$eval("td[data-of='Head-room']", e => e.textContent), "25 / 25 in flightaccount7 queuedretries: 7 of 10");

await browser.close();
for (const line of wrong) console.error(line);
process.exit(wrong.length ? 1 : 0);
