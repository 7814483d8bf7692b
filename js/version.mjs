// Portico has one version, in src/portico/version.py. This writes it into each package.json here and into the lock file.
import { readdir, readFile, writeFile } from "node:fs/promises";

const PYTHON = new URL("../src/portico/version.py", import.meta.url);
const PACKAGES = new URL("packages/", import.meta.url);
const LOCK = new URL("package-lock.json", import.meta.url);

/** What npm calls the stages of a pre-release that Python calls so (PEP 440, semver.org). */
const STAGES = { dev: "dev", a: "alpha", b: "beta", rc: "rc" };

/** The version as npm reads it: `0.1.0.dev0` is `0.1.0-dev.0`. Python's packaging takes the two for the same. */
async function version() {
  const given = /^__version__ = "(.+)"$/m.exec(await readFile(PYTHON, "utf-8"))?.[1];
  const [, release, stage, number] = /^(\d+\.\d+\.\d+)(?:\.?(dev|a|b|rc)(\d+))?$/.exec(given ?? "") ?? [];
  if (release === undefined) {
    throw new Error(`src/portico/version.py says ${given}. Give a version such as 1.2.3, 1.2.3.dev0, 1.2.3a1, 1.2.3b1 or 1.2.3rc1.`);
  }
  return stage === undefined ? release : `${release}-${STAGES[stage]}.${number}`;
}

/** Let *change* change the JSON of *file*, which is written only if it is not the same afterwards. */
async function edit(file, change) {
  const before = await readFile(file, "utf-8");
  const content = JSON.parse(before);
  change(content);
  const after = `${JSON.stringify(content, null, 2)}\n`;
  if (after !== before) await writeFile(file, after);
}

const current = await version();
const names = await readdir(PACKAGES);
for (const name of names) {
  await edit(new URL(`${name}/package.json`, PACKAGES), (about) => {
    about.version = current;
  });
}
await edit(LOCK, ({ packages }) => {
  for (const name of names) packages[`packages/${name}`].version = current;
});
