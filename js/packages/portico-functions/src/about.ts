/** What the page is told: its functions, and where they are. Python's `portico.functions.page` writes it. */

import { parse, plain } from "./json.ts";
import type { Schema } from "./shape.ts";

export interface FunctionAbout {
  name: string;
  title: string;
  description: string;
  schema: Schema;
  /** Whether its result comes in pieces. */
  streams: boolean;
  /** Whether it tells how far it is. */
  progress: boolean;
  /** Whether a GET calls it too. */
  get: boolean;
  /** The parameters that are sent as files. */
  uploads: string[];
}

export interface About {
  title: string;
  /** Where the service is, from this page: ends with a slash, or is empty. */
  base: string;
  /** Whether programs need a key. */
  keyed: boolean;
  functions: FunctionAbout[];
}

export function readAbout(text: string): About {
  return plain(parse(text)) as About;
}
