/**
 * For a kernel in the browser: `src/portico/browser/bridge.py` runs this script, and calls its value with Python's side and
 * the name of a channel. Its value is a function, so that it leaves nothing behind.
 */

import { listen } from "./channel.ts";
import { Exchanges, type Python } from "./exchanges.ts";

/** The app's side of the requests on *channel*, and what ends it. */
export function connect(python: Python, channel: string): { exchanges: Exchanges; close: () => void } {
  const exchanges = new Exchanges(python);
  return { exchanges, close: listen(channel, exchanges) };
}
