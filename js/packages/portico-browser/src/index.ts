/** Portico in a page. The public names of the package. */

export * as frames from "./frames.ts";
