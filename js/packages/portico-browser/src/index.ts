/** Portico in a page. The public names of the package. */

export { Exchanges, type Python } from "./exchanges.ts";
export { type AppException, host, type Hosted, HostError, type HostOptions, type Progress } from "./host.ts";
export type { RequestHead } from "./messages.ts";
export { type Give, Preview, PreviewError, type Served } from "./preview.ts";
