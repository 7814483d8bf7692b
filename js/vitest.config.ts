import { defineConfig } from "vitest/config";

// Packages are tested as they stand in src/, by the names that they export; what lies in dist/ may be old.
export default defineConfig({ ssr: { resolve: { conditions: ["source"] } } });
