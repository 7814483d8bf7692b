// A client as its user would write it: node agent.mjs URL KEY. Prints a JSON object of what it was told, and another
// once it has heard of a change.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [url, key] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
const client = new Client({ name: "a test", version: "1" });
const changed = new Promise((resolve) => client.setNotificationHandler(ToolListChangedNotificationSchema, resolve));
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));

const names = async () => (await client.listTools()).tools.map((tool) => tool.name);
const told = { server: client.getServerVersion().name, tools: await names() };
told.predict = (await client.callTool({ name: "nb0__predict", arguments: { area: 70 } })).structuredContent;
const failed = await client.callTool({ name: "nb0__fails", arguments: {} });
told.fails = [failed.isError, failed.content[0].text];
const leaving = new AbortController();
try {
  const options = { signal: leaving.signal, onprogress: () => leaving.abort() };
  await client.callTool({ name: "nb0__patient", arguments: {} }, undefined, options);
} catch {
  told.aborted = Date.now() / 1000;
}
console.log(JSON.stringify(told));
await changed;
console.log(JSON.stringify({ heard: Date.now() / 1000, tools: await names() }));
await client.close();
process.exit(0);
