/** Copies text; where a page may not, selects it for the keyboard. */

import { el } from "./dom.ts";

/** Copy *text*, which *from* shows. Whether it was copied. */
export async function copy(text: string, from: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is no clipboard without https, or it is not allowed: the old way, which asks nobody.
  }
  const area = el("textarea", { class: "away", readonly: true, "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!done) getSelection()?.selectAllChildren(from);
  return done;
}
