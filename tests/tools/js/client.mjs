// A client of the official SDK, as its user would write it: node client.mjs URL v1|v2|auto
// v1 is the line that shakes hands; v2 the one after it, which does so too unless it is told to find out (auto).
// Prints a JSON object of what each step gave.
const [url, line] = process.argv.slice(2);
const isFirst = line === "v1";
const sdk = isFirst
  ? {
      ...(await import("@modelcontextprotocol/sdk/client/index.js")),
      ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      ...(await import("@modelcontextprotocol/sdk/types.js")),
    }
  : await import("@modelcontextprotocol/client");
const CHANGED = "notifications/tools/list_changed";
const given = {};
let hear;
const changed = new Promise((resolve) => (hear = resolve));

const options = line === "auto" ? { versionNegotiation: { mode: "auto" } } : {};
const client = new sdk.Client({ name: "test", version: "1" }, options);
client.setNotificationHandler(isFirst ? sdk.ToolListChangedNotificationSchema : CHANGED, () => hear());
const transport = new sdk.StreamableHTTPClientTransport(new URL(url));
await client.connect(transport);
const call = (name, more = {}, args = {}) =>
  isFirst
    ? client.callTool({ name, arguments: args }, undefined, more)
    : client.callTool({ name, arguments: args }, more);

given.tools = (await client.listTools()).tools.map((tool) => tool.name);
given.call = (await call("add", {}, { a: 1, b: 2 })).structuredContent;
given.progress = [];
await call("steps", { onprogress: (step) => given.progress.push([step.progress, step.total, step.message]) });
given.failure = (await call("fail")).isError;
given.unknown = await call("nothing").catch((error) => error.code);

const giveUp = new AbortController();
const waiting = call("wait", { signal: giveUp.signal }).catch(() => "given up");
await call("began");
giveUp.abort("enough");
given.cancelled = await waiting;
given.stopped = (await call("stopped")).content[0].text;

const listening = line === "auto" ? await client.listen({ toolsListChanged: true }) : undefined;
await call("change");
given.heard = await Promise.race([
  changed.then(() => true),
  new Promise((resolve) => setTimeout(resolve, 5000, false)),
]);
given.after = (await client.listTools()).tools.map((tool) => tool.name);
await listening?.close();
if (transport.sessionId !== undefined) await transport.terminateSession();
await client.close();
console.log(JSON.stringify(given));
